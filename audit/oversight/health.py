"""Whether the log is healthy, in one cheap query: the header of every page says it.

Healthy means that nothing waits longer than it should on its way into the signed log, that tree and checkpoint do not
contradict each other, and that the log is not frozen. A quiet log is healthy however old its checkpoint is: there was
nothing to sign. With a witness policy it is healthy while a quorum of witnesses keeps cosigning. Whether the signatures
hold is for outsiders to check (`glasscase-verify`), not for this process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from django.db import DatabaseError, connection
from psycopg import Error as DriverError

from audit.log import witness_policy
from audit.log.policy import Policy, Witness
from audit.log.sequencer import LOOSE_AFTER_SECONDS
from core import shards
from core.shards import Shard

# An entry that is in the tree and not under a signature for longer than this means that the signer stands still.
UNSIGNED_AFTER_SECONDS: Final = 10

# A witness keeps up when it cosigned what was signed so long ago, and did so (or again) within the last 25 minutes.
LAGGING_AFTER_SECONDS: Final = 10
SILENT_AFTER_SECONDS: Final = 1500

State = Literal["good", "warn", "bad"]

_QUERY: Final = """
    WITH open AS (SELECT number, base FROM log.origin ORDER BY number DESC LIMIT 1),
    signed AS (SELECT size, root, at FROM log.checkpoint WHERE origin = (SELECT number FROM open) ORDER BY size DESC, at DESC LIMIT 1)
    SELECT h.size, h.root, signed.size, signed.root, signed.at, clock_timestamp(), f.reason, p.waiting, p.oldest,
        (SELECT e.at FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id WHERE l.idx = open.base + coalesce(signed.size, 0)),
        (SELECT c.size FROM log.checkpoint c WHERE c.origin = open.number
            AND c.at < clock_timestamp() - make_interval(secs => %s) ORDER BY c.size DESC LIMIT 1),
        (SELECT coalesce(json_agg(json_build_array(w.vkey, k.size, extract(epoch FROM k.at))), '[]')::text
            FROM unnest(%s::text[]) AS w (vkey) CROSS JOIN LATERAL (SELECT c.size, c.at FROM log.cosignature c
                WHERE c.witness = w.vkey AND c.origin = open.number ORDER BY c.size DESC, c.at DESC LIMIT 1) k)
    FROM logwork.head h CROSS JOIN open
    LEFT JOIN signed ON true
    LEFT JOIN logwork.frozen f ON true
    CROSS JOIN (SELECT count(*) AS waiting, min(at) AS oldest FROM logwork.pending) p
