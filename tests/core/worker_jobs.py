"""A job for the tests of real workers: it counts to a number, slowly, and goes on where it was."""

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
