"""Addresses below /log/: the log for programs, and the browser for the board."""

from __future__ import annotations

from django.urls import path

from audit.views import absence, browser, tiles

urlpatterns = [
    path("", browser.entry_list, name="log_entries"),
    path("checkpoint", tiles.CheckpointView.as_view(), name="log_checkpoint"),
    path("tile/entries/<path:path>", tiles.EntriesView.as_view(), name="log_entries_bundle"),
    path("tile/<path:path>", tiles.HashTileView.as_view(), name="log_tile"),
    path("<int:number>/checkpoint", tiles.CheckpointView.as_view(), name="log_numbered_checkpoint"),
    path("<int:number>/tile/entries/<path:path>", tiles.EntriesView.as_view(), name="log_numbered_entries_bundle"),
    path("<int:number>/tile/<path:path>", tiles.HashTileView.as_view(), name="log_numbered_tile"),
    path("selection.zip", browser.selection, name="log_selection"),
    path("log.zip", browser.whole_log, name="log_whole"),
    path("absence", absence.absence_page, name="log_absence"),
    path("health", browser.health_page, name="log_health"),
    path("check", browser.check_page, name="log_check"),
    path("glasscase-verify.pyz", browser.verifier, name="log_verifier"),
    path("entries/<uuid:entry_id>/", browser.entry_page, name="log_entry"),
    path("entries/<uuid:entry_id>/open/", browser.entry_open, name="log_entry_open"),
    path("entries/<uuid:entry_id>/opening/<slug:field>/", browser.opening_file, name="log_opening"),
    path("entries/<uuid:entry_id>/entry.json", browser.entry_file, name="log_entry_file"),
    path("entries/<uuid:entry_id>/receipt.tlog-proof", browser.receipt_file, name="log_receipt"),
]
