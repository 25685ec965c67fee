"""An installation of its own for one run of the benchmarks: embedded server, people, sequencer and signer as processes."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.core.management import call_command

from bench.figures import say
from core import approvers, broker, database, state
from core.demo.people import Cast, assemble
from core.demo.processes import running
from search import trail
from search.gate import client, params

# Benchmarks search more often than the gate allows people to.
_LIMITS = {"approver_day_cap": 100_000, "edition_hour_cap": 100_000, "system_hour_cap": 100_000}


@dataclass(frozen=True)
class Installation:
    """`app` is a connection as the application has it; `superuser` is for statistics and for what no role may ask."""

    cast: Cast
    app: psycopg.Connection
    superuser: psycopg.Connection
    kept: dict[str, Any] = field(default_factory=dict)  # what one bench leaves for another of the same run

    def secret(self, username: str) -> str:
        """The approval secret of a person, as the gate compares it."""
        return approvers.normalise(self.cast.secret_file(username).read_text(encoding="utf-8").strip())

    def proposals(self, act: str, values: Mapping[str, Any], *usernames: str) -> list[uuid.UUID]:
        return [
            client.propose(
                self.app, act=act, params=values, approver=self.cast.users[name].id, secret=self.secret(name)
            )
            for name in usernames
        ]

    def adopt(self, model: str, threshold: int) -> None:
        """Let a face model be searched from `threshold` (millionths) on; two people sign, as always."""
        values: dict[str, Any] = {
            "model": model,
            "report": hashlib.sha256(b"a benchmark: nothing was evaluated").hexdigest(),
            "verdict": "met",
            "policy": "demo",
            "threshold": threshold,
            "expires": int((time.time() + 86_400) * 1000),
        }
        two = self.proposals("gate:adopt_evaluation", params.adopt_evaluation(**values), "sam", "sue")
        client.adopt_evaluation(self.app, proposals=two, **values)

    def covered(self, entry: uuid.UUID) -> None:
        """Wait until a signed checkpoint covers the entry."""
        trail.wait(self.app, entry, covered=True)

    def sequenced(self, entry: uuid.UUID) -> None:
        """Wait until the entry has its place in the tree."""
        trail.wait(self.app, entry, covered=False)


@contextlib.contextmanager
def installation() -> Iterator[Installation]:
    """Set everything up below GLASSCASE_HOME, and stop the server at the end."""
    say("setting up a database and ten people")
    try:
        call_command("init_database", verbosity=0)
        call_command("migrate", verbosity=0, interactive=False)
        with contextlib.ExitStack() as stack:
            app = stack.enter_context(database.connect("app"))
            superuser = stack.enter_context(database.connect_superuser(database.database_name()))
            made = Installation(assemble(state.directory("demo")), app, superuser)
            for setting, value in _LIMITS.items():
                two = made.proposals("gate:set_policy", params.set_policy(setting=setting, value=value), "sam", "sue")
                client.set_policy(app, setting=setting, value=value, proposals=two)
            stack.enter_context(running("sequencer", "signer"))
            _first_checkpoint(made)
            yield made
    finally:
        broker.close_connections()
        database.django_connection.close()
        database.server().stop()


def _first_checkpoint(made: Installation) -> None:
    deadline = time.monotonic() + 60
    while made.app.execute("SELECT FROM log.checkpoint LIMIT 1").fetchone() is None:
        if time.monotonic() > deadline:
            raise SystemExit("bench: sequencer and signer did not come up within a minute.")
        time.sleep(0.1)


def random_model() -> str:
    """The hash of a face model that does not exist: for galleries of random vectors."""
    return secrets.token_hex(32)
