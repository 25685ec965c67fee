"""An evaluation whose process is killed with SIGKILL in each of its stages; the next process finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from audit import evaluation_work, evaluations
from audit.fairness import chunks
from audit.models import Evaluation
from core import jobs
from core.faces import registry
from core.models import Job
from tests import brokers
from tests.core.log_entries import entries
from tests.core.test_jobs_worker import kill, worker
from tests.crash import evaluating
from tests.crash.test_enrolment_killed import lines, wait_until
from tests.search.shelf import draw, write_manifest

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 14
PHOTOS = 2 * PEOPLE


def manifest(folder: Path) -> Path:
    rows = []
    for number in range(PHOTOS):
        draw(folder / f"{number}.png", number)
        sex = "female" if number // 2 % 2 else "male"
        rows.append({"person_id": f"P{number // 2:02}", "file": f"{number}.png", "sex": sex})
    return write_manifest(folder, rows)


def started(cast: Any, photos: Path, out: Path, column: str = "sex", here: bool = True) -> Evaluation:
    return evaluations.start(
        by=cast.carl,
        manifest=photos,
        cohorts=(column,),
        acceptance_policy="demo",
        target_fmr=0.05,
        out=out,
        here=here,
    )


def process(database: Any, evaluation: Evaluation, stop_at: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.evaluating", str(evaluation.id)],
        cwd=ROOT,
        env={**database.environment, "GLASSCASE_STOP_AT": stop_at, "GLASSCASE_JOB_STALE_SECONDS": "2"},
        stdout=subprocess.PIPE,
        text=True,
    )


def until(running: subprocess.Popen[str], line: str) -> Counter[str]:
    found = lines(running, line)
    if line == "here":
        os.kill(running.pid, signal.SIGKILL)
    running.wait(30)
    assert running.stdout is not None
    running.stdout.close()
    return Counter(found)


@pytest.mark.slow
def test_a_killed_evaluation_repeats_no_finished_chunk_and_gives_the_same_bytes(
    database: Any, cast: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = manifest(tmp_path / "photos")
    evaluation = started(cast, photos, tmp_path / "killed")
    done: Counter[str] = Counter()
    for point in ("photo 7", "pairs 2", "pairs 4"):
        done += until(process(database, evaluation, point), "here")
    done += until(process(database, evaluation), "ended")
    assert done["ended published"] == 1
    # What is embedded is remembered photo by photo, so not even the chunk that was cut short is computed twice.
    assert done["photo"] == PHOTOS
    pairs = evaluation.chunks.exclude(stage="embed")
    assert done["pairs"] == pairs.count() >= 6
    assert Counter(evaluation.chunks.values_list("runs", flat=True)) == {1: evaluation.chunks.count() - 3, 2: 3}
    assert Counter(Job.objects.values_list("attempts", flat=True))[2] == 3
    assert [len(entries(f"evaluation:{act}")) for act in ("run:started", "report:published", "run:failed")] == [1, 1, 0]

    monkeypatch.setitem(chunks.plan.__kwdefaults__, "block", 4)
    engine = evaluating.block_engine()
    monkeypatch.setattr(registry, "engine", lambda name, models_dir=None: engine)
    whole = started(cast, photos, tmp_path / "whole")
    evaluation_work.run_here(whole)
    assert whole.state == "published"
    for name in evaluations.files(whole):
        if name != "run.json":
            assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def shared_by_two_workers_of_which_one_is_killed(database: Any, cast: Any, photos: Path, out: Path) -> Evaluation:
    """With the real face model: an evaluation that has come to its end although a worker was killed in the middle."""
    with worker(database) as first, worker(database):
        evaluation = started(cast, photos, out, "cohort", here=False)
        wait_until(lambda: evaluation.chunks.filter(runs__gt=0).count() >= 3, 240)
        kill(first)
        finished = dict(evaluation.chunks.exclude(done_at=None).values_list("id", "runs"))
        finish(evaluation)
    runs = dict(evaluation.chunks.values_list("id", "runs"))
    assert finished == {one: runs[one] for one in finished}, "a finished chunk was done again"
    assert all(count >= 1 for count in runs.values())
    assert set(Job.objects.values_list("queue", flat=True)) == {"evaluation"}
    assert len(entries("evaluation:report:published")) == 1
    return evaluation


def finish(evaluation: Evaluation) -> None:
    def ended() -> bool:
        jobs.reconcile()
        evaluation.refresh_from_db()
        return evaluation.state != "running"

    wait_until(ended, 240)
    assert (evaluation.state, evaluation.problem) == ("published", "")


@pytest.mark.slow
def test_two_workers_share_an_evaluation_and_one_may_be_killed(
    database: Any, cast: Any, settings: Any, tmp_path: Path, portraits: Any
) -> None:
    """On the embedded broker."""
    settings.GLASSCASE_JOB_STALE_SECONDS = 2
    shared_by_two_workers_of_which_one_is_killed(database, cast, portraits(60, 2), tmp_path / "report")


@pytest.mark.slow
def test_on_redis_two_workers_one_of_them_killed_give_the_bytes_of_the_embedded_broker(
    database: Any, cast: Any, settings: Any, tmp_path: Path, portraits: Any, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GLASSCASE_JOB_STALE_SECONDS = 2
    photos = portraits(60, 2)
    shared_by_two_workers_of_which_one_is_killed(database, cast, photos, tmp_path / "redis")
    assert "glasscase" not in (database.home / "worker.log").read_text().split("transport:")[1].split()[0]

    monkeypatch.delenv("CELERY_BROKER_URL")
    with brokers.sending_to(settings.DATABASE_BROKER_URL), worker(database):
        embedded = started(cast, photos, tmp_path / "embedded", "cohort", here=False)
        finish(embedded)
    names = [name for name in evaluations.files(embedded) if name != "run.json"]
    assert "rerun.zip" in names
    for name in names:
        assert (tmp_path / "redis" / name).read_bytes() == (tmp_path / "embedded" / name).read_bytes(), name
