"""Gathering what the rules need to know about one request: reads rows, the gate's limits and the sealed words."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import BigIntegerField, Value

from core import database, keystore
from core.exceptions import Invalid
from core.models import User
from search import cases, shards, sub_galleries
from search.facts import CaseFacts, Facts, GalleryFacts, ProbeFacts, Shortfall
from search.gate import client
from search.gate.client import Acceptance, Edition
from search.justification import Fingerprint, fingerprint
from search.law import NoLawPack
from search.law import pack as law_pack
from search.law_pack import LawPack
from search.models import Case, CaseStatus, Gallery, SearchRequest
from search.policies import Kind, Refusal, refusals, without_law_pack
from search.vocabulary import OFFENCES

DEFAULT_K: Final = 10
_FINGERPRINT_KEY: Final = uuid.uuid5(uuid.NAMESPACE_OID, "glasscase fingerprints of justifications")
_SIGN: Final = 1 << 63


@dataclass(frozen=True, kw_only=True)
class RequestFields:
    """What an officer typed. `gallery` is its name or id, `threshold` in millionths (None: the adopted one).

    `sub_gallery` is the name of one of the gallery's, or empty for everybody in it.
    """

    case_number: str = ""
    purpose: str = ""
    offence: str = ""
    legal_basis: str = ""
    justification: str = ""
    gallery: str = ""
    probe_kind: str = ""
    emergency: bool = False
    threshold: int | None = None
    k: int | None = None
    edition: int | None = None
    sub_gallery: str = ""


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A request as the rules see it, with the rows behind the facts, and everything that stands against it.

    `shards` lists the servers of a gallery that is spread over several, each as name:edition.
    """

    fields: RequestFields
    case: Case | None
    gallery: Gallery | None
    edition: Edition | None
    acceptance: Acceptance | None
    facts: Facts
    pack: LawPack | None
    refusals: list[Refusal]
    shards: list[str]
    limits: Mapping[str, int]

    @property
    def refusing(self) -> list[Refusal]:
        return [refusal for refusal in self.refusals if refusal.kind is Kind.REFUSE]

    @property
    def holding(self) -> list[Refusal]:
        return [refusal for refusal in self.refusals if refusal.kind is Kind.HOLD]


def gather(*, request: SearchRequest, values: Mapping[str, Any], fields: RequestFields, now: datetime) -> Gathered:
    """Asks every rule about the request at `now`. `values` are the request's sealed values."""
    requester = request.requester
    case = find_case(requester, fields.case_number)
    gallery = find_gallery(requester, fields.gallery)
    session = database.session()
    limits = client.settings(session)
    edition = current_edition(gallery.id) if gallery is not None else None
    acceptance = client.acceptance(session, edition.model) if edition is not None else None
    exempt = gallery is not None and bool(fields.purpose) and client.exempt(session, gallery.id, fields.purpose)
    floor = _floor(acceptance, now)
    print_ = fingerprint(fields.justification, fingerprint_key())
    facts = Facts(
        now=now,
        requester=str(requester.id),
        case_number=fields.case_number,
        case=_case_facts(case, requester),
        purpose=fields.purpose,
        legal_basis=fields.legal_basis,
        justification=fields.justification,
        fingerprint=print_,
        other_fingerprints=_other_fingerprints(request, case, print_),
        attachments=frozenset(request.attachments.values_list("kind", flat=True)),
        emergency=fields.emergency,
        overdue_emergencies=overdue_emergencies(requester, now),
        training_until=requester.training_until,
        probe=_probe_facts(request, values, fields),
        gallery=None
        if gallery is None
        else GalleryFacts(
            active=True,
            searchable_edition=edition is not None and edition.version > 0,
            same_face_model=fields.edition is None or (edition is not None and fields.edition == edition.edition),
            threshold_floor_micro=floor,
        ),
        k=min(DEFAULT_K, limits["k_max"]) if fields.k is None else fields.k,
        k_max=limits["k_max"],
        threshold_micro=fields.threshold if fields.threshold is not None else floor or 1,
        withheld_purposes=frozenset(),
        gate_approvals=0 if exempt else 1,
        released_holds=frozenset(request.held_reasons if request.cleared_at else ()),
    )
    against = _typed_offence(fields, case) + _photo_checked(request, values, edition)
    listed: list[str] = []
    if gallery is not None and edition is not None:
        try:
            listed = shards.list_of(gallery, edition)
            against += _sub_gallery(fields, gallery)
        except shards.ServerTrouble as trouble:
            against.append(
                _house("gallery:server_missing", "gallery", f"{trouble.sentence} Nothing can be searched meanwhile.")
            )
    pack: LawPack | None = None
    try:
        pack = law_pack(requester.agency.law_pack if requester.agency else "", now)
        found = refusals(facts, pack)
    except NoLawPack as reason:
        found = [without_law_pack(reason)]
    known = {refusal.code for refusal in found}
    return Gathered(
        fields=fields,
        case=case,
        gallery=gallery,
        edition=edition,
        acceptance=acceptance,
        facts=facts,
        pack=pack,
        shards=listed,
        refusals=found + [refusal for refusal in against if refusal.code not in known],
        limits=limits,
    )


def find_case(user: User, number: str) -> Case | None:
    """The case of the user's agency with this number, in whatever form it was typed."""
    if user.agency is None:
        return None
    try:
        canonical = cases.canonical(user.agency, number)
    except Invalid:
        return None
    return Case.objects.filter(agency=user.agency, number=canonical).first()


def find_gallery(user: User, named: str) -> Gallery | None:
    """The gallery of the user's agency with this name or id."""
    among = Gallery.objects.filter(agency=user.agency_id)
    try:
        return among.filter(pk=uuid.UUID(named)).first()
    except ValueError:
        return among.filter(name=named).first() if named else None


