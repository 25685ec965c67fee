"""Approvals: given by another person with an approval secret, in two committed steps, for exactly these parameters.

The gate compares the secret and writes the approval into the log; here is decided who may be asked and what follows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.log import approval_proofs, journal
from audit.log.approval_proofs import Assertion
from core import approvers, database, jobs
from core.exceptions import Conflict, Invalid, NotAllowed, Unavailable
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import law, permissions, shards, states, trail
from search.exceptions import StateConflict, gate_sentences
from search.gate import client, params
from search.models import RequestState, SearchRequest
from search.requests import SEARCH, finish, lapsed, refuse
from search.shards import Server

_RAN_FIRST = (RequestState.READY, RequestState.RUNNING, RequestState.INCOMPLETE, RequestState.DONE)


def queue(by: User) -> QuerySet[SearchRequest]:
    """What this person may approve: requests of others in the agency that wait, emergencies that already ran included."""
    now = timezone.now()
    waits = Q(state=RequestState.AWAITING_APPROVAL, expires_at__gt=now)
    emergencies = Q(emergency=True, decided_at=None, state__in=_RAN_FIRST) & (
        Q(deadline_at=None, expires_at__gt=now) | Q(deadline_at__gt=now)
    )
    found = (
        SearchRequest.objects.filter(waits | emergencies, requester__agency=by.agency_id)
        .exclude(requester=by)
        .select_related("requester", "case", "gallery")
        .order_by("submitted_at")
    )
    packs = {one.code: one for one in law.packs()}
    mine = [code for code, pack in packs.items() if by.is_active and pack.approval.roles & set(by.roles)]
    return found.filter(law_pack__in=mine)


def roles(request: SearchRequest) -> frozenset[str]:
    """The roles of which the law pack accepts an approval of this request."""
    return _pack(request).approval.roles


def approvals_given(request: SearchRequest) -> int:
    """How many different people have approved the request as it is."""
    return len(trail.approvers(database.session(), request.id, request.params))


def approvals_asked(request: SearchRequest) -> int:
    """How many have to."""
    return max(1, _pack(request).approval.count)


def passkey_options(by: User, request: SearchRequest) -> dict[str, Any] | None:
    """What a browser asks one's passkey for (WebAuthn request options), or None when none is enrolled."""
    enrolled = client.passkeys(database.session(), by.id)
    if not enrolled or not request.params:
        return None
    wanted = approval_proofs.challenge(request.id, bytes.fromhex(request.params))
    return {
        "publicKey": {
            "challenge": approval_proofs.encode(wanted),
            "allowCredentials": [{"type": "public-key", "id": approval_proofs.encode(one)} for one in enrolled],
            "userVerification": "required",
        }
    }


def needs_passkey() -> bool:
    """Whether the gate takes approvals with a proof only."""
    return client.settings(database.session())["approval_passkey"] == 1


def approve(
    *, by: User, request: SearchRequest, secret: str, proof: Assertion | None = None, channel: str = "web"
) -> SearchRequest:
    """Approves the request; when nobody else has to, it runs. An emergency is approved like this also after it ran.

    `proof` is what the approver's enrolled passkey signed. Raises NotAllowed (one's own request, not an approver, locked),
    StateConflict or Conflict (not waiting, expired), Invalid (field secret) for a wrong secret, which counts and is in the
    log, and (field passkey) for a wrong or missing proof, before the secret is compared.
    """
    request.refresh_from_db()
    if request.state in (RequestState.DRAFT, RequestState.HELD) or not request.params:
        raise StateConflict(states.said(request.state))
    _check_may(by, request, channel)
    _check_open(by, request, timezone.now(), channel)
    if request.state == RequestState.AWAITING_APPROVAL and (gone := lapsed(request)):
        sentences = " ".join(refusal.sentence for refusal in gone)
        late = Conflict(f"This request cannot be approved now. {sentences}")
        refuse(by=by, request=request, code=gone[0].code, problem=late, channel=channel)
    text = approvers.normalise(secret)
    _check_proof(by, request, proof)
    try:
        with database.connect("app") as own, shards.opened(request, own) as servers:
            # Each gate compares by itself. The main server comes last: what it has approved, all have.
            for server in (*servers[1:], servers[0]):
                with server.speaking(), gate_sentences():
                    _approve_in(server, by, request, text, proof)
    except shards.ServerTrouble as trouble:
        raise Unavailable(f"{trouble.sentence} The search is not approved. Approve it again later.") from trouble
    return advance(request)


