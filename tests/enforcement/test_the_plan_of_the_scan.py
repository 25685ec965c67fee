"""How the scan runs: with workers where the partition is large, whatever the caller sets."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector

from search.gate import client
from tests.enforcement.world import World, digest, unit

Open = Callable[..., psycopg.Connection]

# One template of 4,000 dimensions fills a page of 8 kB: few rows make a large partition.
WIDE = 4000
MANY = 1200
THRESHOLD = 400_000
SETTINGS = ("max_parallel_workers = 0", "max_parallel_workers_per_gather = 0", "enable_seqscan = off")


class Wide:
    """A gallery of its own beside that of the world, large enough for workers."""

    def __init__(self, world: World) -> None:
        self.world, self.gallery, self.model = world, uuid.uuid4(), secrets.token_hex(32)
        self.edition = world.new_edition(self.gallery, self.model, WIDE)
        world.adopt(self.model)
        rng = np.random.default_rng(3)
        self.rows = [(uuid.uuid4(), uuid.uuid4(), unit(row)) for row in rng.standard_normal((MANY, WIDE))]
        secret = secrets.token_bytes(32)
        batch = client.open_batch(world.app, self.edition, hashlib.sha256(secret).digest())
        statement = "COPY gallery.template (edition, batch, template, person, embedding) FROM STDIN (FORMAT binary)"
        with world.app.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["int4", "int4", "uuid", "uuid", "bytea"])
            for template, person, vector in self.rows:
                copy.write_row((self.edition, batch, template, person, HalfVector(vector).to_binary()))
        client.seal_batch(
            world.app, edition=self.edition, batch=batch, secret=secret, templates=MANY, digest=digest(self.rows)
        )

    def search(self, connection: psycopg.Connection, number: int) -> uuid.UUID:
        """The request of a search for one of the enrolled, which was run."""
        filed = self.world.bound(self.rows[number][2], gallery=self.gallery, edition=self.edition, model=self.model)
        self.world.execute(connection, filed)
        return filed.request


@pytest.fixture
def wide(world: World) -> Wide:
    return Wide(world)


def launched(superuser: psycopg.Connection) -> int:
    row = superuser.execute(
        "SELECT parallel_workers_launched FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_workers_help_with_a_large_partition_whatever_the_caller_sets(
    wide: Wide, as_role: Open, as_superuser: psycopg.Connection
) -> None:
    connection = as_role("app")
    for setting in SETTINGS:
        connection.execute(f"SET {setting}")
    before = launched(as_superuser)
    requests = [wide.search(connection, number) for number in range(3)]
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")
    assert launched(as_superuser) > before
    wide.world.sign()
    for number, request in enumerate(requests):
        found = wide.world.candidates(wide.world.app, wide.world.view(request)).candidates
        assert [candidate.template for candidate in found] == [wide.rows[number][0]]
