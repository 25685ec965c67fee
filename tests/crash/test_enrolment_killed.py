"""An enrolment whose process is killed with SIGKILL at each of its steps; the next process finishes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core import jobs
from core.models import Job, JobState
from search import enrolment
from search.models import EnrolledPhoto, Enrolment
from tests.core.test_jobs_worker import kill, worker
from tests.search.conftest import entries, real_shelf, shelf  # noqa: F401 - fixtures
from tests.search.shelf import Shelf, all_of

ROOT = Path(__file__).resolve().parents[2]
PHOTOS, CHUNK = 10, 4


def process(database: Any, shelf: Shelf, manifest: Path, stop_at: str = "") -> subprocess.Popen[str]:  # noqa: F811
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.enrolling", str(shelf.gallery.id), str(manifest)],
        cwd=ROOT,
        env={**database.environment, "GLASSCASE_STOP_AT": stop_at, "GLASSCASE_JOB_STALE_SECONDS": "2"},
        stdout=subprocess.PIPE,
        text=True,
    )


def lines(started: subprocess.Popen[str], until: str) -> list[str]:
    """What the process prints up to a line; fails when it ends before."""
    assert started.stdout is not None
    found: list[str] = []
    for line in started.stdout:
        found.append(line.strip())
        if found[-1].startswith(until):
            return found
    raise AssertionError(f"the process ended before {until!r}: {found[-3:]}")


@pytest.mark.slow
@pytest.mark.parametrize("point", ["opening", "keys", "files", "copying", "stored", "sealing"])
def test_a_killed_enrolment_loses_nothing_and_repeats_nothing(
    database: Any,
    shelf: Shelf,  # noqa: F811
    as_superuser: psycopg.Connection,
    entries: Callable[..., list[dict[str, Any]]],  # noqa: F811
    point: str,
) -> None:
    manifest = shelf.manifest(PHOTOS)
    first = process(database, shelf, manifest, point)
    before = lines(first, "here")
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait(10) == -signal.SIGKILL
    assert first.stdout is not None
    first.stdout.close()

    second = process(database, shelf, manifest)
    after = lines(second, "ended")
    assert second.wait(30) == 0
    assert second.stdout is not None
    second.stdout.close()
    assert after[-1] == "ended done"

    computed = [line for line in before + after if line.startswith("photo")]
    assert len(set(computed)) == PHOTOS
    assert len(computed) <= PHOTOS + CHUNK
    assert shelf.kept(as_superuser) == all_of(PHOTOS)
    run = Enrolment.objects.get()
    assert (run.version, run.reruns, enrolment.report(run).enrolled) == (1, 0, PHOTOS)
    assert Job.objects.get().attempts == 2
    for type_ in ("gallery:enrolment:started", "gallery:batch:opened", "gallery:batch:sealed"):
        assert len(entries(type_)) == 1
    [finished] = entries("gallery:enrolment:finished")
    assert finished["enrolled"] == PHOTOS
    assert not entries("gallery:enrolment:failed")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_command_leaves_no_process_behind_and_is_simply_given_again(
    database: Any,
    real_shelf: Shelf,  # noqa: F811
    portraits: Callable[..., Path],
    as_superuser: psycopg.Connection,
) -> None:
    """With the real face model and two processes that compute."""
    manifest = portraits(20, 1)
    command = [sys.executable, "manage.py", "enroll", "bookings", "--manifest", str(manifest), "--workers", "2"]
    environment = {**database.environment, "GLASSCASE_JOB_STALE_SECONDS": "2"}
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    wait_until(lambda: EnrolledPhoto.objects.count() >= 16, 60)
    computing = children(first.pid)
    assert len(computing) >= 2
    first.kill()
    first.wait(10)
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in computing), 10)
    assert Enrolment.objects.get().version is None

    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120)
    summary = json.loads(second.stdout.splitlines()[-1])
    assert (summary["photos"], summary["enrolled"], summary["version"]) == (20, 20, 1)
    assert real_shelf.kept(as_superuser) == all_of(20)


@pytest.mark.slow
def test_a_killed_celery_worker_leaves_its_enrolment_to_the_next_one(
    database: Any,
    settings: Any,
    real_shelf: Shelf,  # noqa: F811
    portraits: Callable[..., Path],
    as_superuser: psycopg.Connection,
) -> None:
    """With the real face model, which a pool process loads after the fork."""
    settings.GLASSCASE_JOB_STALE_SECONDS = 2
    run = enrolment.start(
        by=real_shelf.cast.carl, gallery=real_shelf.gallery, manifest=portraits(20, 1), face_model=real_shelf.model
    )
    with worker(database) as first:
        wait_until(lambda: EnrolledPhoto.objects.count() >= 16, 60)
        kill(first)
    run.refresh_from_db()
    assert run.version is None

    def done() -> bool:
        jobs.reconcile()
        return enrolment.job_of(run).state == JobState.DONE

    with worker(database):
        wait_until(done, 90)
    run.refresh_from_db()
    assert (run.version, enrolment.job_of(run).attempts) == (1, 2)
    assert real_shelf.kept(as_superuser) == all_of(20)
