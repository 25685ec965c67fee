"""Proposing an approved act: what an approver typed is committed first, then the act may use it up."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection

from core import approvers, database
from core.exceptions import Invalid, NotAllowed
from core.models import User
from search.exceptions import gate_sentences
from search.gate import client


@dataclass(frozen=True)
class Signature:
    """One approver of an act and the approval secret as typed."""

    approver: User
    secret: str


def propose_two(
    *,
    by: User | None,
    act: str,
    params: Mapping[str, Any],
    signatures: Sequence[Signature],
    at: psycopg.Connection | None = None,
) -> list[uuid.UUID]:
    """As `propose`, for an act that two different people sign. Raises Invalid when they are not two."""
    if len({signature.approver.id for signature in signatures}) != 2:
        raise Invalid("Two different approvers have to sign this.", {"approvers": ["Name two different people."]})
    return [
        propose(by=by, act=act, params=params, approver=signature.approver, secret=signature.secret, at=at)
        for signature in signatures
    ]


def propose(
    *,
    by: User | None,
    act: str,
    params: Mapping[str, Any],
    approver: User,
    secret: str,
    at: psycopg.Connection | None = None,
) -> uuid.UUID:
    """Store a proposal for `act` with exactly `params`, then have it answered; returns its id, for one use.

    `at` is a connection to a shard, whose gate compares by itself; the main server when None.

    The secret is compared in a later transaction than the one that stored it, so that no rollback hides a guess. Raises
    NotAllowed for one's own act and for a locked approver, Invalid for a wrong secret, RuntimeError inside a transaction.
    """
    if connection.in_atomic_block:
        raise RuntimeError("A proposal is committed before the act that uses it: call this outside any transaction.")
    if by is not None and by.pk == approver.pk:
        raise NotAllowed("Another person has to approve this. Ask a supervisor, counsel or another custodian.")
    typed = approvers.normalise(secret)
    session = at or database.session()
    with gate_sentences():
        proposal = client.propose(session, act=act, params=params, approver=approver.id, secret=typed)
        right = client.answer(session, proposal)
    if not right:
        sentence = "This is not the approval secret. Nothing was done; the attempt is in the log."
        raise Invalid(sentence, {"secret": [sentence]})
    return proposal
