"""How commands show an enrolment: a bar while it runs, then what was left out."""

from __future__ import annotations

import sys

from django.core.management.base import OutputWrapper
from tqdm import tqdm

from core.models import Job
from search import enrolment
from search.enrolment import EnrolmentReport
from search.models import Enrolment

_MOST_NAMED = 20


def follow(run: Enrolment, *, unit: str, quiet: bool, workers: int = 1) -> Job:
    """Work on the run in this process, or wait for the worker that has it; returns its job."""
    # None: a bar on a terminal, nothing in a file.
    with tqdm(unit=unit, file=sys.stderr, disable=True if quiet else None) as bar:

        def told(done: int, total: int, stage: str) -> None:
            bar.total, bar.n = total, done
            bar.set_description_str(stage)

        def waiting(job: Job) -> None:
            told(job.done, job.total or 0, "another worker has it")

        return enrolment.run_here(run, processes=workers, told=told, waiting=waiting)


def tell_left_out(out: OutputWrapper, found: EnrolmentReport) -> None:
    """Name the first rows that were left out, and count the others."""
    for one in found.left_out[:_MOST_NAMED]:
        out.write(f"Row {one.row}, {one.file or one.person_ref}: {one.sentence}")
    if len(found.left_out) > _MOST_NAMED:
        out.write(f"… and {len(found.left_out) - _MOST_NAMED} more that were left out.")
