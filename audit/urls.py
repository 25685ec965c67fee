"""Addresses below /log/: the log for programs, and the browser for the board."""

from __future__ import annotations

from django.urls import path

from audit.views import tiles

urlpatterns = [
    path("checkpoint", tiles.CheckpointView.as_view(), name="log_checkpoint"),
    path("tile/entries/<path:path>", tiles.EntriesView.as_view(), name="log_entries_bundle"),
    path("tile/<path:path>", tiles.HashTileView.as_view(), name="log_tile"),
]
