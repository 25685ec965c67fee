"""How the API shows a search request and what belongs to it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core import database
from core.api.fields import PersonOut
from search import methods, permissions, requests, steps, trail
from search.models import RequestState, SearchRequest


class CaseRef(serializers.Serializer):
    """The case of a request."""

    id = serializers.UUIDField()
    number = serializers.CharField()


class GalleryRef(serializers.Serializer):
    """The gallery of a request."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class RequestOut(serializers.Serializer):
    """A search request. What was found is read by examiners only (`readings`)."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=RequestState.choices)
    requester = PersonOut()
    case = CaseRef(allow_null=True)
    gallery = GalleryRef(allow_null=True)
    purpose = serializers.CharField()
    offence = serializers.CharField()
    legal_basis = serializers.CharField()
    law_pack = serializers.CharField()
    emergency = serializers.BooleanField()
    probe_kind = serializers.CharField()
    faces_found = serializers.IntegerField()
    chosen_face = serializers.IntegerField(allow_null=True)
    shortfalls = serializers.ListField(child=serializers.CharField(), help_text="Quality limits that the face misses.")
    quality_overridden_at = serializers.DateTimeField(allow_null=True)
    edition = serializers.IntegerField(allow_null=True)
    sub_gallery = serializers.CharField(help_text="The part of the gallery that is searched; empty for all of it.")
    face_model = serializers.CharField(help_text="SHA-256 that names the face model.")
    threshold = serializers.IntegerField(allow_null=True, help_text="In millionths.")
    k = serializers.IntegerField(allow_null=True)
    held_reasons = serializers.ListField(child=serializers.CharField())
    problem = serializers.CharField(help_text="Why it ended, or what it waits for.")
    created_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True, help_text="Until when an emergency has to be approved.")
    done_at = serializers.DateTimeField(allow_null=True)


class TypedOut(serializers.Serializer):
    """What the officer typed."""

    case_number = serializers.CharField()
    purpose = serializers.CharField()
    offence = serializers.CharField()
    legal_basis = serializers.CharField()
    justification = serializers.CharField()
    gallery = serializers.CharField()
    sub_gallery = serializers.CharField()
    probe_kind = serializers.CharField()
    emergency = serializers.BooleanField()
    threshold = serializers.IntegerField(allow_null=True)
    k = serializers.IntegerField(allow_null=True)
    edition = serializers.IntegerField(allow_null=True)


class StepOut(serializers.Serializer):
    """One step of the life of a search; `entry` is its entry in the log."""

    code = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[one.value for one in steps.Progress])
    at = serializers.DateTimeField(allow_null=True)
    entry = serializers.UUIDField(allow_null=True)
    sentence = serializers.CharField()


class MethodOut(serializers.Serializer):
    """How one server searched its part of the gallery, as its result's entry states it."""

    server = serializers.CharField()
    edition = serializers.IntegerField(help_text="The gallery's edition on that server.")
    method = serializers.ChoiceField(choices=["exact", "two_stage"])
    cut = serializers.IntegerField(allow_null=True, help_text="Greatest distance of codes that two stages let pass.")
    loss_one_in = serializers.IntegerField(
        allow_null=True, help_text="A photo exactly at the threshold is missed with a chance of at most 1 in so many."
    )


class RequestDetailOut(RequestOut):
    """A search request with its path and, for those who decide on it, the words of the officer."""

    typed = serializers.SerializerMethodField(help_text="Null for those who may not read the justification.")
    steps = serializers.SerializerMethodField()
    servers = serializers.SerializerMethodField(
        help_text="How each server of the gallery searched; empty until all of them have their result."
    )

    @extend_schema_field(MethodOut(many=True))
    def get_servers(self, request: SearchRequest) -> Any:
        return MethodOut(methods.by_server(trail.entries(database.session(), request.id)), many=True).data

    @extend_schema_field(TypedOut(allow_null=True))
    def get_typed(self, request: SearchRequest) -> dict[str, Any] | None:
        if not permissions.can_see_justification(self.context["by"], request):
            return None
        return dict(TypedOut(requests.typed(request)).data)

    @extend_schema_field(StepOut(many=True))
    def get_steps(self, request: SearchRequest) -> Any:
        return StepOut([*steps.steps(request), *steps.afterwards(request)], many=True).data
