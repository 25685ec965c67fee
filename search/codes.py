"""Codes of a gallery edition: what a search in two stages compares first. The database draws and computes them, slice by slice.

Of a gallery that is spread over several servers each computes those of its own part, all at the same time, and each gate decides
by its own limit and its part's size whether it searches in two stages.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

import psycopg

from core import jobs
from core.exceptions import Conflict, Unavailable
from core.models import Job
from core.shard_file import MAIN
from search import enrolment, galleries, shards
from search.exceptions import gate_sentences
from search.gate import client
from search.gate.client import Edition
from search.models import Gallery

KIND: Final = "codes"
_PAGES: Final = 2000  # one or two seconds of work: as long as an expungement waits at most
_TELLING: Final = 0.5  # seconds

Told = Callable[[int, int], None]


def wanted() -> list[uuid.UUID]:
    """The galleries whose searched edition may be searched in two stages on a server, and has templates without codes there."""
    return list(dict.fromkeys(gallery for found in shards.everywhere(_wanted_at) for gallery in found))


def _wanted_at(at: psycopg.Connection) -> list[uuid.UUID]:
    least = client.settings(at)["two_stage_from"]
    waiting = client.uncoded(at)
    if not least or not waiting:
        return []
    return [
        one.gallery
        for one in client.editions(at)
        if one.is_current and one.edition in waiting and one.templates >= least
    ]


def queue() -> list[Job]:
    """Queue a job for every gallery that waits for codes."""
    return [jobs.enqueue(kind=KIND, subject=gallery) for gallery in wanted()]


def build(gallery: Gallery, told: Told, *, edition: int | None = None) -> dict[str, Edition]:
    """Code what has no code yet, on every server of the gallery; returns the coded edition of each by the server's name.

    It is the edition that is searched, or the main server's `edition` and those under its face model. Goes on where another
    process stopped; `told(done, whole)` follows. Raises Conflict, and Unavailable for a server that is missing, when the
    others have theirs.
    """
    chosen = _chosen(gallery, edition)
    names = [MAIN, *shards.others(gallery)]
    reached = dict.fromkeys(names, (0, 1))
    stop = threading.Event()

    def work(name: str) -> Edition:
        with shards.place(name) as at, gate_sentences():
            there = chosen if name == MAIN else _under(client.editions(at, gallery.id), chosen.model, name)
            while not stop.is_set():
                reached[name] = client.build_codes(at, there.edition, _PAGES)
                if reached[name][0] == reached[name][1]:
                    break
        return there

    with ThreadPoolExecutor(len(names)) as pool:
        working = {name: pool.submit(work, name) for name in names}
        try:
            while wait(working.values(), timeout=_TELLING).not_done:
                _tell(told, reached)
        finally:
            stop.set()
    missing = [problem for one in working.values() if isinstance(problem := one.exception(), Unavailable)]
    found = {name: one.result() for name, one in working.items() if not isinstance(one.exception(), Unavailable)}
    if missing:
        raise Unavailable(f"{missing[0].sentence} Codes are built on the other servers.") from missing[0]
    _tell(told, reached)
    return found


def _chosen(gallery: Gallery, edition: int | None) -> Edition:
    found = galleries.editions(gallery)
    for one in found:
        if one.is_current if edition is None else one.edition == edition:
            return one
    raise Conflict("This gallery has no such edition. Register one first: `manage.py register_edition`.")


def _under(found: list[Edition], model: str, server: str) -> Edition:
    for one in found:
        if one.model == model:
            return one
    raise Conflict(f"The server {server} has no edition of this gallery under the same face model: register it again.")


def _tell(told: Told, reached: dict[str, tuple[int, int]]) -> None:
    told(sum(done for done, _ in reached.values()), sum(whole for _, whole in reached.values()))


# Minutes of work for the database that nobody waits for: until it is done, searches are exact.
@jobs.job(KIND, queue=enrolment.QUEUE)
def _handle(running: jobs.RunningJob) -> None:
    build(Gallery.objects.get(pk=running.subject), lambda done, whole: running.progress(done, whole, "coding"))
