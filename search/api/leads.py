"""/api/v1/releases/, leads/ and requests/{id}/disclosures/: what leaves a search, and what becomes of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import Access
from core.api.fields import NoteIn, PersonOut
from core.api.schema import operation
from core.api.views import Files, Pages, View, binary
from core.person_roles import Permission
from search import disclosures, leads, outcomes
from search.api.outputs import RequestOut
from search.api.readings import CandidateOut, MeasuredOut
from search.api.requests import OneRequest
from search.api.reviews import DecisionOut
from search.models import ReviewState
from search.outcome_rules import OutcomeFields
from search.vocabulary import EVIDENCE_KINDS, PROCEDURES, TRUTHS, choices

_SUPERVISORS = Access.having(Permission.RELEASE_LEADS)
_READERS = Access.of("officer", "supervisor", "counsel")
_RECORDERS = Access.of("officer", "supervisor")


class AgreedOut(serializers.Serializer):
    """What both examiners support, and both decisions; `view` is the entry of this reading."""

    view = serializers.UUIDField()
    candidates = CandidateOut(many=True)
    decisions = DecisionOut(many=True)


class ReleaseIn(serializers.Serializer):
    """The candidates that are released."""

    templates = serializers.ListField(child=serializers.UUIDField(), max_length=200)
    note = serializers.CharField(allow_blank=True, required=False, default="", max_length=2000)


class LeadOut(serializers.Serializer):
    """A released lead, without what it says: reading it is an entry."""

    id = serializers.UUIDField()
    request = serializers.UUIDField(source="request_id")
    rank = serializers.IntegerField()
    released_at = serializers.DateTimeField()
    entry = serializers.UUIDField()


class LeadPageOut(serializers.Serializer):
    """A lead as it is read: somebody to look into, never an identification."""

    view = serializers.UUIDField()
    caveat = serializers.CharField()
    lead = LeadOut()
    person_ref = serializers.CharField()
    enrolled_at = serializers.CharField()
    score_milli = serializers.IntegerField()
    candidates = serializers.IntegerField(help_text="How long the list was.")
    note = serializers.CharField()
    measured = MeasuredOut(allow_null=True, help_text="As it was known when the lead was released.")


class ReviewStateOut(serializers.Serializer):
    """How far the review is."""

    state = serializers.ChoiceField(choices=ReviewState.choices)


class OutcomeIn(serializers.Serializer):
    """What became of a lead."""

    truth = serializers.ChoiceField(choices=choices(TRUTHS), help_text="Only what independent evidence shows.")
    procedure = serializers.ChoiceField(choices=choices(PROCEDURES))
    evidence = serializers.ListField(
        child=serializers.ChoiceField(choices=choices(EVIDENCE_KINDS)), required=False, max_length=40
    )
    disclosed_on = serializers.DateField(required=False, allow_null=True, help_text="When the defence was told.")
    note = serializers.CharField(allow_blank=True, required=False, default="", max_length=2000)


class OutcomeOut(serializers.Serializer):
    """One record. It is never changed; the one with the highest number holds."""

    number = serializers.IntegerField(source="row.number")
    truth = serializers.CharField(source="fields.truth")
    procedure = serializers.CharField(source="fields.procedure")
    evidence = serializers.ListField(source="fields.evidence", child=serializers.CharField())
    disclosed_on = serializers.DateField(source="fields.disclosed_on", allow_null=True)
    note = serializers.CharField(source="fields.note")
    recorded_by = PersonOut(source="row.recorded_by")
    recorded_at = serializers.DateTimeField(source="row.recorded_at")
    entry = serializers.UUIDField(source="row.entry")


class DisclosureIn(serializers.Serializer):
    """To whom a search is disclosed, and how much of it."""

    recipient = serializers.CharField(max_length=200)
    reason = serializers.CharField(max_length=2000)
    names_examiners = serializers.BooleanField(required=False, default=False)
    with_photos = serializers.BooleanField(
        required=False, default=False, help_text="Also the photos of people who became no lead; needs photos_reason."
    )
    photos_reason = serializers.CharField(allow_blank=True, required=False, default="", max_length=2000)


class DisclosureOut(serializers.Serializer):
    """One disclosure."""

    id = serializers.UUIDField()
    made_by = PersonOut()
    made_at = serializers.DateTimeField()
    names_examiners = serializers.BooleanField()
    with_photos = serializers.BooleanField()
    bundle = serializers.CharField(help_text="SHA-256 of the file.")
    entry = serializers.UUIDField()


class Releases(View):
    """What waits for a supervisor."""

    access = _SUPERVISORS
    pagination_class = Pages

    @operation("list_releases", "Searches in which two examiners agree, oldest first.", gives=RequestOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(RequestOut, leads.queue(self.person))


class Agreed(OneRequest):
    """What both examiners support."""

    access = _SUPERVISORS

    @operation("open_agreed", "Opens what both examiners support; an entry each time.", gives=AgreedOut, status=201)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.answer(AgreedOut, leads.open_agreed(by=self.person, request=self.found(request_id)), 201)


class Release(OneRequest):
    """A lead that leaves."""

    access = _SUPERVISORS

    @operation(
        "release_lead",
        "Releases candidates that both examiners support to whoever asked for the search.",
        takes=ReleaseIn,
        gives=LeadOut(many=True),
        status=201,
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        given = self.given(ReleaseIn)
        templates = [str(one) for one in given["templates"]]
        made = leads.release(by=self.person, request=found, templates=templates, note=given["note"])
        return self.answer(LeadOut, made, 201, many=True)


class Withhold(OneRequest):
    """A lead that does not leave."""

    access = _SUPERVISORS

    @operation("withhold_lead", "Releases nothing, with a reason.", takes=NoteIn, gives=ReviewStateOut)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        return self.answer(ReviewStateOut, leads.withhold(by=self.person, request=found, **self.given(NoteIn)))


class Leads(View):
    """The leads that one may read."""

    access = _READERS
    pagination_class = Pages

    @operation("list_leads", "The leads that one may read, newest first.", gives=LeadOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(LeadOut, leads.visible(self.person))


class LeadReadings(View):
    """Reading a lead."""

    access = _READERS

    @operation("open_lead", "Reads a lead; the reading is in the log first.", gives=LeadPageOut, status=201)
    def post(self, request: Request, lead_id: uuid.UUID) -> Response:
        return self.answer(LeadPageOut, leads.open_lead(by=self.person, lead=leads.find(self.person, lead_id)), 201)


class LeadPicture(Files):
    """A picture of a lead."""

    access = _READERS

    @operation(
        "read_lead_picture",
        "photo, crop or probe, for ten minutes after a reading.",
        media_type="application/octet-stream",
    )
    def get(self, request: Request, lead_id: uuid.UUID, kind: str) -> HttpResponse:
        content = leads.picture(by=self.person, lead=leads.find(self.person, lead_id), kind=kind)
        return binary(content, leads.PICTURES[kind])


class Outcomes(View):
    """What became of a lead."""

    access = _READERS

    @operation("list_outcomes", "Every record of a lead, oldest first.", gives=OutcomeOut(many=True))
    def get(self, request: Request, lead_id: uuid.UUID) -> Response:
        found = outcomes.of(self.person, leads.find(self.person, lead_id))
        return self.answer(OutcomeOut, found, many=True)

    @operation("record_outcome", "Adds a record.", takes=OutcomeIn, gives=OutcomeOut(many=True), status=201)
    def post(self, request: Request, lead_id: uuid.UUID) -> Response:
        lead = leads.find(self.person, lead_id)
        given: dict[str, Any] = self.given(OutcomeIn)
        fields = OutcomeFields(**{**given, "evidence": tuple(given.get("evidence", ()))})
        outcomes.record(by=self.person, lead=lead, fields=fields)
        return self.answer(OutcomeOut, outcomes.of(self.person, lead), 201, many=True)


class Disclosures(OneRequest):
    """Disclosing a search."""

    access = _SUPERVISORS

    @operation("list_disclosures", "What was disclosed of a search so far.", gives=DisclosureOut(many=True))
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.answer(DisclosureOut, disclosures.of_request(self.person, self.found(request_id)), many=True)


class DisclosureBundle(Files, OneRequest):
    """The file for the defence or a court."""

    access = _SUPERVISORS

    @operation(
        "make_disclosure",
        "Makes the file: a zip with the request, every entry and receipt, decisions, lead, and how to check all of it.",
        takes=DisclosureIn,
        media_type="application/zip",
    )
    def post(self, request: Request, request_id: uuid.UUID) -> HttpResponse:
        found = self.found(request_id)
        fields = disclosures.DisclosureFields(**self.given(DisclosureIn))
        made = disclosures.make(by=self.person, request=found, fields=fields)
        return binary(made.content, "application/zip", made.name)
