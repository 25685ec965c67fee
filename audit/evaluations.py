"""Evaluations as work of this installation: started, paused, resumed, cancelled, published; their files handed out.

What is measured is in `audit.fairness`, how workers share it in `audit.evaluation_work`; adopting a verdict and its
threshold is an act of the gate (`search.thresholds`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from django.db import transaction
from django.utils import timezone

from audit import evaluation_material, evaluation_work, permissions
from audit.benchmarks import LABEL_SOURCES
from audit.fairness.acceptance import PolicyError, load_policy
from audit.fairness.cohorts import JOIN
from audit.fairness.sets.excluded import Pair, in_order
from audit.fairness.sets.photos import file_sha256
from audit.fairness.sets.scores import COHORT
from audit.log import journal
from audit.models import BenchmarkSet, Evaluation
from core import jobs, state
from core.exceptions import Conflict, Invalid, NotFound
from core.faces import registry
from core.faces.engines import UnusableModel
from core.models import User
from core.permissions import signature
from core.person_roles import Permission

_STATED: Final = "A name of the face model has printable characters, at most 80."


# The files of a report lie side by side and end like this.
_SUFFIXES: Final = frozenset({".json", ".csv", ".svg", ".png", ".html", ".pdf", ".zip"})


def start(
    *,
    by: User,
    manifest: Path | None = None,
    embeddings: Path | None = None,
    scores: Path | None = None,
    benchmark: BenchmarkSet | None = None,
    model: str = registry.DEFAULT,
    face_model: str = "",
    cohorts: Sequence[str] = (),
    title: str = "",
    acceptance_policy: str = "statutory",
    target_fmr: float = 1e-3,
    seed: int = 1,
    generated_people: bool = False,
    label_source: str = "not stated",
    excluded: Iterable[Pair] = (),
    out: Path | None = None,
    here: bool = False,
) -> Evaluation:
    """Starts an evaluation of a face model on a manifest, on embeddings or scores that somebody else computed, or on a
    frozen set: exactly one of the four. Workers do it, or with `here` the caller by `evaluation_work.run_here`.

    For embeddings and scores `model` is only a name that the caller states: such an evaluation is never one of a face
    model of this installation. `face_model` is the hash that the model must still have when a worker begins, where it
    matters. `excluded` are pairs of people whose labels a review found wrong: the report has rates with
    and without them. Raises NotAllowed, or Invalid naming the field.
    """
    permissions.check_can_run_evaluations(by)
    excluded = in_order(excluded)
    kind, source = _source(manifest, embeddings, scores, benchmark)
    errors: dict[str, list[str]] = {}
    if kind == Evaluation.Kind.SCORES and tuple(cohorts) not in ((), (COHORT,)):
        errors["cohorts"] = [f'A table of scores has one cohort column, "{COHORT}".']
    cohorts = (COHORT,) if kind == Evaluation.Kind.SCORES else cohorts
    if not source.exists():
        errors["manifest" if kind == Evaluation.Kind.PHOTOS else kind] = [
            f"There is no manifest at {source}. Name a CSV file with the columns person_id,file."
            if kind == Evaluation.Kind.PHOTOS
            else f"There is no file {source}."
        ]
    if not 0 < target_fmr < 1:
        errors["target_fmr"] = ["The wanted false-match rate lies between 0 and 1, for example 0.001."]
    if len(",".join(cohorts)) > 200:
        errors["cohorts"] = ["These are too many cohort columns: at most 200 characters together."]
    if out is not None and not _is_for_reports(out):
        errors["out"] = [f"{out} holds other files, which would be published with the report. Name an empty directory."]
    if benchmark is not None and (unknown := _unknown_columns(benchmark, cohorts)):
        errors["cohorts"] = [
            f"{benchmark.name} has no cohort column {unknown[0]}; it has: {', '.join(benchmark.columns) or 'none'}."
        ]
    if excluded and (kind == Evaluation.Kind.SCORES or (benchmark is not None and benchmark.pairs)):
        errors["excluded"] = ["Pairs of people are left out only where all photos of a set are compared."]
    label_source = label_source if benchmark is None else benchmark.label_source
    if label_source not in LABEL_SOURCES:
        errors["label_source"] = [f"Say where the cohort labels come from: {', '.join(LABEL_SOURCES)}."]
    try:
        load_policy(acceptance_policy)
    except PolicyError as problem:
        errors["acceptance_policy"] = [str(problem)]
    if wrong := _wrong_model(kind, model):
        errors["model"] = [wrong]
    if errors:
        raise Invalid("The evaluation cannot be started.", errors)
    evaluation = Evaluation(
        face_model=face_model if kind == Evaluation.Kind.PHOTOS else stated_model(model),
        face_model_name=model,
        title=(title or f"{model} on {benchmark.name if benchmark else source.parent.name}")[:200],
        kind=kind,
        manifest=str(source),
        benchmark_set=benchmark,
        cohorts=",".join(cohorts),
        acceptance_policy=acceptance_policy,
        target_fmr=target_fmr,
        seed=seed,
        generated_people=generated_people,
        label_source=label_source,
        excluded=excluded,
        started_by=by,
        started_at=timezone.now(),
    )
    evaluation.folder = str((out or state.directory("evaluations") / str(evaluation.id)).resolve())
    with transaction.atomic():
        evaluation.save()
        journal.record(
            "evaluation:run:requested",
            run=evaluation.id,
            kind=str(kind),
            set=benchmark.sha256 if benchmark else file_sha256(source),
            **signature(by, Permission.RUN_EVALUATIONS),
        )
        jobs.enqueue(kind=evaluation_work.PREPARE, subject=evaluation.id, send=not here)
    return evaluation


def _source(
    manifest: Path | None, embeddings: Path | None, scores: Path | None, benchmark: BenchmarkSet | None
) -> tuple[BenchmarkSet.Kind, Path]:
    given = [one for one in (manifest, embeddings, scores, benchmark) if one is not None]
    if len(given) != 1:
        raise Invalid("Name one thing to measure on: a manifest, embeddings, scores or a frozen set.")
    if benchmark is not None:
        of_photos = benchmark.kind == BenchmarkSet.Kind.PHOTOS
        return BenchmarkSet.Kind(benchmark.kind), Path(benchmark.folder if of_photos else benchmark.source)
    if embeddings is not None:
        return BenchmarkSet.Kind.EMBEDDINGS, embeddings.resolve()
    if scores is not None:
        return BenchmarkSet.Kind.SCORES, scores.resolve()
    assert manifest is not None
    return BenchmarkSet.Kind.PHOTOS, manifest.resolve()


def _unknown_columns(benchmark: BenchmarkSet, cohorts: Sequence[str]) -> list[str]:
    return [part for axis in cohorts for part in axis.split(JOIN) if part.strip() not in benchmark.columns]


def _wrong_model(kind: BenchmarkSet.Kind, model: str) -> str | None:
    if kind != Evaluation.Kind.PHOTOS:
        return None if model.strip() and model.isprintable() and len(model) <= 80 else _STATED
    try:
        return registry.record(model, state.models_dir()).problem
    except UnusableModel as problem:
        return problem.sentence


def stated_model(name: str) -> str:
    """What stands for the hash of a face model that this installation never saw: no model of its own has it."""
    return hashlib.sha256(f"glasscase/stated-face-model/v1\n{name}".encode()).hexdigest()


def pause(*, by: User, evaluation: Evaluation) -> None:
    """Let workers finish what they are at and begin nothing more. Raises NotAllowed, Conflict."""
    _stop(by, evaluation, Evaluation.Stopped.PAUSED, "evaluation:run:paused", ("running",))


def cancel(*, by: User, evaluation: Evaluation) -> None:
    """Stop for good, also what workers are at. Raises NotAllowed, Conflict."""
    _stop(by, evaluation, Evaluation.Stopped.CANCELLED, "evaluation:run:cancelled", ("running", "paused", "failed"))
    for job in evaluation_work.live_jobs(evaluation):
        jobs.cancel(job, by=by)
    evaluation_material.forget(evaluation)


def _stop(by: User, evaluation: Evaluation, how: Evaluation.Stopped, event: str, when: Sequence[str]) -> None:
    from audit import repetitions

    permissions.check_can_run_evaluations(by)
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=evaluation.id)
        if locked.state not in when:
            raise Conflict(f"This evaluation is {locked.state}.")
        locked.stopped_as, locked.problem = how, ""
        locked.save(update_fields=["stopped_as", "problem"])
        journal.record(event, run=locked.id, **signature(by, Permission.RUN_EVALUATIONS))
        if how == Evaluation.Stopped.CANCELLED:
            repetitions.failed(locked)
    evaluation.refresh_from_db()


def resume(*, by: User, evaluation: Evaluation, here: bool = False) -> None:
    """Go on with a paused or failed evaluation where it stopped: what is done is not done again.

    Raises NotAllowed, Conflict.
    """
    permissions.check_can_run_evaluations(by)
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=evaluation.id)
        if locked.state not in ("paused", "failed"):
            raise Conflict(f"This evaluation is {locked.state}.")
        locked.stopped_as, locked.problem, locked.resumed_at = "", "", timezone.now()
        locked.save(update_fields=["stopped_as", "problem", "resumed_at"])
        journal.record("evaluation:run:resumed", run=locked.id, **signature(by, Permission.RUN_EVALUATIONS))
        evaluation_work.queue_what_waits(locked, send=not here)
    evaluation.refresh_from_db()


def find(identity: uuid.UUID) -> Evaluation:
    """An evaluation in any state. Raises NotFound."""
    found = Evaluation.objects.select_related("benchmark_set", "started_by").filter(id=identity).first()
    if found is None:
        raise NotFound("There is no evaluation with this id.")
    return found


def published(identity: uuid.UUID) -> Evaluation:
    """A published evaluation. Raises NotFound."""
    found = Evaluation.objects.filter(id=identity).exclude(published_at=None).first()
    if found is None:
        raise NotFound("There is no published evaluation with this id.")
    return found


def files(evaluation: Evaluation) -> list[str]:
    """The names of a report's files, relative to its folder, in order. Raises NotFound when the folder is not here."""
    try:
        return [path.name for path in sorted(Path(evaluation.folder).iterdir()) if _is_of_report(path)]
    except OSError as problem:
        raise NotFound("The files of this report are not on this machine.") from problem


def _is_of_report(path: Path) -> bool:
    return path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink()


def _is_for_reports(folder: Path) -> bool:
    """Whether nothing lies in the directory but an earlier report: all that is in it can be downloaded afterwards."""
    return not folder.exists() or (folder.is_dir() and all(_is_of_report(path) for path in folder.iterdir()))


def file(evaluation: Evaluation, name: str) -> Path:
    """One file of a published report. Raises NotFound for anything that the report does not hold."""
    if name not in files(evaluation):
        raise NotFound("The report has no such file.")
    return Path(evaluation.folder) / name


def download(*, by: User, evaluation: Evaluation, name: str) -> Path:
    """One file of a published report for somebody who takes it away; the log says so first. Raises NotAllowed, NotFound."""
    permissions.check_can_read_evaluations(by)
    found = file(evaluation, name)
    code = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name.lower()
    )
    journal.record_now(
        "evaluation:report:downloaded",
        run=evaluation.id,
        file=code.lstrip("._-")[:80] or "unnamed",
        **signature(by, Permission.READ_EVALUATIONS),
    )
    return found