def _approve_in(server: Server, by: User, request: SearchRequest, secret: str, proof: Assertion | None) -> None:
    proposal = client.propose(
        server.connection,
        act=params.SEARCH_ACT,
        params=bytes.fromhex(request.params),
        approver=by.id,
        secret=secret,
        subject=request.id,
    )
    if proof:
        right = client.approve_by_passkey(server.connection, proposal, proof)
    else:
        right = client.approve(server.connection, proposal)
    if not right:
        sentence = "This is not your approval secret. Nothing was approved; the attempt is in the log."
        raise Invalid(sentence, {"secret": [sentence]})


def advance(request: SearchRequest) -> SearchRequest:
    """Draws from the log what the approvals given so far allow. Harmless to repeat; a crash after an approval is healed so."""
    given = trail.approvers(database.session(), request.id, request.params) - {request.requester_id}
    if len(given) < approvals_asked(request):
        return request
    with transaction.atomic():
        request = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if request.decided_at is None and request.state in (RequestState.AWAITING_APPROVAL, *_RAN_FIRST):
            request.decided_by_id, request.decided_at = min(given), timezone.now()
        if request.state == RequestState.AWAITING_APPROVAL:
            states.move(request, RequestState.READY)
            jobs.enqueue(kind=SEARCH, subject=request.id)
        request.save()
    return request


def reject(*, by: User, request: SearchRequest, note: str) -> SearchRequest:
    """Turns a waiting request down, with a reason. Raises NotAllowed, Invalid, StateConflict."""
    request.refresh_from_db()
    if request.state != RequestState.AWAITING_APPROVAL:
        raise StateConflict(states.said(request.state))
    _check_may(by, request)
    if not note.strip():
        sentence = "Write why you turn this search down."
        raise Invalid(sentence, {"note": [sentence]})
    with transaction.atomic():
        request = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        states.move(request, RequestState.REJECTED)
        request.decided_by, request.decided_at = by, timezone.now()
        request.save()
        journal.record(
            "search:request:rejected",
            vault_record=request.id,
            values={"note": note},
            request=request.id,
            **signature(by, Permission.APPROVE_SEARCHES),
        )
    return finish(request, RequestState.REJECTED)


def _check_proof(by: User, request: SearchRequest, proof: Assertion | None) -> None:
    if proof is None:
        if needs_passkey():
            raise _wrong_passkey(
                "Approve with your passkey, on the page of the request: here every approval needs one."
            )
        return
    passkey = client.passkeys(database.session(), by.id).get(proof.credential)
    if passkey is None:
        raise _wrong_passkey(
            "This passkey is not enrolled for your approvals. Use the one that the registrar enrolled."
        )
    wanted = approval_proofs.challenge(request.id, bytes.fromhex(request.params))
    if (reason := approval_proofs.wrong_with(proof, passkey, wanted)) is not None:
        raise _wrong_passkey(f"The answer of the passkey does not prove this approval: {reason}. Approve again.")


def _wrong_passkey(sentence: str) -> Invalid:
    return Invalid(sentence, {"passkey": [sentence]})


def _check_may(by: User, request: SearchRequest, channel: str = "web") -> None:
    try:
        permissions.check_can_approve(by, request, roles(request))
    except NotAllowed as problem:
        code = "approval:own" if request.requester_id == by.id else "approval:not_allowed"
        refuse(by=by, request=request, code=code, problem=problem, channel=channel)


def _check_open(by: User, request: SearchRequest, now: datetime, channel: str) -> None:
    from search.life import expire

    if request.state == RequestState.AWAITING_APPROVAL:
        if request.expires_at is not None and request.expires_at > now:
            return
        expire(request)
        late = Conflict("This request has expired. It has to be made again.")
        refuse(by=by, request=request, code="approval:expired", problem=late, channel=channel)
    if request.emergency and request.decided_at is None and request.state in _RAN_FIRST:
        if request.deadline_at is None or request.deadline_at > now:
            return
        late = Conflict("The deadline of this emergency has passed: its result is sealed.")
        refuse(by=by, request=request, code="approval:expired", problem=late, channel=channel)
    used = StateConflict(states.said(request.state))
    refuse(by=by, request=request, code="request:used", problem=used, channel=channel)


def _pack(request: SearchRequest) -> law.LawPack:
    """The edition of the law pack that was in force when the request was submitted."""
    assert request.submitted_at is not None
    return law.pack(request.law_pack, request.submitted_at)
