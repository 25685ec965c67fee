"""Addresses of evaluations and of the log below /api/v1/."""

from __future__ import annotations

from django.urls import path

from audit.api import court, evaluations, lead_rates, log, runs, testing

urlpatterns = [
    path("evaluations/", evaluations.Evaluations.as_view(), name="evaluations"),
    path("evaluations/<uuid:evaluation_id>/", evaluations.EvaluationDetail.as_view(), name="evaluation"),
    path(
        "evaluations/<uuid:evaluation_id>/files/<path:name>",
        evaluations.EvaluationFile.as_view(),
        name="evaluation_file",
    ),
    path("lead-rates/", lead_rates.LeadRates.as_view(), name="lead_rates"),
    path("testing/sessions/", testing.Sessions.as_view(), name="testing_sessions"),
    path("testing/sessions/<uuid:session_id>/", testing.Session.as_view(), name="testing_session"),
    path("testing/sessions/<uuid:session_id>/scores/", testing.Scores.as_view(), name="testing_scores"),
    path("benchmark-sets/", runs.BenchmarkSets.as_view(), name="benchmark_sets"),
    path("benchmark-sets/<uuid:set_id>/", runs.BenchmarkSetDetail.as_view(), name="benchmark_set"),
    path("evaluation-runs/", runs.EvaluationRuns.as_view(), name="evaluation_runs"),
    path("evaluation-runs/<uuid:run_id>/", runs.EvaluationRunDetail.as_view(), name="evaluation_run"),
    path("evaluation-runs/<uuid:run_id>/pause/", runs.EvaluationRunPause.as_view(), name="evaluation_run_pause"),
    path("evaluation-runs/<uuid:run_id>/resume/", runs.EvaluationRunResume.as_view(), name="evaluation_run_resume"),
    path("evaluation-runs/<uuid:run_id>/cancel/", runs.EvaluationRunCancel.as_view(), name="evaluation_run_cancel"),
    path("log/absence/", log.Absence.as_view(), name="log_absence"),
    path("log/selection/", log.Selection.as_view(), name="log_selection"),
    path("log/export/", log.WholeLog.as_view(), name="log_export"),
    path("requests/<uuid:request_id>/court-links/", court.CourtLinks.as_view(), name="court_links"),
    path("requests/<uuid:request_id>/court-links/<uuid:link_id>/", court.OneCourtLink.as_view(), name="court_link"),
    path("log/health/", log.Health.as_view(), name="log_health"),
    path("log/entries/", log.Entries.as_view(), name="log_entries"),
    path("log/entries/<uuid:entry_id>/", log.Entry.as_view(), name="log_entry"),
    path("log/entries/<uuid:entry_id>/open/", log.EntryOpen.as_view(), name="log_entry_open"),
    path("log/entries/<uuid:entry_id>/file/", log.EntryFile.as_view(), name="log_entry_file"),
    path("log/entries/<uuid:entry_id>/receipt/", log.EntryReceipt.as_view(), name="log_entry_receipt"),
]
