"""A log under attack by crashes: one step of a process with a fault at its n-th act, and the account of what is left.

An act is a statement sent to the database, a file made or put in its place, or a flush to the disk. A fault comes before an
act ("failed") or after it ("failed but happened").
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.log import entries, sequencer, signer, storage, verifier_keys, verify
from audit.log.signer import Signer
from core import state
from core.database import connect

ORIGIN = "log.test.example/crash"
FILE_ACTS = ((os, "fsync"), (Path, "replace"), (state, "_write_new"))

WRITES = ("INSERT", "UPDATE", "DELETE", "SELECT log.append", "SELECT logwork.clear")


class Acts:
    """Counts the acts of a process (`writes`: only statements that write) and calls `fault` at number `at`, before or after."""

    def __init__(self, at: int, fault: Callable[[bool], None], *, after: bool = False, writes: bool = False) -> None:
        self.at, self.fault, self.after, self.writes, self.done = at, fault, after, writes, 0

    def act(self, do: Callable[[], Any], *, sql: bool) -> Any:
        self.done += 1
        hit = self.done == self.at  # asked here: an act may be made of others
        if hit and not self.after:
            self.fault(sql)
        result = do()
        if hit and self.after:
            self.fault(sql)
        return result

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """File acts of this process are counted inside the block."""
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in FILE_ACTS:
                patch.setattr(owner, name, self._counted(getattr(owner, name)))
            yield

    def _counted(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: self.act(lambda: plain(*args, **options), sql=False)

    def cursors(self) -> type[psycopg.Cursor[Any]]:
        """Cursors whose statements are counted."""
        acts = self

        class Counted(psycopg.Cursor[Any]):
            def execute(self, query: Any, *args: Any, **options: Any) -> Any:
                plain = super().execute
                if acts.writes and not str(query).startswith(WRITES):
                    return plain(query, *args, **options)
                return acts.act(lambda: plain(query, *args, **options), sql=True)

            def copy(self, *args: Any, **options: Any) -> Any:
                plain = super().copy
                return acts.act(lambda: plain(*args, **options), sql=True)

        return Counted


class Log:
    """One log and those who work on it. `appended` are the ids of entries whose append was answered."""

    def __init__(self, home: Path, name: str | None = None) -> None:
        self.home, self.name = home, name
        self.place = home / "signer"
        self.appended: list[uuid.UUID] = []
        self._exports = 0

    def connect(self, role: str, acts: Acts | None = None) -> psycopg.Connection:
        connection = connect(role, dbname=self.name)
        if acts is not None:
            connection.cursor_factory = acts.cursors()
        return connection

    def append(self, acts: Acts | None = None) -> None:
        entry = entries.compose("core:user:signed_in", user=uuid.uuid4())
        with self.connect("app", acts) as app:
            app.execute("SELECT log.append(%s)", [entry.body])
        self.appended.append(entry.id)

    def sequence(self, acts: Acts | None = None) -> None:
        with self.connect("sequencer", acts) as own:
            sequencer.step(own)

    def sign(self, acts: Acts | None = None) -> None:
        with self.connect("signer", acts) as own, signer.open_signer(self.place, ORIGIN) as one:
            one.step(own)

    def step_of(self, one: Signer, acts: Acts) -> None:
        """One step of a signer that lives on after a fault, on a new connection, as its process makes one."""
        with self.connect("signer", acts) as own:
            one.step(own)

    def settle(self) -> None:
        """Everybody is back: what waits is sequenced and signed. The first comparison clears, the second signs."""
        self.sign()
        self.sequence()
        self.sign()

    def account(self) -> int:
        """Asserts that nothing is lost and nothing forked; returns the size.

        Every answered entry has one place, entries = leaves = head = checkpoint, and a fresh export verifies and extends
        the one before.
        """
        with self.connect("reader") as own:
            head, leaves, waiting, there, signed = own.execute(
                "SELECT h.size, (SELECT count(*) FROM log.leaf), (SELECT count(*) FROM logwork.pending),"
                " (SELECT count(*) FROM log.entry), (SELECT max(size) FROM log.checkpoint) FROM logwork.head h"
            ).fetchone() or (0, 0, 0, 0, 0)
            assert head == leaves == there == signed
            assert waiting == 0
            placed = {
                row[0]
                for row in own.execute("SELECT e.uid FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id").fetchall()
            }
            assert set(self.appended) <= placed
            forked = own.execute(
                "SELECT size FROM log.checkpoint GROUP BY size HAVING count(DISTINCT root) > 1"
            ).fetchall()
            assert forked == []
            self._exports += 1
            storage.export(own, self.home / f"export{self._exports}")
        self._verify()
        return int(head)

    def _verify(self) -> None:
        keys = [part for key in verifier_keys.published() for part in ("--key", str(key))]
        before = self.home / f"export{self._exports - 1}" / "checkpoint"
        old = ["--old", str(before)] if before.exists() else []
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = verify.main([str(self.home / f"export{self._exports}"), *keys, *old])
        assert status == 0, out.getvalue()


def killed(step: Callable[[Acts], None], at: int, *, after: bool) -> bool:
    """Runs `step` in a child process that is killed with SIGKILL at its act number `at`; False when it has fewer."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            acts = Acts(at, lambda _: os.kill(os.getpid(), signal.SIGKILL), after=after)
            with acts.watching():
                step(acts)
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        assert os.WTERMSIG(ended) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(ended) == 0, "it failed by itself"
    return False
