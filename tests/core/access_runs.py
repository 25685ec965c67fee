"""Rows of the access table for benchmark sets and evaluations while they run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from django.utils import timezone

from audit import benchmarks
from audit.fairness.sets import freezing
from audit.models import BenchmarkSet, Evaluation
from core import state
from tests.core.access_rows import Row, api, page
from tests.people import Cast

_numbers = itertools.count(1)

TABLE: Final[dict[str, Row]] = {
    "benchmark_sets": page(200),
    "benchmark_set": page(200),
    "benchmark_left_out": page(custodian=200),
    "evaluation_runs": page(200),
    "evaluation_start": page(custodian=200),
    "evaluation_start POST": page(custodian=422),
    "evaluation_run": page(200),
    "evaluation_run_progress": page(200),
    "evaluation_pause": page(custodian=405),
    "evaluation_pause POST": page(custodian=302),
    "evaluation_resume": page(custodian=405),
    "evaluation_resume POST": page(custodian=409),
    "evaluation_cancel": page(custodian=405),
    "evaluation_cancel POST": page(custodian=302),
    "api:benchmark_sets": api(200),
    "api:benchmark_set": api(200),
    "api:evaluation_runs": api(200),
    "api:evaluation_runs POST": api(custodian=422),
    "api:evaluation_run": api(200),
    "api:evaluation_run_pause": api(custodian=405),
    "api:evaluation_run_pause POST": api(custodian=200),
    "api:evaluation_run_resume": api(custodian=405),
    "api:evaluation_run_resume POST": api(custodian=409),
    "api:evaluation_run_cancel": api(custodian=405),
    "api:evaluation_run_cancel POST": api(custodian=200),
}


def _run(cast: Cast) -> dict[str, Any]:
    made = Evaluation.objects.create(
        face_model_name="dlib",
        title="A test",
        manifest="manifest.csv",
        acceptance_policy="demo",
        target_fmr=0.001,
        seed=1,
        folder="nowhere",
        started_by=cast.carl,
        started_at=timezone.now(),
    )
    return {"run_id": made.pk}


def _set(cast: Cast) -> dict[str, Any]:
    made = BenchmarkSet(
        name=f"set-{next(_numbers)}",
        layout="folders",
        kind="photos",
        source="nowhere",
        sha256="0" * 64,
        people=2,
        items=2,
        left_out=0,
        label_source="not stated",
        licence="Ours",
        citation="Ours",
        added_by=cast.carl,
        added_at=timezone.now(),
    )
    folder = state.directory("benchmarks") / str(made.id)
    folder.mkdir()
    (folder / freezing.LEFT_OUT).write_bytes(freezing.left_out_csv([]))
    made.folder = str(folder)
    made.save()
    assert benchmarks.find(made.name) == made
    return {"set_id": made.pk}


ARGUMENTS: Final[dict[str, Callable[[Cast], dict[str, Any]]]] = {
    name: _set if "_set" in name or "left_out" in name else _run
    for name in TABLE
    if " " not in name and not name.endswith(("_sets", "_runs", "_start"))
}
