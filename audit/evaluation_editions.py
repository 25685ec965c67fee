"""Evaluation editions in the database: benchmark people enrolled in tables of their own and searched by the gate's scan.

No operational gallery can be reached from here: the scan's owner has no right on one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import psycopg
from pgvector import HalfVector

from audit.fairness.identification import Edition, Searches, from_lists
from audit.fairness.scores import SCALE, Floats

LONGEST = 200  # candidates of the longest list that the gate gives
_BATCH = 1


def search_in_database(
    connection: psycopg.Connection,
    vectors: Floats,
    people: Sequence[str],
    extracted: npt.NDArray[np.bool_],
    edition: Edition,
    *,
    longest: int = LONGEST,
    progress: Callable[[int], None] | None = None,
) -> Searches:
    """Enrol an edition, search it with all its probes, and drop it again. vectors: (n, d) unit vectors of all photos.

    `connection` is of the role app. Ranks beyond `longest` are not known. `progress(searches)` counts them.
    """
    with _enrolled(connection, vectors, people, edition) as (number, place):
        lists = []
        for done, row in enumerate(edition.probes.tolist(), start=1):
            lists.append(_candidates(connection, number, vectors[row], longest, place) if extracted[row] else [])
            if progress:
                progress(done)
    return from_lists(edition, people, lists, longest)


@contextmanager
def _enrolled(
    connection: psycopg.Connection, vectors: Floats, people: Sequence[str], edition: Edition
) -> Iterator[tuple[int, dict[uuid.UUID, int]]]:
    """The number of a filled edition, and the place in `enrolled` of each template."""
    row = connection.execute("SELECT evaluation.open_edition(%s)", [vectors.shape[1]]).fetchone()
    assert row is not None
    number = int(row[0])
    try:
        place = {}
        persons: dict[str, uuid.UUID] = {}
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY evaluation.template (edition, batch, template, person, embedding) FROM STDIN") as copy,
        ):
            for index, photo in enumerate(edition.enrolled.tolist()):
                template = uuid.uuid4()
                place[template] = index
                person = persons.setdefault(people[photo], uuid.uuid4())
                copy.write_row((number, _BATCH, template, person, HalfVector(vectors[photo]).to_text()))
        connection.execute("SELECT evaluation.filled(%s)", [number])
        yield number, place
    finally:
        if not connection.broken:
            connection.execute("SELECT evaluation.drop_edition(%s)", [number])


def _candidates(
    connection: psycopg.Connection, number: int, probe: Floats, longest: int, place: dict[uuid.UUID, int]
) -> list[tuple[int, int]]:
    found = connection.execute(
        "SELECT template, score FROM evaluation.scan(%s, %s, 0, %s::halfvec, %s, %s, NULL)",
        [number, [_BATCH], HalfVector(probe).to_text(), -SCALE, longest],
    ).fetchall()
    return [(place[template], score) for template, score in found]
