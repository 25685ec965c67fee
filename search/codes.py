"""Codes of a gallery edition: what a search in two stages compares first. The database draws and computes them, slice by slice."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from core import database, jobs
from core.models import Job
from search.exceptions import gate_sentences
from search.gate import client
from search.models import Gallery

KIND: Final = "codes"
_PAGES: Final = 2000  # one or two seconds of work: as long as an expungement waits at most

Told = Callable[[int, int], None]


def wanted() -> list[uuid.UUID]:
    """The galleries whose searched edition may be searched in two stages and has templates without codes."""
    own = database.session()
    least = client.settings(own)["two_stage_from"]
    waiting = client.uncoded(own)
    if not least or not waiting:
        return []
    return [
        one.gallery
        for one in client.editions(own)
        if one.is_current and one.edition in waiting and one.templates >= least
    ]


def queue() -> list[Job]:
    """Queue a job for every gallery that waits for codes."""
    return [jobs.enqueue(kind=KIND, subject=gallery) for gallery in wanted()]


def build(edition: int, told: Told) -> None:
    """Code what has no code yet. Goes on where another process stopped; `told(done, whole)` follows. Raises Conflict."""
    own = database.session()
    while True:
        with gate_sentences():
            done, whole = client.build_codes(own, edition, _PAGES)
        told(done, whole)
        if done == whole:
            return


@jobs.job(KIND)
def _handle(running: jobs.RunningJob) -> None:
    gallery = Gallery.objects.get(pk=running.subject)
    for edition in client.editions(database.session(), gallery.id):
        if edition.is_current:
            build(edition.edition, lambda done, whole: running.progress(done, whole, "coding"))
