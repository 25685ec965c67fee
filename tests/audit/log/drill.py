"""The drill of a restore: an installation whose database is dumped, and restored after a hundred entries more were signed."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.core.management import call_command
from psycopg.sql import SQL, Identifier

from audit.log import entries, sequencer, signer, storage, succession, verifier_keys, verify
from core import database as core_database
from core import embedded_place, initialise
from tests import kits, run


def postgres(program: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's own programs as the superuser on the tests' server."""
    place = embedded_place.find(run.HOME)
    subprocess.run(
        [place.programs / "bin" / program, "--host", str(run.HOME / "run"), "--username", "postgres", *arguments],
        check=True,
        capture_output=True,
        env={"PATH": os.defpath, "LC_ALL": "C"},
    )


class Installation:
    """A log that is written, sequenced and signed as its processes do, and a database that is dumped and restored."""

    def __init__(self, clone: kits.Clone, settings: Any) -> None:
        self.name, self.home, self.first = clone.name, clone.home, settings.GLASSCASE_LOG_ORIGIN
        self.dump = clone.home / "database.dump"

    def append(self, count: int) -> list[uuid.UUID]:
        made = [entries.compose("core:user:signed_in", user=uuid.uuid4()) for _ in range(count)]
        with core_database.connect("app") as app:
            for entry in made:
                app.execute("SELECT log.append(%s)", [entry.body])
        return [entry.id for entry in made]

    @contextlib.contextmanager
    def signing(self, outside: signer.Outside = signer.nobody) -> Iterator[Callable[[], int | None]]:
        with (
            core_database.connect("signer") as own,
            succession.open_signer(own, self.home / "signer", self.first, archive=None, outside=outside) as one,
        ):
            verifier_keys.publish(one.keys)
            yield lambda: one.step(own)

    def sequence(self) -> int:
        with core_database.connect("sequencer") as own:
            return sequencer.step(own)

    def run(self) -> int | None:
        """One round of all processes: what waits is in the tree and signed."""
        with self.signing() as sign:
            sign()
            self.sequence()
            return sign()

    def save(self) -> None:
        postgres("pg_dump", "--format=custom", f"--file={self.dump}", self.name)

    def restore(self) -> None:
        from django.db import connections

        connections.close_all()
        with core_database.connect_superuser() as superuser:
            superuser.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(self.name)))
            superuser.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(self.name)))
            initialise.restrict_database(superuser, self.name)
        postgres("pg_restore", "--exit-on-error", f"--dbname={self.name}", str(self.dump))

    def export(self, place: Path, number: int | None = None) -> Path:
        with core_database.connect("reader") as own:
            storage.export(own, place, storage.origin(own, number))
        return place

    def head(self) -> tuple[int, bytes]:
        with core_database.connect("reader") as own:
            row = own.execute("SELECT size, root FROM logwork.head").fetchone()
        assert row is not None
        return int(row[0]), bytes(row[1])

    def places(self) -> dict[uuid.UUID, tuple[int, int]]:
        with core_database.connect("reader") as own:
            rows = own.execute("SELECT e.uid, p.origin, p.index FROM log.place p JOIN log.entry e ON e.id = p.entry_id")
            return {uid: (origin, index) for uid, origin, index in rows.fetchall()}


def verified(place: Path, *arguments: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        keys = [part for key in verifier_keys.published() for part in ("--key", str(key))]
        status = verify.main([str(place), *keys, *arguments])
    assert status == 0, out.getvalue()
    return out.getvalue()


def command(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()
