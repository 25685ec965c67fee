"""Search requests: drafted, filled in, submitted to the rules, withdrawn.

Submitting asks every rule at once. What is refused is in the log before the officer reads why, whatever happens to the
web request afterwards, and nothing that was typed is lost. What is accepted is fixed at that moment: an approval is given
for exactly these parameters.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final, NoReturn

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.log import journal
from audit.log.commitments import Opening
from core import database, jobs, keystore
from core.exceptions import GlasscaseError, Invalid, NotAllowed, NotFound
from core.models import User
from core.permissions import has, signature
from core.person_roles import Permission
from search import intake, permissions, sealed, shards, states
from search.exceptions import StateConflict, gate_sentences, refused
from search.gate import client, params
from search.gathering import Gathered, RequestFields, find_case, find_gallery, gather, stored
from search.models import Attachment, RequestState, SearchRequest
from search.obligations import approvals_needed, may_run_without_approval
from search.policies import Kind, Refusal
from search.vocabulary import ATTACHMENT_KINDS, CODE, LEGAL_BASES, OFFENCES, PROBE_KINDS, PROHIBITED_PURPOSES, PURPOSES

__all__ = [
    "RequestFields",
    "attach",
    "claim_record",
    "draft",
    "fill_in",
    "lapsed",
    "override_quality",
    "submit",
    "typed",
    "withdraw",
]

SEARCH: Final = "search"
MAX_ATTACHMENT_BYTES: Final = 20_000_000
_DOCUMENTS: Final = {b"%PDF-": "PDF", b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}


def draft(*, by: User) -> SearchRequest:
    """A new, empty request. Raises NotAllowed."""
    permissions.check_can_request_search(by)
    return SearchRequest.objects.create(id=uuid.uuid4(), requester=by)


def typed(request: SearchRequest) -> RequestFields:
    """What was typed so far."""
    return RequestFields(**sealed.read(request).get("typed", {}))


def fill_in(*, by: User, request: SearchRequest, fields: RequestFields) -> SearchRequest:
    """Keeps what was typed in a draft, right or wrong. Raises NotAllowed, StateConflict."""
    permissions.check_can_change_request(by, request)
    with transaction.atomic():
        return _fill_in(intake.locked_draft(request), fields)


def submit(*, by: User, request: SearchRequest, fields: RequestFields, channel: str = "web") -> SearchRequest:
    """Asks every rule; then the request is held, waits for approval, or runs.

    `channel` is web, api or cli. Raises SearchRefused with everything that stands against the request, StateConflict for
    one that was submitted before, NotAllowed; each is in the log when it is raised. Raises LogUnavailable when the log
    cannot be written: then nothing was done.
    """
    try:
        permissions.check_can_change_request(by, request)
    except NotAllowed as problem:
        refuse(by=by, request=request, code="request:not_allowed", problem=problem, channel=channel)
    if request.state != RequestState.DRAFT or not _still_draft(request):
        request.refresh_from_db()
        used = StateConflict(states.said(request.state))
        refuse(by=by, request=request, code="request:used", problem=used, channel=channel)
    with transaction.atomic():
        _fill_in(intake.locked_draft(request), fields)  # kept, whatever comes of the rest
    with transaction.atomic():
        # One lock from the words to the decision: what the rules saw is what is fixed, whatever another tab sends meanwhile.
        request = _fill_in(intake.locked_draft(request), fields)
        values = sealed.read(request)
        gathered = gather(request=request, values=values, fields=fields, now=timezone.now())
        if not gathered.refusing:
            return _accept(by, request, gathered)
    _log_refusal(by, request, values, gathered, channel)
    _check_again(request, gathered.refusals)
    raise refused(gathered.refusals)


def withdraw(*, by: User, request: SearchRequest) -> SearchRequest:
    """Takes a request back, until it has been run. Raises NotAllowed, StateConflict, Conflict."""
    permissions.check_can_change_request(by, request)
    if not states.can_move(request.state, RequestState.WITHDRAWN):
        raise StateConflict(states.said(request.state))
    with database.connect("app") as own, gate_sentences():
        client.withdraw(own, request.id, by.id)
    # What the main server does not run is complete nowhere: a shard that does not answer, or has run it, changes nothing.
    for name in shards.others_of(request):
        with suppress(shards.ServerTrouble, client.GateRefused), shards.reach(name) as connection:
            client.withdraw(connection, request.id, by.id)
    return finish(request, RequestState.WITHDRAWN)


def override_quality(*, by: User, request: SearchRequest, note: str) -> SearchRequest:
    """A supervisor accepts the chosen face below the quality limits, with a reason. Raises NotAllowed, Invalid, Conflict."""
    permissions.check_can_override_quality(by, request)
    if len(note.split()) < 3:
        sentence = "Write why this photo is good enough, in a sentence."
        raise Invalid(sentence, {"note": [sentence]})
    with transaction.atomic():
        request = intake.locked_draft(request)
        missed = next((f.shortfalls for f in intake.faces(request) if f.number == request.chosen_face), ())
        if not missed:
            raise StateConflict("Nothing about this photo needs to be accepted.")
        hard = [str(each["sentence"]) for each in missed if not each["overridable"]]
        if hard:
            raise Invalid(" ".join(hard), {"probe": hard})
        request.quality_overridden_by, request.quality_overridden_at = by, timezone.now()
        request.save()
        journal.record(
            "search:quality:overridden",
            vault_record=request.id,
            values={"note": note},
            request=request.id,
            shortfalls=sorted(set(request.shortfalls)),
            **signature(by, Permission.OVERRIDE_QUALITY),
        )
    return request


def attach(*, by: User, request: SearchRequest, kind: str, name: str, data: bytes) -> Attachment:
    """Files a document that gives authority, sealed: PDF, JPEG or PNG, at most 20 MB. In an emergency also later.

    Raises NotAllowed, Invalid (field attachments), StateConflict.
    """
    permissions.check_can_change_request(by, request)
    if kind not in ATTACHMENT_KINDS:
        raise _wrong_document("Choose what the document is from the list.")
    if not data or len(data) > MAX_ATTACHMENT_BYTES:
        raise _wrong_document(f"A document may have 1 byte to {MAX_ATTACHMENT_BYTES // 1_000_000} MB.")
    if not any(data.startswith(magic) for magic in _DOCUMENTS):
        raise _wrong_document("A document has to be a PDF, JPEG or PNG file.")
    with transaction.atomic():
        request = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if request.state != RequestState.DRAFT and not (request.emergency and request.state not in _CLOSED):
            raise StateConflict(states.said(request.state))
        attachment = Attachment(
            id=uuid.uuid4(),
            request=request,
            kind=kind,
            name=name[:200],
            size=len(data),
            filed_by=by,
            filed_at=timezone.now(),
        )
        sealed.write_file(request, sealed.attachment_path(attachment.id), data)
        attachment.save(force_insert=True)
        journal.record(
            "search:attachment:filed",
            vault_record=request.id,
            values={"file": {"name": name[:200], "sha256": hashlib.sha256(data).hexdigest()}},
            request=request.id,
            kind=kind,
            **signature(by, Permission.REQUEST_SEARCHES),
        )
    return attachment


def document(attachment: Attachment) -> bytes:
    """The clear bytes of a document. Whoever shows it asks `check_can_see_justification` first. Raises NotFound."""
    return sealed.read_file(attachment.request, sealed.attachment_path(attachment.id))


# What approvals, holds and the life of a search share with this module

_CLOSED: Final = states.FINAL - {RequestState.DONE}
# Rules that are asked again before an approval and before the search: about the case and the officer, not the words.
_LAPSES: Final = frozenset(
    {"case:unknown", "case:unconfirmed", "case:closed", "case:not_assigned", "training:missing", "training:expired"}
)


def claim_record(request: uuid.UUID) -> uuid.UUID:
    """Where the key store keeps the claim's secret of a request."""
    return uuid.uuid5(request, "claim")


