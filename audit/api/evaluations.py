"""/api/v1/evaluations/: published reports on error rates."""

from __future__ import annotations

import mimetypes
import uuid

from django.http import FileResponse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import evaluations
from audit.models import Evaluation
from core.access import Access
from core.api.schema import operation
from core.api.views import Files, Pages, View
from core.person_roles import Permission

_READERS = Access.having(Permission.READ_EVALUATIONS)


class EvaluationOut(serializers.Serializer):
    """A measurement of one face model on one benchmark set. The threshold is in millionths."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    face_model = serializers.CharField()
    face_model_name = serializers.CharField()
    cohorts = serializers.CharField(help_text="Names of the cohort columns, separated by commas.")
    acceptance_policy = serializers.CharField()
    target_fmr = serializers.FloatField()
    generated_people = serializers.BooleanField(help_text="Whether it says nothing about real people.")
    label_source = serializers.CharField()  # who said which cohort somebody belongs to
    set_hash = serializers.CharField()
    report_sha256 = serializers.CharField(help_text="The SHA-256 of report.json, as the log has it.")
    verdict = serializers.CharField(help_text="met, not_met or cannot_be_shown")
    threshold = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField()
    adopted_at = serializers.DateTimeField(allow_null=True)


class EvaluationDetailOut(EvaluationOut):
    """One evaluation and the files of its report."""

    files = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_files(self, evaluation: Evaluation) -> list[str]:
        return evaluations.files(evaluation)


class Evaluations(View):
    """The published evaluations."""

    access = _READERS
    pagination_class = Pages

    @operation("list_evaluations", "The published evaluations, newest first.", gives=EvaluationOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(EvaluationOut, Evaluation.objects.exclude(published_at=None).order_by("-published_at"))


class EvaluationDetail(View):
    """One evaluation."""

    access = _READERS

    @operation("read_evaluation", "One evaluation and its files.", gives=EvaluationDetailOut)
    def get(self, request: Request, evaluation_id: uuid.UUID) -> Response:
        return self.answer(EvaluationDetailOut, evaluations.published(evaluation_id))


class EvaluationFile(Files):
    """A file of a report."""

    access = _READERS

    @operation(
        "read_evaluation_file",
        "One file of a report: report.json, a table, a figure.",
        media_type="application/octet-stream",
    )
    def get(self, request: Request, evaluation_id: uuid.UUID, name: str) -> FileResponse:
        evaluation = evaluations.published(evaluation_id)
        path = evaluations.download(by=self.person, evaluation=evaluation, name=name)
        return FileResponse(
            path.open("rb"),
            as_attachment=True,
            filename=path.name,
            content_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        )
