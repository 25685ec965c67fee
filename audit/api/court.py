"""/api/v1/requests/{id}/court-links/: links to receipts for courts and counsel. What is behind one needs no account."""

from __future__ import annotations

import uuid

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.oversight import court_links as service
from audit.permissions import check_can_make_court_link
from core.access import Access
from core.api.schema import operation
from core.api.views import View
from core.exceptions import NotFound
from search import selectors

_MAKERS = Access.of("officer", "supervisor", "board")


class CourtLinkIn(serializers.Serializer):
    """Whom a link is for, and how long it works."""

    recipient = serializers.ChoiceField(choices=list(service.RECIPIENTS))
    days = serializers.IntegerField(min_value=1, max_value=service.LONGEST_DAYS, default=service.DEFAULT_DAYS)


class CourtLinkOut(serializers.Serializer):
    """A link as it is kept: without its secret."""

    id = serializers.UUIDField()
    recipient = serializers.ChoiceField(choices=list(service.RECIPIENTS))
    made_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)


class CourtLinkMadeOut(CourtLinkOut):
    """A new link with its address, which is never seen again."""

    url = serializers.CharField()


class CourtLinks(View):
    """The links of one search."""

    access = _MAKERS

    @operation("list_court_links", "The links to the receipts of a search.", gives=CourtLinkOut(many=True))
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        found = selectors.request(self.person, request_id)
        check_can_make_court_link(self.person, found)
        return self.answer(CourtLinkOut, service.links(found), many=True)

    @operation(
        "make_court_link",
        "A link to the receipts of a search for a court or counsel; its address is shown once.",
        takes=CourtLinkIn,
        gives=CourtLinkMadeOut,
        status=201,
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        given = self.given(CourtLinkIn)
        link, secret = service.make(by=self.person, request=selectors.request(self.person, request_id), **given)
        link.url = request.build_absolute_uri(reverse("court_receipts", args=[secret]))  # type: ignore[attr-defined]
        return self.answer(CourtLinkMadeOut, link, 201)


class OneCourtLink(View):
    """One link."""

    access = _MAKERS

    @operation("revoke_court_link", "Ends a link at once.", status=204)
    def delete(self, request: Request, request_id: uuid.UUID, link_id: uuid.UUID) -> Response:
        link = service.links(selectors.request(self.person, request_id)).filter(pk=link_id).first()
        if link is None:
            raise NotFound("There is no such link.")
        service.revoke(by=self.person, link=link)
        return Response(status=204)
