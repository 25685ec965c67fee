"""/api/v1/benchmark-sets/ and /api/v1/evaluation-runs/: frozen sets, and evaluations while they run.

A set is added where its photos lie, with `manage.py benchmarks add`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import benchmarks, evaluations
from audit.evaluation_progress import progress
from audit.models import BenchmarkSet, Evaluation
from core.access import Access, having
from core.api.schema import operation
from core.api.views import Pages, View
from core.exceptions import Invalid, NotFound
from core.faces import registry
from core.person_roles import Permission

_READERS = Access.having(Permission.READ_EVALUATIONS)
_RUNNERS = Access.having(Permission.RUN_EVALUATIONS)


class BenchmarkSetOut(serializers.Serializer):
    """A frozen set: what it holds, whose labels it has, and under which licence it is used."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    layout = serializers.CharField()
    kind = serializers.ChoiceField(choices=BenchmarkSet.Kind.choices)
    sha256 = serializers.CharField(help_text="Of its list, which holds the SHA-256 of every file.")
    columns = serializers.ListField(child=serializers.CharField(), help_text="Cohort columns.")
    people = serializers.IntegerField()
    items = serializers.IntegerField(help_text="Photos, embeddings or scores.")
    pairs = serializers.IntegerField(help_text="Of a protocol with fixed pairs; 0 where all pairs are compared.")
    left_out = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField())
    label_source = serializers.CharField()
    licence = serializers.CharField()
    citation = serializers.CharField()
    added_at = serializers.DateTimeField()


class RunProgressOut(serializers.Serializer):
    """The stage that is being done. Rate and time left are null while too little is done to say."""

    title = serializers.CharField()
    unit = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    workers = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True, help_text="Items per second, of all workers together.")
    seconds_left = serializers.FloatField(allow_null=True)


class EvaluationRunOut(serializers.Serializer):
    """An evaluation in any state, also one that failed."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    state = serializers.ChoiceField(choices=["running", "published", *Evaluation.Stopped.values])
    problem = serializers.CharField()
    kind = serializers.ChoiceField(choices=Evaluation.Kind.choices)
    benchmark_set = serializers.UUIDField(source="benchmark_set_id", allow_null=True)
    face_model = serializers.CharField(help_text="Empty until a worker has loaded it.")
    face_model_name = serializers.CharField()
    cohorts = serializers.CharField()
    acceptance_policy = serializers.CharField()
    target_fmr = serializers.FloatField()
    started_at = serializers.DateTimeField()


class EvaluationRunDetailOut(EvaluationRunOut):
    """One evaluation and how far it is."""

    progress = serializers.SerializerMethodField()

    @extend_schema_field(RunProgressOut(allow_null=True))
    def get_progress(self, evaluation: Evaluation) -> Any:
        found = progress(evaluation) if evaluation.state == "running" else None
        return None if found is None else RunProgressOut(found).data


class EvaluationRunIn(serializers.Serializer):
    """An evaluation of a face model on a frozen set of photos."""

    benchmark_set = serializers.CharField(max_length=60, help_text="Its name or id.")
    model = serializers.CharField(max_length=80, default=registry.DEFAULT)
    cohorts = serializers.ListField(
        child=serializers.CharField(max_length=100), default=list, help_text='Columns, or several joined by " x ".'
    )
    acceptance_policy = serializers.CharField(max_length=40, default="statutory")
    target_fmr = serializers.FloatField(default=1e-3)
    seed = serializers.IntegerField(default=1, min_value=0, max_value=2**31)
    title = serializers.CharField(max_length=200, default="", allow_blank=True)
    generated_people = serializers.BooleanField(default=False)


class BenchmarkSets(View):
    """The frozen sets."""

    access = _READERS
    pagination_class = Pages

    @operation("list_benchmark_sets", "The frozen benchmark sets, by name.", gives=BenchmarkSetOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(BenchmarkSetOut, BenchmarkSet.objects.order_by("name"))


class BenchmarkSetDetail(View):
    """One set."""

    access = _READERS

    @operation("read_benchmark_set", "One frozen benchmark set.", gives=BenchmarkSetOut)
    def get(self, request: Request, set_id: uuid.UUID) -> Response:
        return self.answer(BenchmarkSetOut, benchmarks.find(str(set_id)))


class EvaluationRuns(View):
    """Evaluations in any state."""

    access = _READERS
    pagination_class = Pages

    @operation("list_evaluation_runs", "All evaluations, newest first.", gives=EvaluationRunOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(EvaluationRunOut, Evaluation.objects.order_by("-started_at"))

    @having(Permission.RUN_EVALUATIONS)
    @operation(
        "start_evaluation_run",
        "Start an evaluation on a frozen set of photos; workers do it.",
        takes=EvaluationRunIn,
        gives=EvaluationRunDetailOut,
        status=201,
    )
    def post(self, request: Request) -> Response:
        wanted = self.given(EvaluationRunIn)
        name = wanted.pop("benchmark_set")
        try:
            benchmark = benchmarks.find(name)
        except NotFound as error:
            raise Invalid("The evaluation cannot be started.", {"benchmark_set": [error.sentence]}) from error
        if benchmark.kind != BenchmarkSet.Kind.PHOTOS:
            sentence = f"{name} holds no photos. Measure it with manage.py evaluate --set."
            raise Invalid("The evaluation cannot be started.", {"benchmark_set": [sentence]})
        made = evaluations.start(by=self.person, benchmark=benchmark, **wanted)
        return self.answer(EvaluationRunDetailOut, made, 201)


class EvaluationRunDetail(View):
    """One evaluation while it runs."""

    access = _READERS

    @operation("read_evaluation_run", "One evaluation and how far it is.", gives=EvaluationRunDetailOut)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        return self.answer(EvaluationRunDetailOut, evaluations.find(run_id))


class _Act(View):
    """Something that a custodian does to an evaluation."""

    access = _RUNNERS

    def done(self, run_id: uuid.UUID, act: Callable[..., None]) -> Response:
        evaluation = evaluations.find(run_id)
        act(by=self.person, evaluation=evaluation)
        return self.answer(EvaluationRunDetailOut, evaluation)


class EvaluationRunPause(_Act):
    """Pausing."""

    @operation("pause_evaluation_run", "Let workers begin nothing more of it.", gives=EvaluationRunDetailOut)
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        return self.done(run_id, evaluations.pause)


class EvaluationRunResume(_Act):
    """Resuming."""

    @operation("resume_evaluation_run", "Go on where it was paused or failed.", gives=EvaluationRunDetailOut)
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        return self.done(run_id, evaluations.resume)


class EvaluationRunCancel(_Act):
    """Cancelling."""

    @operation("cancel_evaluation_run", "Stop it for good.", gives=EvaluationRunDetailOut)
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        return self.done(run_id, evaluations.cancel)
