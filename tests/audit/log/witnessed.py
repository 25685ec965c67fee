"""A log with three real witnesses, for the tests of the client that asks them."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from audit.log import entries, storage, verifier_keys
from audit.log.cosigning import Cosigning
from audit.log.policy import Policy
from audit.log.witness_server import Reply
from tests.audit.log.witnesses import Running, running

Open = Callable[..., psycopg.Connection]


@dataclass
class Site:
    """A log with three witnesses, of which two are a quorum."""

    as_role: Open
    pump: Callable[[], None]
    witnesses: list[Running]
    policy_file: Path

    def __post_init__(self) -> None:
        self.app = self.as_role("app")
        self.own = self.as_role("witness_client")

    @property
    def policy(self) -> Policy:
        return Policy.parse(self.policy_file.read_bytes())

    def grow(self, count: int = 1) -> list[uuid.UUID]:
        made = [entries.compose("log:entries:viewed") for _ in range(count)]
        for entry in made:
            self.app.execute("SELECT log.append(%s)", [entry.body])
        self.pump()
        return [entry.id for entry in made]

    @property
    def signed(self) -> int:
        found = storage.signed_checkpoint(self.app)
        return 0 if found is None else found[0]

    @property
    def published(self) -> int:
        found = storage.latest_checkpoint(self.app)
        return 0 if found is None else found[0]

    def client(self) -> contextlib.closing[Cosigning]:
        return contextlib.closing(Cosigning(self.policy, verifier_keys.published))

    def cosign(self) -> None:
        """One client, from its start until nobody is being asked."""
        with self.client() as asking:
            settle(asking, self.own)

    def logged(self, type_: str) -> list[dict[str, Any]]:
        rows = self.app.execute("SELECT body FROM log.entry WHERE type = %s ORDER BY id", [type_]).fetchall()
        return [json.loads(bytes(body)) for (body,) in rows]


def settle(asking: Cosigning, connection: psycopg.Connection) -> None:
    until = time.monotonic() + 20
    while asking.step(connection):
        assert time.monotonic() < until, "a witness is asked for ever"


@contextlib.contextmanager
def not_answering(*witnesses: Running, after: Callable[[Running, bytes], None] = lambda *_: None) -> Iterator[None]:
    """These witnesses answer 503; `after` is what they do with the request before."""
    before = [one.witness.add_checkpoint for one in witnesses]
    for one in witnesses:

        def refuse(body: bytes, one: Running = one) -> Reply:
            after(one, body)
            return Reply.refusing(503, "not now")

        one.witness.add_checkpoint = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        for one, honest in zip(witnesses, before, strict=True):
            one.witness.add_checkpoint = honest  # type: ignore[method-assign]


@contextlib.contextmanager
def witnessed(as_role: Open, pump: Callable[[], None], settings: Any, tmp_path: Path) -> Iterator[Site]:
    """The policy is the installation's while this is open."""
    pump()
    keys = verifier_keys.published()
    with contextlib.ExitStack() as opened:
        witnesses = [
            opened.enter_context(running(tmp_path / f"w{number}", f"w{number}.example", keys)) for number in range(3)
        ]
        policy = tmp_path / "witness.policy"
        lines = [one.line(f"w{number}") for number, one in enumerate(witnesses)]
        policy.write_text(f"log {keys[0]}\n{''.join(lines)}group two 2 w0 w1 w2\nquorum two\n")
        settings.GLASSCASE_WITNESS_POLICY = str(policy)
        yield Site(as_role, pump, witnesses, policy)