def fix(request: SearchRequest, gathered: Gathered) -> None:
    """Fixes what the intent will say. The caller has locked the row and saves it."""
    assert gathered.case is not None
    assert gathered.gallery is not None
    assert gathered.edition is not None
    assert gathered.pack is not None
    facts, fields = gathered.facts, gathered.fields
    hours = min(settings.GLASSCASE_REQUEST_HOURS, gathered.limits["intent_hours_max"])
    request.case, request.gallery = gathered.case, gathered.gallery
    request.purpose, request.legal_basis, request.probe_kind = fields.purpose, fields.legal_basis, fields.probe_kind
    request.offence = gathered.case.offence
    request.law_pack = gathered.pack.code
    request.emergency = fields.emergency
    request.edition, request.face_model = gathered.edition.edition, gathered.edition.model
    request.sub_gallery = fields.sub_gallery
    request.shards = gathered.shards
    request.threshold, request.k = facts.threshold_micro, facts.k
    # Whole milliseconds: the entry and the row say the same.
    request.expires_at = (facts.now + timedelta(hours=hours)).replace(microsecond=0)
    request.claim = hashlib.sha256(keystore.create(claim_record(request.id))).hexdigest()
    openings = shared_openings(request)
    request.params = params.search(
        intent_fields(request), photo=openings["photo"].commitment, box=openings["box"].commitment
    ).hex()


