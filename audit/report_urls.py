"""Addresses of reports on error rates, and of findings."""

from __future__ import annotations

from django.urls import path

from audit.views import findings, labels, reports

urlpatterns = [
    path("reports/", reports.report_list, name="reports"),
    path("reports/glasscase-evaluate.pyz", reports.evaluator, name="evaluator"),
    path("reports/compare/", reports.report_compare, name="report_compare"),
    path("reports/<uuid:evaluation_id>/", reports.report_page, name="report"),
    path("reports/<uuid:evaluation_id>/files/<str:name>", reports.report_file, name="report_file"),
    path("reports/<uuid:evaluation_id>/figures/<str:name>", reports.report_figure, name="report_figure"),
    path("reports/<uuid:evaluation_id>/labels/", labels.report_labels, name="report_labels"),
    path(
        "reports/<uuid:evaluation_id>/labels/photos/<str:ticket>", labels.report_label_photo, name="report_label_photo"
    ),
    path("reports/<uuid:evaluation_id>/labels/again/", labels.report_measure_again, name="report_measure_again"),
    path("findings/", findings.finding_list, name="findings"),
    path("findings/file/", findings.finding_file, name="finding_file"),
    path("findings/<uuid:finding_id>/close/", findings.finding_close, name="finding_close"),
]
