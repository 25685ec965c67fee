"""/api/v1/requests/: drafted, filled in, submitted, withdrawn."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import Access, having
from core.api.errors import flat
from core.api.fields import LARGEST_INTEGER, NoteIn
from core.api.schema import operation
from core.api.views import Pages, View
from core.exceptions import Invalid
from core.person_roles import Permission
from search import requests, selectors
from search.api.outputs import RequestDetailOut, RequestOut
from search.gathering import RequestFields
from search.models import RequestState, SearchRequest

READERS = Access.of("officer", "supervisor", "examiner", "counsel", "board")
REQUESTERS = Access.having(Permission.REQUEST_SEARCHES)


def _text(most: int = 200, help_text: str = "", **options: Any) -> serializers.CharField:
    # Nothing is required here: what is missing the rules say, and the log knows.
    return serializers.CharField(required=False, allow_blank=True, max_length=most, help_text=help_text, **options)


def _number(help_text: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        required=False, allow_null=True, min_value=-LARGEST_INTEGER, max_value=LARGEST_INTEGER, help_text=help_text
    )


class FieldsIn(serializers.Serializer):
    """What an officer types. A field that is left out keeps what was typed before."""

    case_number = _text()
    purpose = _text(help_text="A code of /vocabulary/.")
    offence = _text(help_text="A code of /vocabulary/.")
    legal_basis = _text(help_text="A code of /vocabulary/.")
    justification = _text(50_000, trim_whitespace=False)
    gallery = _text(help_text="Name or id of the gallery.")
    sub_gallery = _text(help_text="Name of one of the gallery's sub-galleries; empty for everybody in it.")
    probe_kind = _text(help_text="A code of /vocabulary/.")
    emergency = serializers.BooleanField(required=False)
    threshold = _number("In millionths; null takes the adopted one.")
    k = _number("How many candidates at most; null takes the default.")
    edition = _number("The gallery edition that is meant; null takes the current one.")


class RequestsAsked(serializers.Serializer):
    """Which requests to list."""

    state = serializers.ChoiceField(choices=RequestState.choices, required=False)


class Requests(View):
    """The search requests that one may see."""

    access = READERS
    pagination_class = Pages

    @operation(
        "list_requests",
        "The search requests whose status one may see, newest first.",
        query=RequestsAsked,
        gives=RequestOut(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.pages(RequestOut, selectors.requests(self.person).filter(**self.asked(RequestsAsked)))

    @operation("draft_request", "Begins a request.", takes=FieldsIn, gives=RequestOut, status=201)
    @having(Permission.REQUEST_SEARCHES)
    def post(self, request: Request) -> Response:
        fields = RequestFields(**self.given(FieldsIn))
        made = requests.draft(by=self.person)
        return self.answer(RequestOut, requests.fill_in(by=self.person, request=made, fields=fields), 201)


class OneRequest(View):
    """A view of one request that the person may see."""

    access = READERS

    def found(self, request_id: uuid.UUID) -> SearchRequest:
        return selectors.request(self.person, request_id)


class RequestDetail(OneRequest):
    """One request."""

    @operation("read_request", "One request with the steps of its life.", gives=RequestDetailOut)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.answer(RequestDetailOut, self.found(request_id))

    @operation("fill_in_request", "Keeps what was typed in a draft.", takes=FieldsIn, gives=RequestOut)
    @having(Permission.REQUEST_SEARCHES)
    def patch(self, request: Request, request_id: uuid.UUID) -> Response:
        draft = self.found(request_id)
        fields = RequestFields(**asdict(requests.typed(draft)) | self.given(FieldsIn))
        return self.answer(RequestOut, requests.fill_in(by=self.person, request=draft, fields=fields))


class RequestSubmit(OneRequest):
    """The rules."""

    access = REQUESTERS

    @operation(
        "submit_request",
        "Asks every rule. Then the request is held, waits for approval, or runs; a refusal is in the log.",
        takes=FieldsIn,
        gives=RequestOut,
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        draft = self.found(request_id)
        try:
            given = self.given(FieldsIn)
        except ValidationError as error:
            # Nothing that the rules could be asked about; a refused search all the same, so it is logged like one.
            problem = Invalid("The request cannot be read: see the fields.", flat(error.detail))
            requests.refuse(by=self.person, request=draft, code="request:unreadable", problem=problem, channel="api")
        fields = RequestFields(**asdict(requests.typed(draft)) | given)
        submitted = requests.submit(by=self.person, request=draft, fields=fields, channel="api")
        return self.answer(RequestOut, submitted)


class RequestWithdraw(OneRequest):
    """A request that is taken back."""

    access = REQUESTERS

    @operation("withdraw_request", "Takes a request back, until it has been run.", gives=RequestOut)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        return self.answer(RequestOut, requests.withdraw(by=self.person, request=self.found(request_id)))


class RequestQuality(OneRequest):
    """A face below the quality limits."""

    access = Access.having(Permission.OVERRIDE_QUALITY)

    @operation("override_quality", "Accepts a face below the quality limits.", takes=NoteIn, gives=RequestOut)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        return self.answer(RequestOut, requests.override_quality(by=self.person, request=found, **self.given(NoteIn)))


class PhotosToAccept(View):
    """Drafts that wait for a supervisor."""

    access = Access.having(Permission.OVERRIDE_QUALITY)
    pagination_class = Pages

    @operation("list_photos_to_accept", "Drafts whose face is below the quality limits.", gives=RequestOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(RequestOut, selectors.photos_to_accept(self.person))
