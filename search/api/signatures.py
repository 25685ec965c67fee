"""What two different people sign together."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.fields import SignatureIn
from search.proposals import Signature


class SignaturesIn(serializers.Serializer):
    """Two different approvers with their secrets."""

    signatures = serializers.ListField(child=SignatureIn(), min_length=2, max_length=2)


def signatures_of(given: dict[str, Any]) -> list[Signature]:
    """What was given, as the services take it."""
    return [Signature(**one) for one in given["signatures"]]