def current_edition(gallery: uuid.UUID) -> Edition | None:
    return next((one for one in client.editions(database.session(), gallery) if one.is_current), None)


def overdue_emergencies(user: User, now: datetime) -> int:
    """Emergency searches of the user that ran without approval and whose deadline has passed."""
    return SearchRequest.objects.filter(requester=user, deadline_at__lt=now, decided_by=None).count()


def fingerprint_key() -> bytes:
    """The installation's key for fingerprints: without it they cannot be looked up in a list of phrases."""
    return keystore.create(_FINGERPRINT_KEY)


def stored(print_: Fingerprint) -> list[int]:
    """A fingerprint as signed 64-bit integers, which is what the database has."""
    return sorted(value - 2 * _SIGN if value >= _SIGN else value for value in print_)


def _loaded(values: list[int]) -> Fingerprint:
    return frozenset(value % (2 * _SIGN) for value in values)


def _other_fingerprints(request: SearchRequest, case: Case | None, own: Fingerprint) -> tuple[Fingerprint, ...]:
    """Those of other cases that share at least one word pair, by an index: most share none.

    Without a case there is no other one: the request is refused for that, and would be told something untrue besides.
    """
    if case is None or not own:
        return ()
    # Typed one by one: bare integers would be bound as 32-bit ones.
    wanted = [Value(value, output_field=BigIntegerField()) for value in stored(own)]
    others = (
        SearchRequest.objects.filter(fingerprint__overlap=wanted, submitted_at__isnull=False, case__isnull=False)
        .exclude(pk=request.pk)
        .exclude(case=case)
    )
    return tuple(_loaded(values) for values in others.values_list("fingerprint", flat=True))


def _floor(acceptance: Acceptance | None, now: datetime) -> int | None:
    if acceptance is None or acceptance.verdict != "met" or acceptance.expires <= now.timestamp() * 1000:
        return None
    return acceptance.threshold


def _case_facts(case: Case | None, requester: User) -> CaseFacts | None:
    if case is None:
        return None
    return CaseFacts(
        confirmed=case.confirmed_at is not None,
        closed_on=case.closed_at.date() if case.status == CaseStatus.CLOSED and case.closed_at else None,
        assigned_to_requester=case.caseassignment_set.filter(officer=requester).exists(),
        offence=case.offence,
    )


def _probe_facts(request: SearchRequest, values: Mapping[str, Any], fields: RequestFields) -> ProbeFacts | None:
    if "image" not in values:
        return None
    if request.probe_checked_at is None:  # _photo_checked says so; what is not known yet is not held against the photo
        return ProbeFacts(kind=fields.probe_kind, faces_found=1, chosen_face=1, shortfalls=(), quality_override_by=None)
    items = [item for item in values.get("faces", []) if item["number"] == request.chosen_face]
    missed = [shortfall for item in items for shortfall in item["shortfalls"]]
    # A supervisor decides about what may be overridden; the rest stays what it is.
    overridable = all(shortfall["overridable"] for shortfall in missed)
    return ProbeFacts(
        kind=fields.probe_kind,
        faces_found=request.faces_found,
        chosen_face=request.chosen_face,
        shortfalls=tuple(Shortfall(code=each["code"], sentence=each["sentence"]) for each in missed),
        quality_override_by=str(request.quality_overridden_by_id)
        if request.quality_overridden_by_id and overridable
        else None,
    )


def _house(code: str, field: str, sentence: str) -> Refusal:
    return Refusal(code, field, sentence, "", Kind.REFUSE, verified=True, caveat="")


def _typed_offence(fields: RequestFields, case: Case | None) -> list[Refusal]:
    """The rules ask the case for its offence; the officer names it too, so that a wrong case number is noticed."""
    if not fields.offence:
        return [_house("offence:missing", "offence", "Choose the offence of the case.")]
    if case is not None and case.offence in OFFENCES and fields.offence != case.offence:
        label = OFFENCES[case.offence].label
        return [
            _house(
                "offence:not_the_cases",
                "offence",
                f"The case is about another offence ({label}). Check the case number and the offence.",
            )
        ]
    return []


def _sub_gallery(fields: RequestFields, gallery: Gallery) -> list[Refusal]:
    """Raises ServerTrouble when a server of the gallery does not answer."""
    if not fields.sub_gallery:
        return []
    among = sub_galleries.of_gallery(gallery)
    chosen = next((one for one in among if one.name == fields.sub_gallery), None)
    if chosen is None:
        names = ", ".join(one.name for one in among)
        sentence = f"The gallery {gallery.name} has no such sub-gallery. " + (
            f"It has: {names}." if names else "It has none: leave the field empty."
        )
        return [_house("gallery:unknown_sub_gallery", "sub_gallery", sentence)]
    if not chosen.templates:
        sentence = f"Nobody is enrolled in the sub-gallery {chosen.name} yet. Search the whole gallery, or wait."
        return [_house("gallery:empty_sub_gallery", "sub_gallery", sentence)]
    return []


def _photo_checked(request: SearchRequest, values: Mapping[str, Any], edition: Edition | None) -> list[Refusal]:
    if "image" not in values:
        return []
    if request.probe_checked_at is None:
        return [
            _house("probe:not_checked", "probe", "The photo is still being checked. Wait a moment, then ask again.")
        ]
    if edition is not None and edition.model != request.probe_model:
        return [
            _house(
                "probe:other_model",
                "probe",
                "The photo is checked again, because this gallery has another face model. Wait a moment, then ask again.",
            )
        ]
    return []