def intent_fields(request: SearchRequest) -> dict[str, Any]:
    """The fields of the intent, ids as UUIDs. The request has been fixed."""
    assert request.case_id is not None
    assert request.gallery_id is not None
    assert request.expires_at is not None
    named = {"sub_gallery": request.sub_gallery} if request.sub_gallery else {}
    return named | {
        "request": request.id,
        "case": request.case_id,
        "requester": request.requester_id,
        "purpose": request.purpose,
        "offence": request.offence,
        "legal_basis": request.legal_basis,
        "gallery": request.gallery_id,
        "edition": request.edition,
        "model": request.face_model,
        "threshold": request.threshold,
        "k": request.k,
        "emergency": request.emergency,
        "claim": request.claim,
        "expires": round(request.expires_at.timestamp() * 1000),
        **({"shards": request.shards} if request.shards else {}),
    }


def shared_openings(request: SearchRequest) -> dict[str, Opening]:
    """The openings that submission, approval and intent share, made once and kept sealed; the row has to be saved."""
    values = sealed.read(request)
    face = intake.chosen(values, request.chosen_face or 0)
    assert request.case is not None
    found = {
        field: sealed.opening(values, field, value)
        for field, value in {
            "photo": values["image"]["sha256"],
            "original": values["original"]["sha256"],
            "box": list(intake.pixel_box(face.box)),
            "case_number": request.case.number,
            "justification": values["typed"]["justification"],
        }.items()
    }
    sealed.write(request, values)
    return found


def go_on(request: SearchRequest, gathered: Gathered) -> None:
    """Moves a request that no rule stops to approval or to the workers. The caller has locked the row and saves it."""
    assert gathered.pack is not None
    needed = approvals_needed(gathered.facts, gathered.pack).count
    if needed and not may_run_without_approval(gathered.facts, gathered.pack):
        states.move(request, RequestState.AWAITING_APPROVAL)
    else:
        states.move(request, RequestState.READY)
        jobs.enqueue(kind=SEARCH, subject=request.id)


def finish(request: SearchRequest, to: RequestState, *, problem: str = "") -> SearchRequest:
    """Ends a request that did not reach its result; its claim is void from then on. Raises StateConflict."""
    with transaction.atomic():
        request = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if request.state != to:
            states.move(request, to)
            request.problem = problem[:500]
            request.save()
    keystore.destroy(claim_record(request.id))
    return request


def lapsed(request: SearchRequest) -> list[Refusal]:
    """What was right when the request was submitted and is not now: the case, and the officer who asked."""
    found = gather(request=request, values=sealed.read(request), fields=typed(request), now=timezone.now()).refusing
    found = [refusal for refusal in found if refusal.code in _LAPSES]
    if not has(request.requester, Permission.REQUEST_SEARCHES):
        sentence = f"{request.requester} may not request searches any more."
        found.append(Refusal("requester:left", "", sentence, "", Kind.REFUSE, verified=True, caveat=""))
    return found


def refuse(*, by: User, request: SearchRequest, code: str, problem: GlasscaseError, channel: str = "web") -> NoReturn:
    """Writes a refusal about an existing request into the log, committed at once, and raises `problem`."""
    record_refusal(by=by, request=request, code=code, channel=channel)
    raise problem


