"""How workers share an evaluation: stages in order, each divided into chunks, every chunk a row with a job of its own.

prepare -> embed (chunks of photos) -> choose the threshold (chunks of pairs) -> compare (chunks of pairs) -> report. A chunk that is done is never done again: what a killed worker loses is the
chunk it was at, which the reconciler queues again. Whoever finishes the last chunk of a stage queues the next stage, in
the transaction that says the chunk is done. Pausing makes every job end before it begins; resuming queues what waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from audit import evaluation_material as material
from audit.fairness.acceptance import load_policy
from audit.fairness.chunks import Partial, Plan, compare_chunk
from audit.fairness.cohorts import CohortError
from audit.fairness.comparisons import Comparisons, merge
from audit.fairness.evaluation import conclude
from audit.fairness.evidence import Progress
from audit.fairness.extraction import extract
from audit.fairness.pairs import Pairs, conclude_pairs, gather_pairs, pairs_of
from audit.fairness.run import Written, write
from audit.fairness.scores import ComparisonError
from audit.fairness.sets.photos import PhotoSet
from audit.fairness.sets.rows import DatasetError
from audit.fairness.sets.samples import Samples
from audit.fairness.sets.scores import read_scores
from audit.log import journal
from audit.models import Evaluation, EvaluationChunk
from core import jobs, state
from core.exceptions import Conflict, Invalid
from core.faces import registry
from core.models import Job, JobState, User
from core.permissions import signature
from core.person_roles import Permission

PREPARE: Final = "evaluation"
CHUNK: Final = "evaluation_chunk"
PLAN_CHOOSING: Final = "evaluation_choose"
PLAN_COMPARING: Final = "evaluation_compare"
REPORT: Final = "evaluation_report"
KINDS: Final = (PREPARE, CHUNK, PLAN_CHOOSING, PLAN_COMPARING, REPORT)
EMBED: Final = "embed"
CHOOSE: Final = "choose threshold"
COMPARE: Final = "compare"
PHOTOS_PER_CHUNK: Final = 32  # what a killed worker has to embed again at most; those that it cached it has not
_VERDICTS: Final = {"met": "met", "not met": "not_met", "cannot be shown": "cannot_be_shown"}

# (what, done, total): how far the job of this process is, for a progress bar
Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Manner:
    """How this process works: a worker sends the jobs it makes to all workers, a command takes them itself."""

    send: bool = True
    told: Told | None = None


_WORKER: Final = _Manner()
_manner: ContextVar[_Manner] = ContextVar("manner of evaluating", default=_WORKER)


class Paused(Exception):
    """Somebody paused or cancelled the evaluation: the handler stops here and leaves the rest."""


def pauses() -> AbstractContextManager[None]:
    """A job that ends because the evaluation was paused has done its part; resuming makes another."""
    return suppress(Paused)


def prepare(running: jobs.RunningJob) -> None:
    """List the photos with their hashes, say in the log which face model is measured, and divide the photos."""
    evaluation = Evaluation.objects.get(id=running.subject)
    if evaluation.state != "running" or evaluation.chunks.exists():
        return
    tell = _teller(running, evaluation)
    if evaluation.kind == Evaluation.Kind.PHOTOS:
        engine = registry.engine(evaluation.face_model_name, state.models_dir())
        with _sentences():
            photos = material.list_photos(evaluation, tell)
        model, ranges = engine.identity().hash, _ranges(len(photos.photos))
    else:
        model, ranges = evaluation.face_model, []
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=evaluation.id)
        if locked.state != "running" or locked.chunks.exists():
            return
        _begin(locked, model)
        EvaluationChunk.objects.bulk_create(
            EvaluationChunk(evaluation=locked, stage=EMBED, number=number, first=first, last=last, items=last - first)
            for number, (first, last) in enumerate(ranges)
        )
        queue_what_waits(locked)


def _begin(evaluation: Evaluation, model: str) -> None:
    """Say which face model is measured; an evaluation that goes on keeps the one it began with."""
    if evaluation.face_model not in ("", model):
        raise Conflict(
            "The face model is not the one that this evaluation is of: its files have been changed. Start a new one."
        )
    if evaluation.set_hash:
        return
    evaluation.face_model, evaluation.set_hash = model, material.set_hash(evaluation)
    evaluation.save(update_fields=["face_model", "set_hash"])
    if evaluation.repeats is not None:
        return  # who repeats it has said so
    journal.record(
        "evaluation:run:started",
        run=evaluation.id,
        model=model,
        set=evaluation.set_hash,
        excluded=len(evaluation.excluded) or None,
        **signature(evaluation.started_by, Permission.RUN_EVALUATIONS),
    )


def _ranges(photos: int) -> list[tuple[int, int]]:
    return [(first, min(first + PHOTOS_PER_CHUNK, photos)) for first in range(0, photos, PHOTOS_PER_CHUNK)]


def chunk(running: jobs.RunningJob) -> None:
    """Do one chunk. Embeddings are remembered by face model and photo, so nothing of a chunk is lost but one photo."""
    found = EvaluationChunk.objects.select_related("evaluation__benchmark_set").get(id=running.subject)
    evaluation = found.evaluation
    if found.done_at is not None or evaluation.state != "running":
        return
    EvaluationChunk.objects.filter(id=found.id).update(runs=F("runs") + 1)
    tell = _teller(running, evaluation, found)
    with _sentences():
        if found.stage == EMBED:
            _embed(evaluation, found, tell)
        else:
            _compare(evaluation, found, tell)
    done(found)


def _embed(evaluation: Evaluation, found: EvaluationChunk, tell: Callable[[Progress], None]) -> None:
    extract(
        _part(material.frozen(evaluation).photos, found.first, found.last),
        material.engine(evaluation),
        cache_dir=state.directory("embeddings"),
        progress=lambda done, total: tell(Progress("extract", done, total)),
    )


def _compare(evaluation: Evaluation, found: EvaluationChunk, tell: Callable[[Progress], None]) -> None:
    """Compare one chunk of a plan and keep what was found as a file, which is there whole or not at all."""
    shared = material.shared(evaluation)
    work = shared.choosing if found.stage == CHOOSE else shared.reporting
    pairs = 0

    def count(more: int) -> None:
        nonlocal pairs
        pairs += more
        tell(Progress("compare", pairs, found.items))

    partial = compare_chunk(shared.vectors(work), work, work.chunks[found.number], count)
    material.keep(material.partial_file(evaluation, found.stage, found.number), partial.to_bytes())


def plan_choosing(running: jobs.RunningJob) -> None:
    """Divide the comparisons that the threshold is chosen on."""
    evaluation = Evaluation.objects.select_related("benchmark_set").get(id=running.subject)
    if evaluation.state == "running" and not evaluation.chunks.filter(stage=CHOOSE).exists():
        with _sentences():
            work = material.shared(evaluation).choosing
        _plan(evaluation, CHOOSE, work)


def plan_comparing(running: jobs.RunningJob) -> None:
    """Choose the threshold, and divide the comparisons that are reported."""
    evaluation = Evaluation.objects.select_related("benchmark_set").get(id=running.subject)
    if evaluation.state == "running" and not evaluation.chunks.filter(stage=COMPARE).exists():
        with _sentences():
            if (choosing := _merged(evaluation, CHOOSE)) is None:
                return
            threshold = material.shared(evaluation).halves.threshold(choosing).value
            material.keep(material.folder(evaluation) / material.THRESHOLD, str(threshold).encode())
            work = material.shared(evaluation).reporting
        _plan(evaluation, COMPARE, work)


def _plan(evaluation: Evaluation, stage: str, work: Plan) -> None:
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=evaluation.id)
        if locked.chunks.filter(stage=stage).exists():
            return
        EvaluationChunk.objects.bulk_create(
            EvaluationChunk(
                evaluation=locked,
                stage=stage,
                number=one.number,
                first=one.first_row,
                last=one.last_row,
                items=one.pairs,
            )
            for one in work.chunks
        )
        queue_what_waits(locked)


def _merged(evaluation: Evaluation, stage: str) -> Comparisons | None:
    """What all chunks of a stage found. None when a result is gone or damaged: its chunk is queued again."""
    work = material.shared(evaluation).choosing if stage == CHOOSE else material.shared(evaluation).reporting
    partials, lost = [], []
    for one in work.chunks:
        try:
            partials.append(Partial.from_bytes(material.partial_file(evaluation, stage, one.number).read_bytes()))
        except (OSError, ComparisonError):
            lost.append(one.number)
    if not lost:
        return merge(work, partials)
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=evaluation.id)
        locked.chunks.filter(stage=stage, number__in=lost).update(done_at=None)
        queue_what_waits(locked)
    return None


def done(found: EvaluationChunk) -> None:
    """Say that a chunk is done, and queue the next stage when it was the last."""
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=found.evaluation_id)
        EvaluationChunk.objects.filter(id=found.id, done_at=None).update(done_at=Now())
        if not locked.chunks.filter(done_at=None).exists():
            queue_what_waits(locked)


def queue_what_waits(evaluation: Evaluation, *, send: bool = True) -> None:
    """Queue the jobs of an evaluation that has none: its open chunks, or the next stage. Live jobs stay as they are."""
    if evaluation.state != "running":
        return
    send = send and _manner.get().send
    waiting = list(evaluation.chunks.filter(done_at=None).order_by("stage", "number"))
    for one in waiting:
        jobs.enqueue(kind=CHUNK, subject=one.id, send=send)
    if not waiting:
        jobs.enqueue(kind=_next(evaluation), subject=evaluation.id, send=send)


def _next(evaluation: Evaluation) -> str:
    """The kind of job that is due when no chunk is open."""
    if not evaluation.set_hash:
        return PREPARE
    stages = set(evaluation.chunks.values_list("stage", flat=True))
    if evaluation.kind == Evaluation.Kind.SCORES or COMPARE in stages:
        return REPORT
    if evaluation.kind == Evaluation.Kind.PHOTOS and EMBED in stages and material.frozen(evaluation).pairs:
        return REPORT  # fixed pairs are few: one worker compares them
    return PLAN_COMPARING if CHOOSE in stages else PLAN_CHOOSING


def report(running: jobs.RunningJob) -> None:
    """Measure what was embedded, write the report and publish it."""
    evaluation = Evaluation.objects.select_related("benchmark_set").get(id=running.subject)
    if evaluation.state != "running":
        return
    tell = _teller(running, evaluation)
    with _sentences():
        written = _measure(evaluation, tell)
    if written is not None:
        _publish(evaluation, written)
        material.forget(evaluation)


def _measure(evaluation: Evaluation, tell: Callable[[Progress], None]) -> Written | None:
    begun = time.monotonic()
    if evaluation.kind == Evaluation.Kind.SCORES:
        return _measure_scores(evaluation, tell, begun)
    if evaluation.kind == Evaluation.Kind.PHOTOS and (frozen := material.frozen(evaluation)).pairs:
        samples = material.samples_of(evaluation)
        return _measure_pairs(evaluation, pairs_of(frozen.photos, frozen.pairs, samples), samples, tell, begun)
    shared = material.shared(evaluation)
    choosing, reporting = _merged(evaluation, CHOOSE), _merged(evaluation, COMPARE)
    if choosing is None or reporting is None:
        return None
    searches = shared.halves.searches(lambda done, total: tell(Progress("search", done, total)))
    evidence = shared.halves.assemble(choosing, reporting, searches)
    return write(
        shared.halves.samples,
        conclude(evidence, shared.halves.parameters),
        Path(evaluation.folder),
        material.provenance(evaluation),
        evidence=evidence,
        policy=load_policy(evaluation.acceptance_policy),
        progress=tell,
        started=begun,
    )


def _measure_scores(evaluation: Evaluation, tell: Callable[[Progress], None], begun: float) -> Written:
    """Scores are read by one worker; who takes over from a killed one reads them again."""
    keep = material.folder(evaluation) / "scores.bin"
    keep.parent.mkdir(mode=0o700, exist_ok=True)
    pairs, samples = read_scores(
        Path(evaluation.manifest),
        keep,
        evaluation.face_model_name,
        lambda done, total: tell(Progress("read", done, total)),
    )
    if samples.set_hash != evaluation.set_hash:
        raise DatasetError("The table of scores has been changed since this evaluation was started.")
    return _measure_pairs(evaluation, pairs, samples, tell, begun)


def _measure_pairs(
    evaluation: Evaluation, pairs: Pairs, samples: Samples, tell: Callable[[Progress], None], begun: float
) -> Written:
    parameters = material.parameters(evaluation)
    evidence = gather_pairs(pairs, parameters)
    return write(
        samples,
        conclude_pairs(evidence, parameters, lambda done, total: tell(Progress("compare", done, total))),
        Path(evaluation.folder),
        material.provenance(evaluation),
        evidence=evidence,
        policy=load_policy(evaluation.acceptance_policy),
        progress=tell,
        started=begun,
    )


def _publish(evaluation: Evaluation, written: Written) -> None:
    from audit import repetitions

    assert written.verdict is not None, "a policy was given"
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=evaluation.id)
        if locked.state != "running":
            return
        locked.set_hash = written.set_hash
        locked.report_sha256 = written.sha256
        locked.verdict = _VERDICTS[written.verdict.outcome]
        locked.threshold = written.result.threshold.value
        locked.published_at = timezone.now()
        locked.save()
        journal.record(
            "evaluation:report:published",
            run=locked.id,
            model=locked.face_model,
            set=locked.set_hash,
            report=locked.report_sha256,
            verdict=locked.verdict,
            acceptance_policy=locked.acceptance_policy,
            threshold=locked.threshold,
        )
        repetitions.finished(locked)


def stopped(row: Job, by: User | None) -> None:
    """A job of an evaluation failed or was cancelled, in the caller's transaction: so has the evaluation."""
    from audit import repetitions

    chunk_of = Q(chunks__id=row.subject) if row.kind == CHUNK else Q(id=row.subject)
    owner = Evaluation.objects.filter(chunk_of).values("id")
    locked = Evaluation.objects.select_for_update().filter(id__in=owner).first()
    if locked is None or locked.state not in ("running", "paused"):
        return  # it was cancelled or had failed: its entry is there
    failed = row.state == JobState.FAILED
    locked.stopped_as = Evaluation.Stopped.FAILED if failed else Evaluation.Stopped.CANCELLED
    locked.problem = row.problem
    locked.save(update_fields=["stopped_as", "problem"])
    if failed:
        journal.record("evaluation:run:failed", run=locked.id, reason="failed")
    else:
        named = {} if by is None else signature(by, Permission.RUN_EVALUATIONS)
        journal.record("evaluation:run:cancelled", run=locked.id, **named)
    repetitions.failed(locked)


