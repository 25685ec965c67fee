"""/api/v1/limits/ and the adoption of an evaluation: proposed by an administrator, signed by two approvers."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import evaluations
from audit.api.evaluations import EvaluationOut
from core import database
from core.access import SIGNED_IN, Access
from core.api.schema import operation
from core.api.views import View
from core.person_roles import Permission
from search import thresholds
from search.api.signatures import SignaturesIn, signatures_of
from search.gate import client

_ADMINISTRATORS = Access.having(Permission.PROPOSE_POLICY)
_LARGEST = 2**53


class LimitIn(SignaturesIn):
    """A new value."""

    value = serializers.IntegerField(min_value=0, max_value=_LARGEST)


class LimitOut(serializers.Serializer):
    """A limit or switch of the gate, enforced by the database."""

    name = serializers.CharField()
    value = serializers.IntegerField()


def _limits() -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in client.settings(database.session()).items()]


class Limits(View):
    """The limits of the gate."""

    access = SIGNED_IN

    @operation("list_limits", "The limits and switches of the gate.", gives=LimitOut(many=True))
    def get(self, request: Request) -> Response:
        return self.answer(LimitOut, _limits(), many=True)


class Limit(View):
    """One limit."""

    access = _ADMINISTRATORS

    @operation("set_limit", "Changes a limit or switch of the gate.", takes=LimitIn, gives=LimitOut(many=True))
    def put(self, request: Request, name: str) -> Response:
        given = self.given(LimitIn)
        thresholds.set_limit(by=self.person, setting=name, value=given["value"], signatures=signatures_of(given))
        return self.answer(LimitOut, _limits(), many=True)


class Adoption(View):
    """The adoption of an evaluation."""

    access = _ADMINISTRATORS

    @operation(
        "adopt_evaluation",
        "Adopts an evaluation's verdict and threshold for its face model.",
        takes=SignaturesIn,
        gives=EvaluationOut,
    )
    def post(self, request: Request, evaluation_id: uuid.UUID) -> Response:
        evaluation = evaluations.published(evaluation_id)
        signatures = signatures_of(self.given(SignaturesIn))
        adopted = thresholds.adopt(by=self.person, evaluation=evaluation, signatures=signatures)
        return self.answer(EvaluationOut, adopted)
