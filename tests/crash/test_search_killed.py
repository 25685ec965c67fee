"""A search whose worker is killed with SIGKILL at each of its steps; the next worker finishes it, and nothing happens twice.

The test holds the log in its hand: a worker stops by itself where it waits for sequencer or signer, and is killed there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.log import sequencer, signer
from core.database import connect
from core.models import Job
from search import readings, requests
from search.models import SearchRequest
from tests.search.conftest import entries, kit, stage  # noqa: F401 - fixtures
from tests.search.stage import PEOPLE, Stage, running_log

ROOT = Path(__file__).resolve().parents[2]
Entries = Callable[..., list[dict[str, Any]]]


def worker(database: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "run_jobs", "--once"],
        cwd=ROOT,
        env={**database.environment, "GLASSCASE_JOB_STALE_SECONDS": "2", "GLASSCASE_LOG_WAIT_SECONDS": "60"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def until(found: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def sequence() -> None:
    with connect("sequencer") as own:
        while sequencer.step(own):
            pass


def cover(home: Path, origin: str) -> None:
    sequence()
    with connect("signer") as own, signer.open_signer(home / "signer", origin) as signing:
        signing.step(own)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["intent", "reading", "bound", "result", "receipt"])
def test_a_killed_search_loses_nothing_and_repeats_nothing(
    database: Any,
    stage: Stage,  # noqa: F811
    entries: Entries,  # noqa: F811
    settings: Any,
    point: str,
) -> None:
    request = stage.approved(PEOPLE[1])
    first = worker(database)

    def written(type_: str) -> bool:
        return bool(entries(f"search:{type_}", request=request.id))

    # Up to here it is a search as any other; at the point named the worker is killed.
    until(lambda: written("intent:filed"))
    if point != "intent":
        cover(database.home, settings.GLASSCASE_LOG_ORIGIN)
        if point == "reading":
            until(lambda: Job.objects.get(kind=requests.SEARCH).stage == "reading the face")
        else:
            until(lambda: written("probe:bound"))
    if point in ("result", "receipt"):
        sequence()
        until(lambda: written("result:stored"))
    if point == "receipt":
        cover(database.home, settings.GLASSCASE_LOG_ORIGIN)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait(10) == -signal.SIGKILL

    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        time.sleep(2.2)  # until the dead worker's silence is long enough
        second = worker(database)
        assert second.wait(60) == 0
        request = SearchRequest.objects.get(pk=request.pk)
        assert request.state == "done", request.problem
        reading = readings.open_candidates(by=stage.cast.erin, request=request)
    assert reading.candidates[0].template == stage.templates[PEOPLE[1]]
    for type_ in ("intent:filed", "probe:bound", "result:stored"):
        assert len(entries(f"search:{type_}", request=request.id)) == 1
    job = Job.objects.get(kind=requests.SEARCH)
    assert job.state == "done"
    assert job.attempts in (1, 2), "one worker died, unless it had finished in the last instant"
    if point in ("intent", "reading", "bound"):
        assert job.attempts == 2