def live_jobs(evaluation: Evaluation) -> QuerySet[Job]:
    """The queued and running jobs of an evaluation, oldest first."""
    return all_jobs(evaluation).filter(state__in=(JobState.QUEUED, JobState.RUNNING)).order_by("created_at")


def all_jobs(evaluation: Evaluation) -> QuerySet[Job]:
    """The jobs of an evaluation and of its chunks."""
    mine = Q(subject=evaluation.id) | Q(subject__in=evaluation.chunks.values("id"))
    return Job.objects.filter(mine, kind__in=KINDS)


def run_here(evaluation: Evaluation, told: Told | None = None) -> Evaluation:
    """Work on the evaluation in this process, beside workers that have some of its chunks, until it ends or is paused."""
    before = _manner.set(_Manner(send=False, told=told))
    try:
        while True:
            evaluation.refresh_from_db()
            if evaluation.state != "running":
                return evaluation
            live = list(live_jobs(evaluation))
            queued = next((job for job in live if job.state == JobState.QUEUED), None)
            if queued is not None:
                jobs.run(queued.id)
            elif live:
                time.sleep(0.5)
                jobs.reconcile(send=False)
            else:
                with transaction.atomic():
                    queue_what_waits(Evaluation.objects.select_for_update().get(id=evaluation.id))
    finally:
        _manner.reset(before)


