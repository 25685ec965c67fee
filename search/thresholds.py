"""Thresholds: an evaluation proposes one, two approvers adopt it, and the gate accepts no search below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from django.db import transaction
from django.utils import timezone

from audit.fairness.acceptance import load_policy
from audit.models import Evaluation
from core import database
from core.exceptions import Conflict
from core.models import User
from core.permissions import require
from core.person_roles import Permission
from search import shards
from search.exceptions import gate_sentences
from search.gate import client, params
from search.proposals import Signature, propose_two


@contextmanager
def _each_gate() -> Iterator[list[psycopg.Connection]]:
    """Connections to all gates, the main one last; an act that is repeated after an outage harms none. Raises Unavailable."""
    with ExitStack() as opened:
        yield [*(opened.enter_context(shards.place(name)) for name in shards.configured()), database.session()]


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
    wanted = params.adopt_evaluation(**values)
    with _each_gate() as gates, gate_sentences():
        for gate in gates:
            proposals = propose_two(by=by, act="gate:adopt_evaluation", params=wanted, signatures=signatures, at=gate)
            client.adopt_evaluation(gate, proposals=proposals, **values)
    with transaction.atomic():
        evaluation.adopted_at = timezone.now()
        evaluation.save(update_fields=["adopted_at"])
    return evaluation


def set_limit(*, by: User, setting: str, value: int, signatures: Sequence[Signature]) -> None:
    """Changes a limit or switch of the gate. Raises NotAllowed, Invalid or the gate's refusal."""
    require(by, Permission.PROPOSE_POLICY, "Only an administrator may propose a limit of the gate.")
    wanted = params.set_policy(setting=setting, value=value)
    with _each_gate() as gates, gate_sentences():
        for gate in gates:
            proposals = propose_two(by=by, act="gate:set_policy", params=wanted, signatures=signatures, at=gate)
            client.set_policy(gate, setting=setting, value=value, proposals=proposals)
