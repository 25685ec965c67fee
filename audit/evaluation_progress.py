"""How far an evaluation is, how fast, and how long it will still take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Min, Sum
from django.utils import timezone

from audit import evaluation_work
from audit.models import Evaluation, EvaluationChunk
from core.models import Job, JobState

# stage of a job or chunk -> what is done, and what is counted
STAGES: Final = {
    "read": ("Listing the photos", "photos"),
    "embed": ("Finding and embedding faces", "photos"),
    "extract": ("Collecting the embeddings", "photos"),
    "choose threshold": ("Choosing the threshold", "pairs"),
    "compare": ("Comparing all pairs", "pairs"),
    "search": ("Searching the evaluation editions", "searches"),
    "scores": ("Reading the scores", "scores"),
    "write": ("Writing the report", "steps"),
}
_LEAST_SECONDS: Final = 2.0  # before that a rate is noise


@dataclass(frozen=True)
class RunProgress:
    """`rate` is items per second of all workers together; None, as `seconds_left`, while too little is done to say."""

    title: str
    unit: str
    done: int
    total: int
    workers: int
    rate: float | None = None
    seconds_left: float | None = None


def progress(evaluation: Evaluation) -> RunProgress | None:
    """The stage that is being done; None before the first worker has said anything, and when there is nothing to do."""
    running = list(evaluation_work.live_jobs(evaluation).filter(state=JobState.RUNNING))
    opened = evaluation.chunks.filter(done_at=None).order_by("stage").values_list("stage", flat=True).first()
    if opened is not None:
        return _of_chunks(evaluation, opened, running)
    if not running or not running[-1].stage:
        return None
    job = running[-1]
    return _with_rate(job.stage, job.done, job.total or 0, len(running), job.done, job.started_at)


def _of_chunks(evaluation: Evaluation, stage: str, running: list[Job]) -> RunProgress:
    chunks = evaluation.chunks.filter(stage=stage)
    total = _items(chunks.aggregate(n=Sum("items"))["n"])
    done = _items(chunks.exclude(done_at=None).aggregate(n=Sum("items"))["n"])
    begun = Job.objects.filter(kind=evaluation_work.CHUNK, subject__in=chunks.values("id")).aggregate(
        t=Min("started_at")
    )
    since = max((one for one in (begun["t"], evaluation.resumed_at) if one is not None), default=None)
    lately = 0
    if since is not None:
        lately = _items(chunks.filter(done_at__gte=since).aggregate(n=Sum("items"))["n"])
    now = sum(min(job.done, _size(job)) for job in running if job.kind == evaluation_work.CHUNK)
    return _with_rate(stage, done + now, total, len(running), lately + now, since)


def _size(job: Job) -> int:
    found = EvaluationChunk.objects.filter(id=job.subject, done_at=None).values_list("items", flat=True).first()
    return found or 0


def _items(value: object) -> int:
    return int(value) if isinstance(value, int) else int(str(value)) if value is not None else 0


def _with_rate(stage: str, done: int, total: int, workers: int, lately: int, since: datetime | None) -> RunProgress:
    title, unit = STAGES.get(stage, (stage, "steps"))
    seconds = (timezone.now() - since).total_seconds() if since is not None else 0.0
    if seconds < _LEAST_SECONDS or lately <= 0:
        return RunProgress(title, unit, done, total, workers)
    rate = lately / seconds
    return RunProgress(title, unit, done, total, workers, rate, max(total - done, 0) / rate if total else None)