def _part(photos: PhotoSet, first: int, last: int) -> PhotoSet:
    return PhotoSet(photos.name, photos.photos[first:last], {}, (), (), photos.set_hash)


def _teller(
    running: jobs.RunningJob, evaluation: Evaluation, of: EvaluationChunk | None = None
) -> Callable[[Progress], None]:
    """Say how far this job is (a bar is told of the whole stage); ends it when the evaluation was paused meanwhile."""
    asked = time.monotonic()
    before = total = 0
    if of is not None:
        chunks = evaluation.chunks.filter(stage=of.stage)
        before, total = (sum(rows.values_list("items", flat=True)) for rows in (chunks.exclude(done_at=None), chunks))

    def tell(step: Progress) -> None:
        nonlocal asked
        running.progress(step.done, step.total, step.stage)
        told = _manner.get().told
        if told is not None:
            told(*((step.stage, step.done, step.total) if of is None else (of.stage, before + step.done, total)))
        if time.monotonic() - asked > 1:
            asked = time.monotonic()
            if Evaluation.objects.filter(id=evaluation.id).exclude(stopped_as="").exists():
                raise Paused

    return tell


@contextmanager
def _sentences() -> Iterator[None]:
    """What makes a set unusable becomes a refusal with its sentence."""
    try:
        yield
    except (DatasetError, CohortError, ComparisonError) as problem:
        raise Invalid(str(problem)) from problem
