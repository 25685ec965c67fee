"""/api/v1/requests/{id}/review/ and decisions/: two examiners decide, each without knowing what the other concluded."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import Access
from core.api.fields import PersonOut
from core.api.schema import operation
from core.api.views import Pages, View
from core.person_roles import Permission
from search import permissions, reviews
from search.api.outputs import RequestOut
from search.api.requests import OneRequest
from search.comparison import Finding
from search.models import ReviewState
from search.vocabulary import CONCLUSIONS, FEATURES, QUALITY_CAVEATS, choices

_EXAMINERS = Access.having(Permission.REVIEW_CANDIDATES)


def _codes(terms: Any) -> Any:
    return serializers.ListField(child=serializers.ChoiceField(choices=choices(terms)), required=False, max_length=40)


class FindingIn(serializers.Serializer):
    """What an examiner says about one candidate."""

    template = serializers.UUIDField()
    conclusion = serializers.ChoiceField(choices=choices(CONCLUSIONS))
    alike = _codes(FEATURES)
    different = _codes(FEATURES)
    caveats = _codes(QUALITY_CAVEATS)


class DecisionIn(serializers.Serializer):
    """A decision on every candidate of a reading of one's own; no findings for an empty list."""

    view = serializers.UUIDField()
    findings = FindingIn(many=True)
    note = serializers.CharField(allow_blank=True, required=False, default="", max_length=10_000)


class FindingOut(serializers.Serializer):
    """What an examiner said about one candidate."""

    template = serializers.UUIDField()
    conclusion = serializers.CharField()
    alike = serializers.ListField(child=serializers.CharField())
    different = serializers.ListField(child=serializers.CharField())
    caveats = serializers.ListField(child=serializers.CharField())


class DecisionOut(serializers.Serializer):
    """A decision. It is never changed."""

    seat = serializers.IntegerField()
    examiner = PersonOut()
    blind = serializers.BooleanField(help_text="Whether ranks and scores were hidden.")
    decided_at = serializers.DateTimeField()
    entry = serializers.UUIDField()
    findings = FindingOut(many=True)
    note = serializers.CharField()


class ReviewOut(serializers.Serializer):
    """How far the review of a search is."""

    state = serializers.ChoiceField(choices=ReviewState.choices)
    decisions = serializers.SerializerMethodField(
        help_text="Both, for those who work on the search, once both are there; until then one's own alone."
    )

    @extend_schema_field(DecisionOut(many=True))
    def get_decisions(self, found: dict[str, Any]) -> Any:
        by, request = self.context["by"], found["request"]
        if not permissions.can_see_decisions(by, request):
            return []
        return DecisionOut(reviews.decisions(by, request), many=True).data


class ReviewsWaiting(View):
    """What waits for an examiner."""

    access = _EXAMINERS
    pagination_class = Pages

    @operation("list_reviews", "Finished searches on which one may decide, oldest first.", gives=RequestOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(RequestOut, reviews.queue(self.person))


class OneReview(OneRequest):
    """The review of a search."""

    @operation("read_review", "How far the review is, and the decisions that one may read.", gives=ReviewOut)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        return self.answer(ReviewOut, {"state": reviews.state(found), "request": found})


class Decisions(OneRequest):
    """Deciding on candidates."""

    access = _EXAMINERS

    @operation(
        "decide_on_candidates",
        "Records one's decision on every candidate of a reading. It is sealed until another examiner has decided too.",
        takes=DecisionIn,
        gives=DecisionOut,
        status=201,
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        permissions.check_can_review(self.person, found)
        given = self.given(DecisionIn)
        findings = [Finding.of(one) for one in given["findings"]]
        made = reviews.decide(by=self.person, request=found, view=given["view"], findings=findings, note=given["note"])
        return self.answer(DecisionOut, reviews.read(made), 201)
