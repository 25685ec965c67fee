"""Adopted evaluations are done again every month: the same photos, the same parameters, the same face model.

What is repeated on an unchanged machine gives the same record to the byte. A rate outside the interval that was adopted, or a
repetition that fails, opens a finding for the oversight board.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit import comparison, evaluation_work, findings, reports
from audit.fairness.acceptance import load_policy
from audit.fairness.sets.photos import file_sha256
from audit.log import journal
from audit.models import Evaluation, FindingKind
from core import jobs, state
from core.exceptions import NotFound

EVERY: Final = timedelta(days=30)
_MOST_SENTENCES: Final = 12


def due() -> list[Evaluation]:
    """The adopted evaluations whose last run began a month ago or longer: of each face model the one adopted last."""
    adopted: QuerySet[Evaluation] = Evaluation.objects.filter(adopted_at__isnull=False).order_by("-adopted_at")
    latest: dict[str, Evaluation] = {}
    for one in adopted:
        latest.setdefault(one.face_model, one)
    since = timezone.now() - EVERY
    return [
        one
        for one in latest.values()
        if one.started_at <= since and _is_current(one) and not one.repetitions.filter(started_at__gt=since).exists()
    ]


def _is_current(evaluation: Evaluation) -> bool:
    assert evaluation.published_at is not None, "only published evaluations are adopted"
    age = (timezone.now() - evaluation.published_at).days
    return load_policy(evaluation.acceptance_policy).is_current(age)


def start_due() -> int:
    """Start every repetition that is due; returns how many. One whose manifest is gone opens a finding at once."""
    started = 0
    for original in due():
        if _start(original):
            started += 1
    return started


def _start(original: Evaluation) -> bool:
    repetition = Evaluation(
        face_model=original.face_model,
        face_model_name=original.face_model_name,
        title=original.title,
        kind=original.kind,
        manifest=original.manifest,
        benchmark_set=original.benchmark_set,
        cohorts=original.cohorts,
        acceptance_policy=original.acceptance_policy,
        target_fmr=original.target_fmr,
        seed=original.seed,
        generated_people=original.generated_people,
        label_source=original.label_source,
        excluded=original.excluded,
        started_by=original.started_by,
        started_at=timezone.now(),
        repeats=original,
    )
    repetition.folder = str((state.directory("evaluations") / str(repetition.pk)).resolve())
    try:
        frozen = original.benchmark_set
        manifest = frozen.sha256 if frozen is not None else file_sha256(Path(original.manifest))
    except OSError:
        manifest = ""
    with transaction.atomic():
        # Two schedulers at once: the row of the original is the lock.
        Evaluation.objects.select_for_update().get(pk=original.pk)
        if original.repetitions.filter(started_at__gt=repetition.started_at - EVERY).exists():
            return False
        repetition.save()
        if not manifest:
            failed(repetition)
            return False
        journal.record(
            "evaluation:run:started",
            run=repetition.pk,
            model=repetition.face_model,
            set=manifest,
            repeats=original.pk,
        )
        jobs.enqueue(kind=evaluation_work.PREPARE, subject=repetition.pk)
    return True


def finished(repetition: Evaluation) -> None:
    """Compare a repetition that was just published with what it repeats, in the caller's transaction."""
    original = repetition.repeats
    if original is None or repetition.report_sha256 == original.report_sha256:
        return
    try:
        before = reports.read(original)
    except NotFound as problem:
        findings.report(FindingKind.NOT_REPEATED, f"The adopted report cannot be read: {problem.sentence}", original)
        return
    found = comparison.shifts(before, reports.read(repetition))
    if repetition.set_hash != original.set_hash:
        found.insert(0, "The photos are not those of the adopted evaluation any more.")
    if found:
        shown, more = found[:_MOST_SENTENCES], len(found) - _MOST_SENTENCES
        text = " ".join([*shown, f"And {more} more."] if more > 0 else shown)
        findings.report(FindingKind.SHIFT, f"{original.title}, done again: {text}", repetition)


def failed(repetition: Evaluation) -> None:
    """A repetition did not come to an end: that is a finding as well. In the caller's transaction."""
    if repetition.repeats is not None:
        findings.report(
            FindingKind.NOT_REPEATED,
            f"{repetition.title} could not be done again on {repetition.started_at:%d %B %Y}: its photos or its face model "
            "are gone or changed, or the work failed. Until it is repeated, nobody knows whether the adopted rates hold.",
            repetition,
        )
