"""What workers do for this app. Imported at start-up, so what is heavy is imported inside."""

from __future__ import annotations

from core import jobs
from core.models import Job, JobState, User


def _stopped(row: Job, by: User | None) -> None:
    from audit import evaluations

    evaluations.stopped(row.subject, "cancelled" if row.state == JobState.CANCELLED else "failed", by)


@jobs.job("evaluation", queue="evaluation", stopped=_stopped)
def evaluate(running: jobs.RunningJob) -> None:
    from audit import evaluations

    evaluations.work(running)