"""


@dataclass(frozen=True)
class WitnessState:
    """One witness of the policy: the size and time of its last cosignature, and whether it `keeps_up`."""

    name: str
    size: int | None = None
    at: datetime | None = None
    keeps_up: bool = False


@dataclass(frozen=True)
class Health:
    """The state of the log at `now` (the database's clock).

    `size` counts entries in the tree, `signed` those under the last checkpoint (None before the first), `waiting` those
    without a place in the tree; `loose_seconds` and `unsigned_seconds` are the ages of the oldest entry without a place
    and without a signature. `frozen` is the reason, if any; `contradiction` a sentence when head and checkpoint disagree.
    `witnesses` are those of the policy; `quorum_met` says whether enough of them keep up (None without a policy), and
    `cosigned_at` since when a quorum's cosignatures are that old. `policy_problem` is a sentence when it cannot be read.
    """

    now: datetime
    reachable: bool = True
    size: int = 0
    signed: int | None = None
    signed_at: datetime | None = None
    waiting: int = 0
    loose_seconds: float = 0.0
    unsigned_seconds: float = 0.0
    frozen: str | None = None
    contradiction: str | None = None
    witnesses: tuple[WitnessState, ...] = ()
    quorum_met: bool | None = None
    cosigned_at: datetime | None = None
    policy_problem: str | None = None

    @property
    def unsigned(self) -> int:
        """Entries in the tree that no checkpoint covers yet."""
        return self.size - (self.signed or 0)

    @property
    def signed_seconds(self) -> float | None:
        """Age of the last checkpoint in seconds."""
        return None if self.signed_at is None else max((self.now - self.signed_at).total_seconds(), 0.0)

    @property
    def witnesses_keeping_up(self) -> int:
        """How many witnesses keep up."""
        return sum(witness.keeps_up for witness in self.witnesses)

    @property
    def cosigned_seconds(self) -> float | None:
        """Age in seconds of the last checkpoint that a quorum cosigned."""
        return None if self.cosigned_at is None else max((self.now - self.cosigned_at).total_seconds(), 0.0)

    @property
    def problems(self) -> list[str]:
        """What is wrong, the gravest first, each a sentence that says what to do."""
        if not self.reachable:
            return ["The log cannot be read: the database does not answer. Nothing can be searched meanwhile."]
        found = []
        if self.contradiction is not None:
            found.append(
                f"{self.contradiction} Keep your last checkpoint and receipts, and compare them with an export."
            )
        if self.frozen is not None:
            found.append(f"The log is frozen: {self.frozen} Nothing is recorded until it is recovered.")
        if self.loose_seconds > LOOSE_AFTER_SECONDS:
            found.append(
                f"{_entries(self.waiting)} without a place in the tree, the oldest for {duration(self.loose_seconds)}. "
                "Start the sequencer and the signer."
            )
        if self.unsigned_seconds > UNSIGNED_AFTER_SECONDS:
            found.append(
                f"{_entries(self.unsigned)} without a signature, the oldest for {duration(self.unsigned_seconds)}. "
                "Start the signer; if it refuses, read what it says."
            )
        if self.policy_problem is not None:
            found.append(f"{self.policy_problem} Nothing is searched meanwhile.")
        if self.quorum_met is False:
            age = self.cosigned_seconds
            found.append(
                f"{self._witnessed} cosign, which is no quorum"
                f"{'' if age is None else f'; the last one is {duration(age)} old'}. "
                "Searches wait for it, as long as the limits say. Ask the witnesses' operators, and start the witness client."
            )
        return found

    @property
    def _witnessed(self) -> str:
        total = len(self.witnesses)
        return f"{self.witnesses_keeping_up} of {total} {'witness' if total == 1 else 'witnesses'}"

    @property
    def is_healthy(self) -> bool:
        return not self.problems

    @property
    def state(self) -> State:
        """good, warn (late) or bad (frozen, contradicting itself, out of reach)."""
        if not self.problems:
            return "good"
        return "warn" if self.reachable and self.frozen is None and self.contradiction is None else "bad"

    @property
    def line(self) -> str:
        """A few words for the header, after "Log:"."""
        if not self.reachable:
            return "out of reach"
        if self.contradiction is not None:
            return "contradicts itself"
        if self.frozen is not None:
            return "frozen, nothing is recorded"
        if self.policy_problem is not None:
            return "the witness policy cannot be read"
        if max(self.loose_seconds - LOOSE_AFTER_SECONDS, self.unsigned_seconds - UNSIGNED_AFTER_SECONDS) > 0:
            late = max(self.loose_seconds, self.unsigned_seconds)
            return f"{_entries(self.waiting + self.unsigned)} {duration(late)} for a signature"
        seconds = self.signed_seconds
        said = "nothing to sign yet" if seconds is None else f"signed {duration(seconds)} ago"
        return f"{said}, {self._witnessed}" if self.witnesses else said


def _entries(count: int) -> str:
    return f"{count:,} {'entry waits' if count == 1 else 'entries wait'}"


def duration(seconds: float) -> str:
    """A length of time in the largest fitting unit: 4 s, 3 min, 2 h, 5 days."""
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 2 * 86400:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86400)} days"


def state() -> Health:
    """The state of the log now. Never raises for a database that does not answer: that is a state too."""
    policy, policy_problem = None, None
    try:
        policy = witness_policy.configured()
    except witness_policy.NoPolicy as problem:
        policy_problem = str(problem)
    vkeys = [str(key) for key in policy.keys] if policy is not None else []
    try:
        with connection.cursor() as cursor:
            cursor.execute(_QUERY, [LAGGING_AFTER_SECONDS, vkeys])
            row = cursor.fetchone()
    except (DatabaseError, DriverError):
        return Health(now=datetime.now(UTC), reachable=False)
    return _read(row, policy, policy_problem)


def of_shard(shard: Shard) -> Health:
    """The state of a shard's log now, which no witness cosigns. Never raises for one that does not answer."""
    try:
        with shards.connect(shard) as own:
            row = own.execute(_QUERY, [LAGGING_AFTER_SECONDS, []]).fetchone()
    except (shards.ShardMissing, DriverError, OSError):
        return Health(now=datetime.now(UTC), reachable=False)
    return _read(row, None, None)


def _read(row: Any, policy: Policy | None, policy_problem: str | None) -> Health:
    assert row is not None, "the migration makes the head"
    size, root, signed, signed_root, signed_at, now, frozen, waiting, oldest, unsigned_at, due, cosigned = row
    contradiction = None
    if signed is not None and signed > size:
        contradiction = f"A checkpoint covers {signed:,} entries, and the log has {size:,}: entries are missing."
    elif signed is not None and signed == size and bytes(signed_root) != bytes(root):
        contradiction = f"The log of {size:,} entries is not the one that was signed."
    return Health(
        now=now,
        size=size,
        signed=signed,
        signed_at=signed_at,
        waiting=waiting,
        loose_seconds=0.0 if oldest is None else (now - oldest).total_seconds(),
        unsigned_seconds=0.0 if unsigned_at is None else max(now.timestamp() - unsigned_at / 1000, 0.0),
        frozen=frozen,
        contradiction=contradiction,
        policy_problem=policy_problem,
        **({} if policy is None else _witnessed(policy, json.loads(cosigned), due or 0, now)),
    )


def _witnessed(policy: Policy, cosigned: list[tuple[str, int, float]], due: int, now: datetime) -> dict[str, Any]:
    """The fields of Health that a policy adds. Until something is old enough to be due, nobody lags."""
    last = {vkey: (size, seconds) for vkey, size, seconds in cosigned}
    states, times = [], {}
    for witness in policy.witnesses:
        size, seconds = last.get(str(witness.key), (None, None))
        if size is None or seconds is None:
            states.append(WitnessState(_name(witness)))
            continue
        keeps_up = size >= due and now.timestamp() - seconds <= SILENT_AFTER_SECONDS
        times[witness.key] = int(seconds)
        states.append(WitnessState(_name(witness), size, datetime.fromtimestamp(seconds, UTC), keeps_up))
    since = policy.met_since(times)
    up = [witness.key for witness, state in zip(policy.witnesses, states, strict=True) if state.keeps_up]
    return {
        "witnesses": tuple(states),
        "quorum_met": policy.met(up) or due == 0,
        "cosigned_at": None if since is None else datetime.fromtimestamp(since, UTC),
    }


def _name(witness: Witness) -> str:
    return witness.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
