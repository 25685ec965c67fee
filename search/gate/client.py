"""The gate's functions as the application calls them: typed, and with the database's refusals as one exception.

Every call is one statement in autocommit mode, so each step of a search is a transaction of its own; the functions refuse to
be combined. `connection` is a psycopg connection of the app role.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg
from pgvector import HalfVector

from audit.log.approval_proofs import Assertion, Passkey
from audit.log.entries import params_digest

MILLION: Final = 1_000_000


class GateRefused(Exception):
    """The database refused. `rule` is the short name of the rule, `sentence` says what to do."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule
        self.sentence = sentence


def refusal_of(error: psycopg.Error) -> GateRefused | None:
    """What the gate refused (SQLSTATE GC403, GC409, GC422, GC503), or a lock that was waited for too long; None for other errors."""
    if error.sqlstate == "55P03":
        return GateRefused("GC503", "The gate is busy with another act. Try again in a minute.")
    if error.sqlstate is not None and error.sqlstate.startswith("GC"):
        rule = error.diag.message_hint or error.sqlstate
        return GateRefused(rule, error.diag.message_primary or "The gate refused.")
    return None


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what `refusal_of` knows into GateRefused."""
    try:
        yield
    except psycopg.Error as error:
        refused = refusal_of(error)
        if refused is None:
            raise
        raise refused from error


@dataclass(frozen=True)
class Candidate:
    """One candidate: `score_milli` is the match score in steps of 10^-3 (612 means 0.612)."""

    rank: int
    template: uuid.UUID
    score_milli: int


@dataclass(frozen=True)
class Candidates:
    """The candidates of one reading, best first, and the salt that opens the result entry's commitment to the list.

    Of several servers (search.shards): `parts` has what each of them gave, by name, and `salt` is empty.
    """

    candidates: tuple[Candidate, ...]
    salt: bytes
    parts: tuple[tuple[str, Candidates], ...] = ()


@dataclass(frozen=True)
class Edition:
    """One gallery edition as the gate shows it: never a template."""

    edition: int
    gallery: uuid.UUID
    model: str
    dimension: int
    version: int
    templates: int
    is_current: bool


@dataclass(frozen=True)
class SubGallery:
    """A named part of a gallery in one edition: `matches` are `column:value`, `mark` its bit, `templates` its size now."""

    gallery: uuid.UUID
    edition: int
    name: str
    matches: tuple[str, ...]
    mark: int
    templates: int


@dataclass(frozen=True)
class Acceptance:
    """The adopted evaluation of a face model: `threshold` in millionths, `expires` in milliseconds since 1970."""

    model: str
    report: str
    verdict: str
    policy: str
    threshold: int
    expires: int


def _call(connection: psycopg.Connection, function: str, *arguments: Any, cast: str = "") -> Any:
    marks = ", ".join(["%s"] * len(arguments))
    with refusals():
        row = connection.execute(f"SELECT {function}({marks}){cast}", list(arguments)).fetchone()
    return row[0] if row else None


def propose(
    connection: psycopg.Connection,
    *,
    act: str,
    params: Mapping[str, Any] | bytes,
    approver: uuid.UUID,
    secret: str,
    subject: uuid.UUID | None = None,
) -> uuid.UUID:
    """Step one of an approval: what was typed is stored, counted and logged, nothing is compared.

    `params` are the act's parameters (or their digest, for a search). Raises GateRefused, also when this proposal locked the
    approver.
    """
    digest = params if isinstance(params, bytes) else params_digest(params)
    proposal = _call(connection, "gate.propose_approval", act, subject, digest, approver, secret)
    if proposal is None:
        raise GateRefused(
            "locked", "This approver is locked after wrong or unanswered approvals. Ask the registrar to unlock."
        )
    return uuid.UUID(str(proposal))


def approve(connection: psycopg.Connection, proposal: uuid.UUID) -> bool:
    """Step two for a search: whether the secret was right; if so the approval is in the log."""
    return bool(_call(connection, "gate.approve", proposal))


def approve_by_passkey(connection: psycopg.Connection, proposal: uuid.UUID, proof: Assertion) -> bool:
    """As `approve`, with what the approver's passkey signed; it stands in the approval's entry."""
    parts = (proof.credential, proof.authenticator_data, proof.client_data, proof.signature)
    return bool(_call(connection, "gate.approve_by_passkey", proposal, *parts))


def passkeys(connection: psycopg.Connection, approver: uuid.UUID) -> dict[bytes, Passkey]:
    """The passkeys that prove approvals of a person, by credential id."""
    rows = connection.execute("SELECT credential, key, site FROM gate.passkeys(%s)", [approver]).fetchall()
    return {bytes(credential): Passkey(str(approver), bytes(key), bytes(site)) for credential, key, site in rows}


def answer(connection: psycopg.Connection, proposal: uuid.UUID) -> bool:
    """Step two for every other act: whether the secret was right. The act uses the proposal afterwards."""
    return bool(_call(connection, "gate.answer", proposal))


def bind(connection: psycopg.Connection, *, intent: uuid.UUID, probe: np.ndarray, claim_secret: bytes) -> uuid.UUID:
    """Uses the request up and fixes its embedding (float32 (d,), unit norm); returns the id of the bound entry."""
    return uuid.UUID(str(_call(connection, "gate.bind", intent, HalfVector(probe).to_text(), claim_secret)))


def bound_salt(connection: psycopg.Connection, request: uuid.UUID, claim_secret: bytes) -> bytes:
    """What opens the commitment to the embedding that was bound, for who holds the claim."""
    return bytes(_call(connection, "gate.bound_salt", request, claim_secret))


def execute(connection: psycopg.Connection, request: uuid.UUID, claim_secret: bytes) -> None:
    """Runs the search and stores its outcome; returns nothing."""
    _call(connection, "gate.execute", request, claim_secret, cast="::text")


def candidates(connection: psycopg.Connection, view: uuid.UUID, secret: bytes) -> Candidates:
    """The candidates that the reading `view` (a sequenced entry) opens to who has the secret of its claim. Once per view."""
    with refusals():
        rows = connection.execute(
            "SELECT rank, template, score_milli, salt FROM gate.candidates(%s, %s)", [view, secret]
        ).fetchall()
    return Candidates(
        tuple(Candidate(int(rank), uuid.UUID(str(template)), int(score)) for rank, template, score, _ in rows if rank),
        bytes(rows[0][3]),
    )


def photo_key(connection: psycopg.Connection, view: uuid.UUID, secret: bytes, template: uuid.UUID) -> bytes:
    """The database's half of the key of a candidate's photo (32 bytes). Raises GateRefused, also when the photo is gone."""
    half = _call(connection, "gate.photo_key", view, secret, template)
    if half is None:
        raise GateRefused("photo", "The photo of this candidate is not kept any more.")
    return bytes(half)


def withdraw(connection: psycopg.Connection, request: uuid.UUID, actor: uuid.UUID) -> None:
    _call(connection, "gate.withdraw", request, actor, cast="::text")


def seal_overdue(connection: psycopg.Connection) -> int:
    """Seals the outcomes of emergency searches whose deadline passed without an approval; returns how many."""
    return int(_call(connection, "gate.seal_overdue"))


def replay(connection: psycopg.Connection, request: uuid.UUID, proposal: uuid.UUID) -> None:
    """Runs a bound search again and logs how the list compares with the first."""
    _call(connection, "gate.replay", request, proposal, cast="::text")


def adopt_evaluation(
    connection: psycopg.Connection,
    *,
    model: str,
    report: str,
    verdict: str,
    policy: str,
    threshold: int,
    expires: int,
    proposals: Sequence[uuid.UUID],
) -> None:
    """Adopts verdict and threshold (millionths) for a face model; needs proposals of two approvers."""
    _call(
        connection,
        "gate.adopt_evaluation",
        model,
        report,
        verdict,
        policy,
        threshold,
        expires,
        list(proposals),
        cast="::text",
    )


def set_policy(connection: psycopg.Connection, *, setting: str, value: int, proposals: Sequence[uuid.UUID]) -> None:
    _call(connection, "gate.set_policy", setting, value, list(proposals), cast="::text")


def set_exemption(
    connection: psycopg.Connection, *, gallery: uuid.UUID, purpose: str, exempt: bool, proposals: Sequence[uuid.UUID]
) -> None:
    _call(connection, "gate.set_exemption", gallery, purpose, exempt, list(proposals), cast="::text")


def place_hold(connection: psycopg.Connection, subject: uuid.UUID) -> None:
    _call(connection, "gate.place_hold", subject, cast="::text")


def lift_hold(connection: psycopg.Connection, subject: uuid.UUID, proposals: Sequence[uuid.UUID]) -> None:
    _call(connection, "gate.lift_hold", subject, list(proposals), cast="::text")


def approver_state(connection: psycopg.Connection, approver: uuid.UUID) -> str:
    """enrolled, locked, revoked or none."""
    return str(_call(connection, "gate.approver_state", approver))


def settings(connection: psycopg.Connection) -> dict[str, int]:
    """The gate's limits and switches."""
    return {str(name): int(value) for name, value in connection.execute("SELECT name, value FROM gate.settings()")}


