"""Jobs for the tests of real workers: one counts to a number, slowly, and goes on where it was; others say their turn."""

from __future__ import annotations

import time
from pathlib import Path

from django.conf import settings

from core.jobs import RunningJob, job

STEPS = 20


def counted(home: Path) -> list[int]:
    """What all attempts together have counted."""
    file = home / "counted"
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


@job("test:count")
def count(running: RunningJob) -> None:
    home = Path(settings.GLASSCASE_HOME)
    for step in range(len(counted(home)), STEPS):
        with (home / "counted").open("a") as file:
            file.write(f"{step}\n")
        running.progress(step + 1, STEPS, "counting")
        time.sleep(0.15)


def served(home: Path) -> list[str]:
    """Which queues were served, in the order in which the jobs were taken."""
    file = home / "served"
    return file.read_text().split() if file.exists() else []


def _serve(queue: str) -> None:
    with (Path(settings.GLASSCASE_HOME) / "served").open("a") as file:
        file.write(f"{queue}\n")
    time.sleep(0.3)


@job("test:officer", queue="search")
def officer(_: RunningJob) -> None:
    _serve("search")


@job("test:everything-else", queue="default")
def everything_else(_: RunningJob) -> None:
    _serve("default")


@job("test:auditor", queue="evaluation")
def auditor(_: RunningJob) -> None:
    _serve("evaluation")
