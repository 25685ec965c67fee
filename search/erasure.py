"""Erasing a search: by order with an approval, by age, and after an emergency that nobody approved in time.

By order everything goes: photo, embedding, candidates, what was typed, and the values behind the entries of the request. By age
and after an emergency the photo, the embedding and the candidates go; what was typed stays for the oversight board. The log
keeps its entries and commitments, which say nothing without the values. Database first, then files and keys: what a
killed process leaves is finished by `finish`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg
import structlog
from django.db import transaction
from django.utils import timezone

from audit.log import journal
from core import database, key_backups, keystore
from core.models import User
from core.permissions import require, signature
from core.person_roles import Permission
from search import law, leads, sealed, shards, states
from search.exceptions import StateConflict, gate_sentences
from search.gate import client, params
from search.gate.client import GateRefused
from search.law_pack import AfterDeadline
from search.models import SearchRequest
from search.proposals import propose
from search.requests import claim_record

ORDERED: Final = "ordered"
RETENTION: Final = "retention"
OVERDUE: Final = "emergency_overdue"
_CLOSED: Final = frozenset(states.FINAL)

_log = structlog.get_logger(__name__)


def erase(*, by: User | None, request: SearchRequest, approver: User, secret: str) -> None:
    """Erases a search that has ended, by order. None as `by` is the operator.

    Raises NotAllowed, StateConflict, Invalid for the secret, Conflict under a legal hold.
    """
    if by is not None:
        require(by, Permission.DECIDE_HOLDS, "Only counsel may have a search erased. Ask your counsel.")
    request.refresh_from_db()
    if request.state not in _CLOSED:
        raise StateConflict("This search has not ended. Withdraw it first, or wait for its result.")
    gate = params.erase_search(request=request.id)
    first = propose(by=by, act="gate:erase_search", params=gate, approver=approver, secret=secret)
    record = params.erase(record=request.id)
    second = propose(by=by, act="vault:erase", params=record, approver=approver, secret=secret)
    with ExitStack() as opened:
        there = [opened.enter_context(shards.place(name)) for name in shards.others_of(request)]
        proposals = [
            propose(by=by, act="gate:erase_search", params=gate, approver=approver, secret=secret, at=at)
            for at in there
        ]
        _erase_everything(by, request, first, second, list(zip(there, proposals, strict=True)))
    _destroy(request)


def _erase_everything(
    by: User | None,
    request: SearchRequest,
    first: uuid.UUID,
    second: uuid.UUID,
    there: Sequence[tuple[psycopg.Connection, uuid.UUID]],
) -> None:
    """The main gate knows the holds, so it is asked first; what it did is committed when every shard has done the same."""
    with transaction.atomic(durable=True), gate_sentences():
        request = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        client.erase_search(database.session(), request.id, first)
        client.erase_record(database.session(), request.id, second)
        for at, proposal in there:
            client.erase_search(at, request.id, proposal)
        request.sealed, request.fingerprint, request.problem = b"", [], ""
        request.save()
        request.attachments.update(name="")
        journal.record(
            "search:photo:erased",
            request=request.id,
            reason=ORDERED,
            backups_until=key_backups.gone_by(),
            **signature(by, Permission.DECIDE_HOLDS),
        )


def erase_due() -> int:
    """Erases the photos, embeddings and candidates that were kept as long as they may be; returns of how many searches."""
    days = client.settings(database.session())["probe_days"]
    old = SearchRequest.objects.filter(state__in=_CLOSED, created_at__lte=timezone.now() - timedelta(days=days))
    overdue = SearchRequest.objects.filter(emergency=True, decided_by=None, deadline_at__lte=timezone.now())
    found = sum(_erase_photo(request, RETENTION) for request in old)
    return found + sum(_erase_photo(request, OVERDUE) for request in overdue if _erases_after_deadline(request))


def finish() -> int:
    """Destroys keys and files of erased searches that a killed process left; returns of how many."""
    erased = SearchRequest.objects.filter(sealed=b"", submitted_at__isnull=False)
    return sum(_destroy(request) for request in erased)


def _erases_after_deadline(request: SearchRequest) -> bool:
    assert request.submitted_at is not None
    return law.pack(request.law_pack, request.submitted_at).emergency.after_deadline is AfterDeadline.ERASE


def _erase_photo(request: SearchRequest, reason: str) -> bool:
    photos = (sealed.probe_path(request), sealed.crop_path(request))
    if not any(path.exists() for path in photos):
        return False
    try:
        with transaction.atomic(durable=True):
            client.erase_due(database.session(), request.id)
            for name in shards.others_of(request):
                with shards.reach(name) as there:
                    client.erase_due(there, request.id)
            journal.record(
                "search:photo:erased", request=request.id, reason=reason, backups_until=key_backups.gone_by()
            )
    except GateRefused as refused:
        # Under a hold, or the gate's own deadline is later: it is asked again the next time.
        _log.info("search is not erased", request=str(request.id), rule=refused.rule)
        return False
    except shards.ServerTrouble as trouble:
        _log.warning("search is not erased", request=str(request.id), shard=trouble.name, reason=trouble.reason)
        return False
    keystore.destroy(sealed.photo_record(request))
    _unlink(*photos)
    return True


def _destroy(request: SearchRequest) -> bool:
    """Keys first: a file that is left cannot be read any more. Says whether there was anything."""
    keys = keystore.destroy_many([request.id, sealed.photo_record(request), claim_record(request.id)])
    paths = [sealed.attachment_path(one) for one in request.attachments.values_list("pk", flat=True)]
    of_leads = [leads.path(lead, kind) for lead in request.leads.all() for kind in leads.PICTURES]
    return _unlink(sealed.probe_path(request), sealed.crop_path(request), *paths, *of_leads) or keys > 0


def _unlink(*paths: Path) -> bool:
    there = [path for path in paths if path.exists()]
    for path in there:
        path.unlink(missing_ok=True)
    return bool(there)
