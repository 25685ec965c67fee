"""A re-embedding whose process is killed with SIGKILL at each of its steps; the next process finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from search import enrolment
from search.models import Enrolment, FaceModel
from tests.crash.test_enrolment_killed import ROOT, lines
from tests.search.conftest import entries, log_at_work, shelf  # noqa: F401 - fixtures
from tests.search.shelf import Shelf
from tests.search.test_reembedding import begin, new_rows, other  # noqa: F401 - fixture

PHOTOS = 7


def process(database: Any, run: Enrolment, stop_at: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.reading_again", str(run.pk)],
        cwd=ROOT,
        env={**database.environment, "GLASSCASE_STOP_AT": stop_at, "GLASSCASE_JOB_STALE_SECONDS": "2"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("point", ["announcing", "opening", "files", "copying", "stored", "sealing"])
def test_a_killed_reembedding_draws_no_key_twice_and_loses_nothing(
    database: Any,
    shelf: Shelf,  # noqa: F811
    other: FaceModel,  # noqa: F811
    as_superuser: psycopg.Connection,
    entries: Callable[..., list[dict[str, Any]]],  # noqa: F811
    log_at_work: None,  # noqa: F811
    point: str,
) -> None:
    shelf.enrol(shelf.manifest(PHOTOS))
    run = begin(shelf, other)
    first = process(database, run, point)
    before = lines(first, "here")
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait(10) == -signal.SIGKILL
    assert first.stdout is not None
    first.stdout.close()

    second = process(database, run)
    after = lines(second, "ended")
    assert second.wait(30) == 0
    assert second.stdout is not None
    second.stdout.close()
    assert after[-1] == "ended done"

    computed = [line for line in before + after if line.startswith("photo")]
    assert len(set(computed)) == PHOTOS
    assert len(computed) <= PHOTOS + 4
    run.refresh_from_db()
    assert (run.reruns, enrolment.report(run).enrolled, run.sealed_at is not None) == (0, PHOTOS, True)
    assert len(new_rows(as_superuser, run.edition)) == PHOTOS
    assert sum(entry["templates"] for entry in entries("gallery:reembedding:drawn")) == PHOTOS
    for type_ in ("gallery:reembedding:opened", "gallery:batch:sealed"):
        assert len(entries(type_, edition=run.edition)) == 1
    files = {file.name.split(".")[0] for file in (shelf.home / "media" / "enrolled").rglob("*.photo")}
    assert len(files) == 2 * PHOTOS
