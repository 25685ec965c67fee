"""A world whose templates have codes, and what tests of searches in two stages do with it."""

from __future__ import annotations

import hashlib
import math
import secrets
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg

from search.gate import client, params
from tests.enforcement.world import DIMENSION, World, digest, unit

Row = tuple[uuid.UUID, uuid.UUID, np.ndarray]
HIGH = 700_000  # where the cut leaves at most one in a hundred of these few people


def build(connection: psycopg.Connection, edition: int, pages: int = 1000) -> int:
    """Codes for everything; returns the number of slices."""
    for slices in range(1, 10_000):
        done, whole = client.build_codes(connection, edition, pages)
        if done == whole:
            return slices
    raise AssertionError("the work does not end")


def enrol(world: World, rows: Sequence[Row]) -> None:
    secret = secrets.token_bytes(32)
    batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    world.insert(batch, list(rows))
    client.seal_batch(
        world.app,
        edition=world.edition,
        batch=batch,
        secret=secret,
        templates=len(rows),
        digest=digest(list(rows)),
    )


def people(number: int, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [(uuid.uuid4(), uuid.uuid4(), unit(row)) for row in rng.standard_normal((number, DIMENSION))]


def at(cosine: float, face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A unit vector at this cosine to `face`."""
    other = rng.standard_normal(face.size)
    other = unit(other - (other @ face) * face)
    return unit(cosine * face + math.sqrt(1 - cosine**2) * other)


def expunge(world: World, person: uuid.UUID) -> None:
    [proposal] = world.propose("gallery:expunge", params.expunge(person=person), world.sam)
    client.expunge(world.app, person=person, proposal=proposal)


def replay(world: World, request: uuid.UUID) -> dict[str, Any]:
    [proposal] = world.propose("gate:replay", params.replay(request=request), world.sam)
    client.replay(world.app, request, proposal)
    return world.logged("search:result:replayed", request)[-1]


def result(world: World, probe: np.ndarray, threshold: int = HIGH) -> dict[str, Any]:
    """The entry of a result."""
    return world.logged("search:result:stored", world.executed(probe, threshold=threshold).request)[0]


def found(world: World, probe: np.ndarray) -> list[uuid.UUID]:
    filed = world.executed(probe, threshold=HIGH)
    return [one.template for one in world.candidates(world.app, world.view(filed.request)).candidates]


def codes(superuser: psycopg.Connection, world: World) -> set[uuid.UUID]:
    rows = superuser.execute(
        "SELECT template FROM gallery.code_of_template WHERE edition = %s", [world.edition]
    ).fetchall()
    assert len({row[0] for row in rows}) == len(rows), "one code a template"
    return {row[0] for row in rows}


def pack(superuser: psycopg.Connection, edition: int, source: str) -> None:
    """Puts what `source` selects as template and code among the codes, as the database does it itself."""
    row = superuser.execute("SELECT gallery.packing(%s, %s)", [edition, source]).fetchone()
    assert row is not None
    superuser.execute(row[0])


def lose(superuser: psycopg.Connection, world: World, template: uuid.UUID) -> None:
    """Takes one code away and leaves its template."""
    superuser.execute(
        "CREATE TEMP TABLE kept AS SELECT template, code FROM gallery.code_of_template WHERE edition = %s AND template <> %s",
        [world.edition, template],
    )
    superuser.execute("DELETE FROM gallery.code WHERE edition = %s", [world.edition])
    pack(superuser, world.edition, "SELECT template, code FROM kept")


def planes(superuser: psycopg.Connection, edition: int) -> np.ndarray:
    """The planes of an edition, (bits, d), and the types of pgvector for this connection."""
    from pgvector.psycopg import register_vector

    register_vector(superuser)
    rows = superuser.execute("SELECT plane FROM gallery.plane WHERE edition = %s ORDER BY place", [edition]).fetchall()
    return np.array([row[0].to_list() for row in rows], np.float64)
