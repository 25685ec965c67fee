"""What workers do for this app. Imported at start-up, so what is heavy is imported inside."""

from __future__ import annotations

from core import jobs
from core.models import Job, User

_QUEUE = "evaluation"  # of its own, so that no search waits for an evaluation


def _stopped(row: Job, by: User | None) -> None:
    from audit import evaluation_work

    evaluation_work.stopped(row, by)


@jobs.job("evaluation", queue=_QUEUE, stopped=_stopped)
def prepare(running: jobs.RunningJob) -> None:
    from audit import evaluation_work

    with evaluation_work.pauses():
        evaluation_work.prepare(running)


@jobs.job("evaluation_chunk", queue=_QUEUE, stopped=_stopped)
def chunk(running: jobs.RunningJob) -> None:
    from audit import evaluation_work

    with evaluation_work.pauses():
        evaluation_work.chunk(running)


@jobs.job("evaluation_report", queue=_QUEUE, stopped=_stopped)
def report(running: jobs.RunningJob) -> None:
    from audit import evaluation_work

    with evaluation_work.pauses():
        evaluation_work.report(running)


@jobs.job("evaluation_choose", queue=_QUEUE, stopped=_stopped)
def choose(running: jobs.RunningJob) -> None:
    from audit import evaluation_work

    with evaluation_work.pauses():
        evaluation_work.plan_choosing(running)


@jobs.job("evaluation_compare", queue=_QUEUE, stopped=_stopped)
def compare(running: jobs.RunningJob) -> None:
    from audit import evaluation_work

    with evaluation_work.pauses():
        evaluation_work.plan_comparing(running)
