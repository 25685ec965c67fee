"""Connections to the shards: further PostgreSQL servers with the same roles, a gate and a log of their own.

A process that works for one shard (its sequencer, signer and notifier, and every command about its log) runs with
GLASSCASE_SHARD and then takes that server for its own; here is what web and workers need, who reach all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from core import database, shard_file
from core.embedded import Server
from core.shard_file import MAIN, Shard

__all__ = ["MAIN", "Shard", "ShardMissing", "configured", "connect", "named", "server"]


class ShardMissing(RuntimeError):
    """A shard cannot be reached. `sentence` says so to whoever waits for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sentence = f"The server {name}, which holds a part of the gallery, does not answer."
        super().__init__(self.sentence)


def configured() -> dict[str, Shard]:
    """Every shard of this installation by name. Raises SettingError."""
    return shard_file.read(Path(settings.GLASSCASE_HOME))


def named(name: str) -> Shard:
    """The shard of that name. Raises ShardMissing when the list does not have it (any more)."""
    found = configured().get(name)
    if found is None:
        raise ShardMissing(name)
    return found


def server(shard: Shard) -> Server:
    """The embedded server of a shard, started or not."""
    return Server(shard.home, buffers_mb=settings.GLASSCASE_DB_SHARED_BUFFERS_MB)


def connect(shard: Shard, role: str = "app") -> psycopg.Connection:
    """An autocommit connection to a shard as one of its login roles. Raises ShardMissing.

    A shard that stands still is not started from here: whoever stopped it may have had a reason.
    """
    try:
        return psycopg.connect(
            **_parameters(shard, role),
            autocommit=True,
            application_name=f"glasscase {role}",
            connect_timeout=10,
        )
    except (psycopg.OperationalError, OSError) as problem:
        raise ShardMissing(shard.name) from problem


def _parameters(shard: Shard, role: str) -> dict[str, Any]:
    where: dict[str, Any] = {"host": str(server(shard).socket_directory)}
    if shard.host:
        where = {"host": shard.host, "port": shard.port}
        if shard.sslmode:
            where["sslmode"] = shard.sslmode
    return {
        **where,
        "dbname": shard.database or database.database_name(),
        "user": database.role_name(role),
        "password": (shard.home / "secrets" / f"db_{role}").read_text(encoding="ascii").strip(),
        "options": database.SESSION_OPTIONS,
    }
