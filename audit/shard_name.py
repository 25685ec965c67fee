"""A shard is told once which one it is; its gate keeps the name, and its log says so."""

from __future__ import annotations

from django.conf import settings

from audit.log.entries import compose
from core import shards
from core.database import role_name
from core.shards import Shard


class OtherName(RuntimeError):
    """This server is a shard under another name already."""


def give(shard: Shard) -> str:
    """Gives a server that was just migrated its name; returns the name of its log. Harmless to repeat.

    Raises OtherName, ShardMissing.
    """
    with shards.connect(shard, "migrate") as own, own.transaction():
        owner = role_name("gate_owner")
        own.execute("SELECT set_config('role', %s, true)", [owner])
        named = own.execute("SELECT name FROM gate.place").fetchone()
        if named is None:
            own.execute("INSERT INTO gate.place (name) VALUES (%s)", [shard.name])
            own.execute("RESET ROLE")
            own.execute("SELECT log.append_as_migrate(%s)", [compose("gate:shard:named", shard=shard.name).body])
        elif named[0] != shard.name:
            raise OtherName(
                f"The server at this address is the shard {named[0]} already. Give {shard.name} another one."
            )
    return shard.origin(settings.GLASSCASE_LOG_ORIGIN)
