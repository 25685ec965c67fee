"""Addresses below /evaluations/: benchmark sets, and evaluations while they run."""

from __future__ import annotations

from django.urls import path

from audit.views import runs, sets

urlpatterns = [
    path("sets/", sets.set_list, name="benchmark_sets"),
    path("sets/<uuid:set_id>/", sets.set_detail, name="benchmark_set"),
    path("sets/<uuid:set_id>/left_out.csv", sets.left_out, name="benchmark_left_out"),
    path("runs/", runs.run_list, name="evaluation_runs"),
    path("runs/start/", runs.run_start, name="evaluation_start"),
    path("runs/<uuid:run_id>/", runs.run_detail, name="evaluation_run"),
    path("runs/<uuid:run_id>/progress/", runs.run_progress, name="evaluation_run_progress"),
    path("runs/<uuid:run_id>/pause/", runs.run_pause, name="evaluation_pause"),
    path("runs/<uuid:run_id>/resume/", runs.run_resume, name="evaluation_resume"),
    path("runs/<uuid:run_id>/cancel/", runs.run_cancel, name="evaluation_cancel"),
]
