"""/api/v1/testing/: independent testing of face models on a tester's own photos, where the installation opens it."""

from __future__ import annotations

import uuid

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import testing
from core.access import Access
from core.api.parsers import Zip
from core.api.schema import operation
from core.api.views import Pages, View
from core.person_roles import Permission

_TESTERS = Access.having(Permission.TEST_MODELS)


class SessionIn(serializers.Serializer):
    """What is tested, and why."""

    face_model = serializers.RegexField(r"^[0-9a-f]{64}$", help_text="The face model's hash, as its report gives it.")
    purpose = serializers.CharField(max_length=400)


class SessionOut(serializers.Serializer):
    """A session of 24 hours. Nothing of the photos that were sent in it is kept."""

    id = serializers.UUIDField()
    face_model = serializers.CharField()
    face_model_name = serializers.CharField()
    purpose = serializers.CharField()
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    sets = serializers.IntegerField(help_text="Sets that were sent.")
    photos = serializers.IntegerField(help_text="Photos in the sets that were scored.")


class FailureOut(serializers.Serializer):
    """A photo without an embedding."""

    file = serializers.CharField()
    code = serializers.CharField()


class ScoresOut(serializers.Serializer):
    """A score table: `rows` are lists in the order of `columns`; a score is a cosine in steps of a millionth."""

    face_model = serializers.CharField()
    photos = serializers.IntegerField()
    extracted = serializers.IntegerField()
    failures = FailureOut(many=True)
    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField())


class Sessions(View):
    """The tester's sessions."""

    access = _TESTERS
    pagination_class = Pages

    @operation("list_testing_sessions", "Your sessions, newest first.", gives=SessionOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(SessionOut, testing.sessions(self.person))

    @operation(
        "open_testing_session", "Open a session for one face model.", takes=SessionIn, gives=SessionOut, status=201
    )
    def post(self, request: Request) -> Response:
        given = self.given(SessionIn)
        return self.answer(SessionOut, testing.open_session(by=self.person, **given), 201)


class Session(View):
    """One session."""

    access = _TESTERS

    @operation("read_testing_session", "One of your sessions.", gives=SessionOut)
    def get(self, request: Request, session_id: uuid.UUID) -> Response:
        return self.answer(SessionOut, testing.session(self.person, session_id))

    @operation("close_testing_session", "End one of your sessions before its time.", gives=SessionOut)
    def delete(self, request: Request, session_id: uuid.UUID) -> Response:
        found = testing.session(self.person, session_id)
        return self.answer(SessionOut, testing.close_session(by=self.person, session=found))


class Scores(View):
    """Scores of a set."""

    access = _TESTERS
    parser_classes = (Zip,)

    @operation(
        "score_testing_set",
        "Scores of all pairs of a ZIP file with manifest.csv (person_id,file,cohort) and at most 200 photos. Nothing is kept.",
        takes={"application/octet-stream": {"type": "string", "format": "binary"}},
        gives=ScoresOut,
    )
    def post(self, request: Request, session_id: uuid.UUID) -> Response:
        found = testing.session(self.person, session_id)
        data, _ = self.uploaded("set")
        return self.answer(ScoresOut, testing.score(by=self.person, session=found, data=data))
