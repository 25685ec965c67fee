"""/api/v1/approvals/, holds/ and what is decided about a request."""

from __future__ import annotations

import uuid

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import Access
from core.api.fields import NoteIn, Secret
from core.api.schema import operation
from core.api.views import Pages, View
from core.person_roles import Permission
from search import approvals, holds
from search.api.outputs import RequestOut
from search.api.requests import OneRequest

# Whose approval counts the law pack says; people of these roles can have an approval secret.
_APPROVERS = Access.having(Permission.HOLD_APPROVAL_SECRET)
_COUNSEL = Access.having(Permission.DECIDE_HOLDS)


class ApprovalIn(serializers.Serializer):
    """An approval."""

    secret = Secret()


class Approvals(View):
    """What waits for one's approval."""

    access = _APPROVERS
    pagination_class = Pages

    @operation("list_approvals", "The requests that one may approve, oldest first.", gives=RequestOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(RequestOut, approvals.queue(self.person))


class RequestApprove(OneRequest):
    """An approval."""

    access = _APPROVERS

    @operation(
        "approve_request",
        "Approves exactly this request with one's approval secret. A wrong secret counts and is in the log.",
        takes=ApprovalIn,
        gives=RequestOut,
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        approved = approvals.approve(by=self.person, request=found, channel="api", **self.given(ApprovalIn))
        return self.answer(RequestOut, approved)


class RequestReject(OneRequest):
    """A request that is turned down."""

    access = _APPROVERS

    @operation("reject_request", "Turns a waiting request down, with a reason.", takes=NoteIn, gives=RequestOut)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        return self.answer(RequestOut, approvals.reject(by=self.person, request=found, **self.given(NoteIn)))


class Holds(View):
    """What waits for counsel."""

    access = _COUNSEL
    pagination_class = Pages

    @operation("list_holds", "The held requests that one may decide, oldest first.", gives=RequestOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(RequestOut, holds.queue(self.person))


class RequestClear(OneRequest):
    """A held request that may go on."""

    access = _COUNSEL

    @operation(
        "clear_request", "Lets a held request go on; every other rule is asked again.", takes=NoteIn, gives=RequestOut
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        return self.answer(RequestOut, holds.clear(by=self.person, request=found, **self.given(NoteIn)))


class RequestUphold(OneRequest):
    """A held request that ends."""

    access = _COUNSEL

    @operation("uphold_request", "Turns a held request down for good.", takes=NoteIn, gives=RequestOut)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        return self.answer(RequestOut, holds.uphold(by=self.person, request=found, **self.given(NoteIn)))
