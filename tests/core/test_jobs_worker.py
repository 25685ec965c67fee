"""A real Celery worker on the embedded broker, killed in the middle of a job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from core import jobs
from core.models import Job, JobState
from tests.core.worker_jobs import STEPS, counted

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def worker(database: Any, queues: str = "search,default,enrolment,evaluation") -> Iterator[subprocess.Popen[bytes]]:
    """A worker with one pool process, in a process group of its own; what is left of it is killed at the end."""
    command = [sys.executable, "-m", "celery", "-A", "core.celery:app", "worker", "--include", "tests.core.worker_jobs"]
    with (database.home / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--concurrency", "1", "--queues", queues, "--loglevel", "INFO"],
            cwd=ROOT,
            env={**database.environment, "GLASSCASE_JOB_STALE_SECONDS": "2"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def wait_for(condition: Any, seconds: float, log: Path) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.05)


def test_a_job_survives_its_worker_and_is_finished_once(database: Any, settings: Any) -> None:
    settings.GLASSCASE_JOB_STALE_SECONDS = 2
    log = database.home / "worker.log"
    row = jobs.enqueue(kind="test:count", subject=uuid.uuid4())
    with worker(database) as first:
        wait_for(lambda: len(counted(database.home)) >= 3, 60, log)
        kill(first)
    row.refresh_from_db()
    assert row.state == JobState.RUNNING
    before = len(counted(database.home))
    assert 3 <= before < STEPS

    def done() -> bool:
        jobs.reconcile()
        return Job.objects.get(id=row.id).state == JobState.DONE

    with worker(database):
        wait_for(done, 60, log)
    row.refresh_from_db()
    assert row.attempts == 2
    assert counted(database.home) == list(range(STEPS))
    assert Job.objects.count() == 1