def acceptance(connection: psycopg.Connection, model: str) -> Acceptance | None:
    """The adopted evaluation of a face model, whatever its verdict and age."""
    row = connection.execute(
        "SELECT model, report, verdict, policy, threshold, expires FROM gate.acceptances() WHERE model = %s", [model]
    ).fetchone()
    return None if row is None else Acceptance(*row)


def exempt(connection: psycopg.Connection, gallery: uuid.UUID, purpose: str) -> bool:
    """Whether this gallery and purpose need no approval."""
    if settings(connection)["approval_needed"] == 0:
        return True
    found = connection.execute(
        "SELECT FROM gate.exemptions() WHERE gallery = %s AND purpose = %s", [gallery, purpose]
    ).fetchone()
    return found is not None


def here(connection: psycopg.Connection) -> str:
    """Which server this is: the name of a shard, or main."""
    return str(_call(connection, "gate.here"))


# The gallery behind the gate


def spread_gallery(
    connection: psycopg.Connection, *, gallery: uuid.UUID, shards: Sequence[str], proposal: uuid.UUID
) -> None:
    """Fixes over which servers a gallery is spread, before its first edition. Asked again it answers the same."""
    _call(connection, "gate.spread_gallery", gallery, list(shards), proposal, cast="::text")


def register_edition(
    connection: psycopg.Connection, *, gallery: uuid.UUID, model: str, dimension: int, proposal: uuid.UUID
) -> int:
    return int(_call(connection, "gallery.register_edition", gallery, model, dimension, proposal))


