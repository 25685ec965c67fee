"""Thresholds: an evaluation proposes one, two approvers adopt it, and the gate accepts no search below it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from audit.fairness.acceptance import load_policy
from audit.models import Evaluation
from core import database
from core.exceptions import Conflict, Invalid
from core.models import User
from core.permissions import require
from core.person_roles import Permission
from search.exceptions import gate_sentences
from search.gate import client, params
from search.proposals import propose


@dataclass(frozen=True)
class Signature:
    """One approver of an act and the approval secret as typed."""

    approver: User
    secret: str


def _proposals(by: User, act: str, values: Mapping[str, Any], signatures: Sequence[Signature]) -> list[uuid.UUID]:
    if len({signature.approver.id for signature in signatures}) != 2:
        raise Invalid("Two different approvers have to sign this.", {"approvers": ["Name two different people."]})
    return [
        propose(by=by, act=act, params=values, approver=signature.approver, secret=signature.secret)
        for signature in signatures
    ]


def adopt(*, by: User, evaluation: Evaluation, signatures: Sequence[Signature]) -> Evaluation:
    """Adopts an evaluation's verdict and threshold for its face model, whatever the verdict: the gate accepts *met* only.

    Raises NotAllowed, Conflict when it is not published, Invalid or the gate's refusal (wrong secret, locked).
    """
    require(by, Permission.PROPOSE_POLICY, "Only an administrator may propose a threshold.")
    if evaluation.published_at is None or evaluation.threshold is None:
        raise Conflict("The evaluation is not finished: there is nothing to adopt yet.")
    if evaluation.kind != Evaluation.Kind.PHOTOS:
        raise Conflict("Only an evaluation of photos by a face model of this installation can be adopted.")
    policy = load_policy(evaluation.acceptance_policy)
    expires = evaluation.published_at + timedelta(days=policy.maximum_age_days)
    values: dict[str, Any] = {
        "model": evaluation.face_model,
        "report": evaluation.report_sha256,
        "verdict": evaluation.verdict,
        "policy": evaluation.acceptance_policy,
        "threshold": evaluation.threshold,
        "expires": int(expires.timestamp() * 1000),
    }
    proposals = _proposals(by, "gate:adopt_evaluation", params.adopt_evaluation(**values), signatures)
    with gate_sentences():
        client.adopt_evaluation(database.session(), proposals=proposals, **values)
    with transaction.atomic():
        evaluation.adopted_at = timezone.now()
        evaluation.save(update_fields=["adopted_at"])
    return evaluation


def set_limit(*, by: User, setting: str, value: int, signatures: Sequence[Signature]) -> None:
    """Changes a limit or switch of the gate. Raises NotAllowed, Invalid or the gate's refusal."""
    require(by, Permission.PROPOSE_POLICY, "Only an administrator may propose a limit of the gate.")
    proposals = _proposals(by, "gate:set_policy", params.set_policy(setting=setting, value=value), signatures)
    with gate_sentences():
        client.set_policy(database.session(), setting=setting, value=value, proposals=proposals)