def record_refusal(*, by: User, request: SearchRequest, code: str, channel: str = "web") -> None:
    """Writes a refusal about an existing request into the log, committed when this returns."""
    journal.record_now(
        "search:request:refused",
        actor=by.id,
        reasons=[code],
        law_pack=_pack_code(request),
        request=request.id,
        case=request.case_id,
        requester=request.requester_id,
        channel=channel,
        about_case=case_number(request),
    )


def case_number(request: SearchRequest) -> str:
    """The number that the request's entries are tagged with: its case's, else the one that was typed."""
    if request.case is not None:
        return request.case.number
    try:
        return typed(request).case_number
    except NotFound:  # erased
        return ""


def _still_draft(request: SearchRequest) -> bool:
    return SearchRequest.objects.filter(pk=request.pk, state=RequestState.DRAFT).exists()


def _fill_in(request: SearchRequest, fields: RequestFields) -> SearchRequest:
    """Into the columns goes what is on a closed list; the words as typed are sealed."""
    values = sealed.read(request)
    values["typed"] = asdict(fields)
    sealed.write(request, values)
    request.case = find_case(request.requester, fields.case_number)
    request.gallery = find_gallery(request.requester, fields.gallery)
    request.purpose = fields.purpose if fields.purpose in PURPOSES or fields.purpose in PROHIBITED_PURPOSES else ""
    request.offence = fields.offence if fields.offence in OFFENCES else ""
    request.legal_basis = fields.legal_basis if fields.legal_basis in LEGAL_BASES else ""
    request.probe_kind = fields.probe_kind if fields.probe_kind in PROBE_KINDS else ""
    request.emergency = fields.emergency
    request.save()
    return request


def _accept(by: User, request: SearchRequest, gathered: Gathered) -> SearchRequest:
    fix(request, gathered)
    request.submitted_at = gathered.facts.now
    request.fingerprint = stored(gathered.facts.fingerprint)
    openings = shared_openings(request)
    fields = intent_fields(request)
    for unsaid in ("model", "claim", "expires"):
        del fields[unsaid]
    journal.record(
        "search:request:submitted",
        vault_record=request.id,
        openings=openings.values(),
        about_case=case_number(request),
        law_pack=request.law_pack,
        faces=request.faces_found,
        **fields,
        **signature(by, Permission.REQUEST_SEARCHES),
    )
    if gathered.holding:
        request.held_reasons = [refusal.code for refusal in gathered.holding]
        states.move(request, RequestState.HELD)
        journal.record("search:request:held", request=request.id, reasons=request.held_reasons)
    else:
        go_on(request, gathered)
    request.save()
    return request


def _log_refusal(by: User, request: SearchRequest, values: dict[str, Any], gathered: Gathered, channel: str) -> None:
    fields, facts = gathered.fields, gathered.facts
    journal.record_now(
        "search:request:refused",
        vault_record=request.id,
        values={
            "case_number": fields.case_number or None,
            "justification": fields.justification or None,
            "photo": values.get("image", {}).get("sha256"),
            "original": values.get("original", {}).get("sha256"),
        },
        reasons=[refusal.code for refusal in gathered.refusals],
        law_pack=_pack_code(request),
        request=request.id,
        case=gathered.case.id if gathered.case else None,
        requester=request.requester_id,
        purpose=_code(facts.purpose),
        offence=_code(fields.offence),
        gallery=gathered.gallery.id if gathered.gallery else None,
        channel=channel,
        about_case=fields.case_number,
        **signature(by, Permission.REQUEST_SEARCHES),
    )


def _check_again(request: SearchRequest, refusals: Sequence[Refusal]) -> None:
    if any(refusal.code in ("probe:other_model", "probe:not_checked") for refusal in refusals):
        jobs.enqueue(kind=intake.PROBE_CHECK, subject=request.id)


def _pack_code(request: SearchRequest) -> str:
    agency = request.requester.agency
    return _code(agency.law_pack if agency else "") or "none"


def _code(text: str) -> str | None:
    return text if CODE.match(text) else None


def _wrong_document(sentence: str) -> Invalid:
    return Invalid(sentence, {"attachments": [sentence]})