def switch_edition(
    connection: psycopg.Connection, *, gallery: uuid.UUID, edition: int, missing: int, proposal: uuid.UUID
) -> None:
    """Raises GateRefused when another number of people than `missing` would not be found any more."""
    _call(connection, "gallery.switch_edition", gallery, edition, missing, proposal, cast="::text")


def is_retired(connection: psycopg.Connection, edition: int) -> bool:
    """Whether the edition was searched once and is not any more: nothing is enrolled there."""
    return bool(_call(connection, "gallery.is_retired", edition))


def people_missing(connection: psycopg.Connection, *, gallery: uuid.UUID, edition: int) -> int:
    """How many people of the edition that is searched are not in this one."""
    return int(_call(connection, "gallery.people_missing", gallery, edition))


def open_reembedding(
    connection: psycopg.Connection,
    *,
    gallery: uuid.UUID,
    source: int,
    target: int,
    version: int,
    templates: int,
    claim: bytes,
    proposals: Sequence[uuid.UUID],
) -> int:
    """Opens a batch of `target` that is filled from the photos of this version of `source`; needs proposals of two approvers."""
    asked = gallery, source, target, version, templates, claim
    return int(_call(connection, "gallery.open_reembedding", *asked, list(proposals)))


def announce_slice(
    connection: psycopg.Connection, *, edition: int, batch: int, secret: bytes, templates: Sequence[uuid.UUID]
) -> uuid.UUID:
    """Says which photos are read again next; returns the entry that says so, which opens their halves once it is in the tree."""
    return uuid.UUID(str(_call(connection, "gallery.announce_slice", edition, batch, secret, list(templates))))


