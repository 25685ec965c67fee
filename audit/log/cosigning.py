"""The witness client: shows every new checkpoint to the witnesses of the policy and records what they cosign.

Witnesses are asked at once, side by side, and the slow ones keep nobody waiting. What a witness has seen is only
remembered to spare a round trip: it says itself what it has. So nothing is lost wherever this process is killed: a
cosignature that was given and not recorded is given again, with a later time. Two of these processes do the same work
twice and no harm.

A witness that has seen another log, or more of it than this database has signed, stops everything: the log is frozen,
because the database was restored, copied or rewritten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
import structlog

from audit.log import storage
from audit.log.checkpoint import (
    Checkpoint,
    Note,
    Signature,
    SignedCheckpoint,
    VerifierKey,
    cosignatures,
    cosigned_at,
    open_checkpoint,
)
from audit.log.entries import compose
from audit.log.merkle import Prover
from audit.log.policy import Policy
from audit.log.witness import Fork, KnowsMore, Rejected, Unavailable, WitnessClient, WitnessProblem

log = structlog.get_logger(__name__)

PAUSE_SECONDS: Final = 0.1
# Witnesses cosign again after so long without growth, so that a reader sees that the log is still watched.
REFRESH_SECONDS: Final = 600.0
# A checkpoint that no quorum has cosigned after so long, or one that was cosigned so long ago, means that the quorum is lost.
LOST_AFTER_SECONDS: Final = 10
STALE_AFTER_SECONDS: Final = 1500
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_WATCH_SECONDS: Final = 1.0


class WitnessAlarm(RuntimeError):
    """A witness knows another log than this one, or more of it. The log is frozen; nobody is asked again."""


@dataclass
class _Asked:
    """One witness and how it stands with this log. Times are of the monotonic clock."""

    client: WitnessClient
    old: int = 0  # what it has seen last, as far as we know
    text: str = ""  # the checkpoint that it cosigned last, and when
    cosigned: float = 0.0
    not_before: float = 0.0
    pause: float = _FIRST_PAUSE
    running: Future[list[Signature]] | None = None
    note: Note = field(default_factory=lambda: Note(""))  # the one that it is asked for now

    @property
    def key(self) -> VerifierKey:
        return self.client.witness.key

    def is_due(self, note: Note, now: float) -> bool:
        fresh = note.text == self.text and now - self.cosigned < REFRESH_SECONDS
        return self.running is None and now >= self.not_before and not fresh

    def back_off(self, now: float) -> None:
        self.not_before = now + self.pause
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)


class Cosigning:
    """Asks the witnesses of `policy` that have an address. `keys` gives the log's keys of the moment."""

    def __init__(self, policy: Policy, keys: Callable[[], Sequence[VerifierKey]]) -> None:
        self._policy = policy
        self._keys = keys
        self._asked = [_Asked(WitnessClient(witness)) for witness in policy.witnesses if witness.url]
        self._pool = ThreadPoolExecutor(max(len(self._asked), 1), thread_name_prefix="witness")
        self._origin: str | None = None
        self._watched = 0.0
        self._met: bool | None = None

    def close(self) -> None:
        """Ends when no witness is being asked any more: about a second."""
        self._pool.shutdown(cancel_futures=True)
        for asked in self._asked:
            asked.client.close()

    def step(self, connection: psycopg.Connection) -> bool:
        """Asks whoever has not cosigned the last checkpoint, and records what came back; says whether more is awaited.

        Raises WitnessAlarm, after freezing the log; psycopg.Error.
        """
        if connection.execute("SELECT FROM logwork.frozen").fetchone() is not None:
            return False
        latest = storage.signed_checkpoint(connection, self._keys())
        if latest is None:
            return False
        signed = open_checkpoint(latest[1], self._keys())
        self._remember(connection, signed.checkpoint.origin)
        now = time.monotonic()
        for asked in self._asked:
            if asked.is_due(signed.note, now):
                self._ask(connection, asked, signed)
        running = {asked.running: asked for asked in self._asked if asked.running is not None}
        for future in wait(running, timeout=PAUSE_SECONDS, return_when=FIRST_COMPLETED).done:
            self._settle(connection, running[future])
        self._watch(connection)
        return any(asked.running is not None for asked in self._asked)

    def _remember(self, connection: psycopg.Connection, origin: str) -> None:
        """What the witnesses have seen of this log, as far as it was recorded: a hint."""
        if self._origin == origin:
            return
        for asked in self._asked:
            row = connection.execute(
                "SELECT max(size) FROM log.cosignature WHERE witness = %s AND origin = (SELECT max(number) FROM log.origin)",
                [str(asked.key)],
            ).fetchone()
            asked.old = int(row[0]) if row is not None and row[0] is not None else 0
        self._origin = origin

    def _ask(self, connection: psycopg.Connection, asked: _Asked, signed: SignedCheckpoint) -> None:
        size = signed.checkpoint.size
        prover = Prover(size, storage.getter(connection, size))
        asked.note = signed.note
        old = min(asked.old, size)
        asked.running = self._pool.submit(
            asked.client.add_checkpoint, signed.note, old=old, prove=lambda known: prover.consistency(known)
        )

    def _settle(self, connection: psycopg.Connection, asked: _Asked) -> None:
        future, asked.running = asked.running, None
        assert future is not None
        name, now = asked.client.witness.name, time.monotonic()
        checkpoint = Checkpoint.parse(asked.note.text)
        try:
            lines = future.result()
        except KnowsMore as problem:
            # Another client may have shown it a checkpoint that was signed a moment ago.
            newest = storage.signed_checkpoint(connection, self._keys())
            if newest is None or newest[0] < problem.size:
                self._alarm(connection, asked, checkpoint, problem)
            asked.old = problem.size
        except Fork as problem:
            self._alarm(connection, asked, checkpoint, problem)
        except Rejected as problem:
            asked.pause = _LONGEST_PAUSE
            asked.back_off(now)
            log.error("a witness refuses", witness=name, status=problem.status, problem=str(problem))
        except Unavailable as problem:
            asked.back_off(now)
            log.warning("a witness did not cosign", witness=name, problem=str(problem), seconds=asked.pause)
        except psycopg.Error as problem:
            asked.back_off(now)
            log.warning("no proof could be made", witness=name, problem=type(problem).__name__)
        else:
            for line in lines:
                record(connection, asked.note, asked.key, line)
            asked.old, asked.text, asked.cosigned, asked.pause = checkpoint.size, asked.note.text, now, _FIRST_PAUSE

    def _alarm(
        self, connection: psycopg.Connection, asked: _Asked, shown: Checkpoint, problem: Fork | KnowsMore
    ) -> None:
        """Freezes the log, with an entry that gets its place when the log is recovered: now it would take another one's."""
        seen = self._seen(connection, asked, shown)
        name = ascii(asked.client.witness.name).strip("'")
        known = seen.size if seen is not None else getattr(problem, "size", None)
        reason = f"The witness {name} does not cosign the log of {shown.size} entries: {problem}."
        if seen is not None:
            reason += f" It holds a checkpoint of {seen.size} entries with this log's signature."
        entry = compose(
            "log:witness:contradicted",
            witness=asked.key.fingerprint,
            reason=problem.code,
            signed=shown.size,
            known=known,
        )
        freeze = [reason, *((seen.size, seen.root) if seen is not None else (None, None))]
        try:
            with connection.transaction():
                connection.execute("SELECT log.append_as_witness_client(%s)", [entry.body])
                connection.execute("SELECT logwork.freeze(%s, %s, %s)", freeze)
        except psycopg.Error as error:
            log.error("the alarm could not be recorded", problem=str(error))
            connection.execute("SELECT logwork.freeze(%s, %s, %s)", freeze)
        log.critical("a witness contradicts the log", witness=name, reason=reason)
        raise WitnessAlarm(reason)

    def _seen(self, connection: psycopg.Connection, asked: _Asked, shown: Checkpoint) -> Checkpoint | None:
        """The checkpoint by which the witness proves what it says, where it shows one that is not of this tree."""
        try:
            found = asked.client.seen(shown.origin, self._keys())
        except WitnessProblem:
            return None
        if found is None:
            return None
        size = found.checkpoint.size
        if (
            size > shown.size
            or Prover(shown.size, storage.getter(connection, shown.size)).root(size) != found.checkpoint.root
        ):
            return found.checkpoint
        return None

    def _watch(self, connection: psycopg.Connection) -> None:
        """Says in the log when the quorum is lost, and when it is back."""
        now = time.monotonic()
        if now - self._watched < _WATCH_SECONDS or self._policy.fewest == 0:
            return
        self._watched = now
        row = connection.execute(
            "SELECT size FROM log.checkpoint WHERE origin = (SELECT max(number) FROM log.origin) AND at < clock_timestamp() - make_interval(secs => %s)"
            " ORDER BY size DESC LIMIT 1",
            [LOST_AFTER_SECONDS],
        ).fetchone()
        if row is None:
            return
        due = int(row[0])
        found = storage.cosigned_checkpoint(connection, self._keys(), self._policy)
        times = {} if found is None else cosignatures(found.note, self._policy.keys)
        since = self._policy.met_since(times)
        met = found is not None and found.checkpoint.size >= due and since is not None
        met = met and since is not None and time.time() - since <= STALE_AFTER_SECONDS
        if met == self._met:
            return
        if met:
            lost = connection.execute(
                "SELECT max(at) FROM log.entry WHERE type = 'log:quorum:lost' AND id ="
                " (SELECT max(id) FROM log.entry WHERE type = 'log:quorum:lost')"
            ).fetchone()
            seconds = 0 if lost is None or lost[0] is None else max(int(time.time() - lost[0] / 1000), 0)
            _append(connection, "log:quorum:restored", size=due, seconds=seconds)
        else:
            cosigned = self._cosigning(connection, due)
            log.error("too few witnesses cosign", cosigned=cosigned, needed=self._policy.fewest)
            _append(connection, "log:quorum:lost", size=due, cosigned=cosigned, needed=self._policy.fewest)
        self._met = met

    def _cosigning(self, connection: psycopg.Connection, size: int) -> int:
        row = connection.execute(
            "SELECT count(DISTINCT witness) FROM log.cosignature"
            " WHERE origin = (SELECT max(number) FROM log.origin) AND size >= %s AND witness = ANY(%s)",
            [size, [str(key) for key in self._policy.keys]],
        ).fetchone()
        return int(row[0]) if row is not None else 0


def record(connection: psycopg.Connection, note: Note, key: VerifierKey, line: Signature) -> None:
    """Stores a verified cosignature of the checkpoint of `note`; harmless to repeat."""
    checkpoint = Checkpoint.parse(note.text)
    connection.execute(
        "INSERT INTO log.cosignature (size, root, witness, cosigned, line) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [
            checkpoint.size,
            checkpoint.root,
            str(key),
            cosigned_at(note.text, key, line),
            str(line).removesuffix("\n"),
        ],
    )


def _append(connection: psycopg.Connection, type_: str, **fields: Any) -> None:
    connection.execute("SELECT log.append_as_witness_client(%s)", [compose(type_, **fields).body])