def slice_halves(connection: psycopg.Connection, slice_: uuid.UUID, secret: bytes) -> dict[uuid.UUID, bytes]:
    """The database's halves of the keys of an announced slice's photos, by template; of what is still enrolled."""
    with refusals():
        rows = connection.execute("SELECT template, half FROM gallery.slice_halves(%s, %s)", [slice_, secret])
        return {uuid.UUID(str(template)): bytes(half) for template, half in rows.fetchall()}


def define_sub_gallery(
    connection: psycopg.Connection, *, gallery: uuid.UUID, name: str, matches: Sequence[str], proposal: uuid.UUID
) -> None:
    _call(connection, "gallery.define_sub_gallery", gallery, name, list(matches), proposal, cast="::text")


def sub_galleries(connection: psycopg.Connection) -> list[SubGallery]:
    """The sub-galleries of every edition, by name."""
    rows = connection.execute(
        "SELECT gallery, edition, name, matches, mark, templates FROM gallery.sub_galleries()"
    ).fetchall()
    return [
        SubGallery(gallery, edition, name, tuple(matches), *rest) for gallery, edition, name, matches, *rest in rows
    ]


def open_batch(connection: psycopg.Connection, edition: int, claim: bytes) -> int:
    """Opens an enrolment batch under `claim` (SHA-256 of a secret that the worker keeps)."""
    return int(_call(connection, "gallery.open_batch", edition, claim))


def discard_batch(connection: psycopg.Connection, edition: int, batch: int, secret: bytes) -> None:
    _call(connection, "gallery.discard_batch", edition, batch, secret, cast="::text")


def abandon_batch(connection: psycopg.Connection, *, edition: int, batch: int, proposal: uuid.UUID) -> None:
    """Discards an open batch whose secret is lost, with an approval instead."""
    _call(connection, "gallery.abandon_batch", edition, batch, proposal, cast="::text")


def seal_batch(
    connection: psycopg.Connection, *, edition: int, batch: int, secret: bytes, templates: int, digest: bytes
) -> int:
    """Seals a batch; returns the edition's new version. Refused when the database holds other rows than `digest` covers."""
    return int(_call(connection, "gallery.seal", edition, batch, secret, templates, digest))


def remove(connection: psycopg.Connection, *, edition: int, templates: Sequence[uuid.UUID], proposal: uuid.UUID) -> int:
    return int(_call(connection, "gallery.remove", edition, list(templates), proposal))


def expunge(connection: psycopg.Connection, *, person: uuid.UUID, proposal: uuid.UUID) -> int:
    return int(_call(connection, "gallery.expunge", person, proposal))


def warm(connection: psycopg.Connection, edition: int) -> None:
    _call(connection, "gallery.warm", edition, cast="::text")


def build_codes(connection: psycopg.Connection, edition: int, pages: int) -> tuple[int, int]:
    """Codes the templates of the next `pages` pages; returns how far it is and of how much: equal when all have theirs."""
    with refusals():
        row = connection.execute("SELECT done, whole FROM gallery.build_codes(%s, %s)", [edition, pages]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def uncoded(connection: psycopg.Connection) -> dict[int, int]:
    """How many sealed batches of an edition wait for their codes; without the editions where none does."""
    return dict(connection.execute("SELECT edition, batches FROM gallery.uncoded()").fetchall())


def editions(connection: psycopg.Connection, gallery: uuid.UUID | None = None) -> list[Edition]:
    """Every gallery edition, or those of one gallery."""
    rows = connection.execute(
        "SELECT edition, gallery, model, dimension, version, templates, is_current FROM gallery.editions()"
    ).fetchall()
    return [Edition(*row) for row in rows if gallery is None or row[1] == gallery]


def erase_record(connection: psycopg.Connection, record: uuid.UUID, proposal: uuid.UUID) -> int:
    return int(_call(connection, "vault.erase", record, proposal))


def erase_search(connection: psycopg.Connection, request: uuid.UUID, proposal: uuid.UUID) -> None:
    """Erases embedding and candidates of a search, by order. Raises GateRefused under a legal hold."""
    _call(connection, "gate.erase_search", request, proposal, cast="::text")


def erase_due(connection: psycopg.Connection, request: uuid.UUID) -> None:
    """As `erase_search`, without an approval, when it is due. Raises GateRefused when it is not, or under a legal hold."""
    _call(connection, "gate.erase_due", request, cast="::text")
