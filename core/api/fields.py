"""Serializers and fields that several nouns share."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.models import Agency, JobState, User

LARGEST_INTEGER: Final = 2**31 - 1


class PersonOut(serializers.Serializer):
    """A person as others see them."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    full_name = serializers.CharField()


@extend_schema_field({"type": "string", "maxLength": 150, "description": "A username."})
class PersonNamed(serializers.Field[User, Any, str, User]):
    """Somebody of one's own agency (of any, for people without one), named by username."""

    default_error_messages: ClassVar[dict[str, Any]] = {"nobody": "There is nobody with this username here."}

    def to_internal_value(self, data: Any) -> User:
        username = serializers.CharField(max_length=150).run_validation(data)
        by: User = self.context["by"]
        found = _colleagues(by).filter(username__iexact=username).first()
        if found is None:
            self.fail("nobody")
        return found

    def to_representation(self, value: User) -> str:
        return value.username


def _colleagues(by: User) -> QuerySet[User]:
    return User.objects.all() if by.agency_id is None else User.objects.filter(agency=by.agency_id)


class AgencyNamed(serializers.SlugRelatedField[Agency]):
    """An agency, named by its code."""

    default_error_messages: ClassVar[dict[str, Any]] = {"does_not_exist": "There is no agency with this code."}

    def __init__(self, **options: Any) -> None:
        super().__init__(slug_field="code", queryset=Agency.objects.all(), **options)


class Secret(serializers.CharField):
    """An approval secret, as it was shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"write_only": True, "max_length": 100, "help_text": "Your approval secret.", **options})


class SignatureIn(serializers.Serializer):
    """An approver and the approver's secret."""

    approver = PersonNamed(help_text="Username of the approver.")
    secret = Secret(help_text="The approver's approval secret.")


class NoteIn(serializers.Serializer):
    """A reason."""

    note = serializers.CharField(allow_blank=True, required=False, default="", max_length=10_000, trim_whitespace=False)


class JobOut(serializers.Serializer):
    """How far a worker is. `total` is null while it is not known."""

    state = serializers.ChoiceField(choices=JobState.choices)
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    stage = serializers.CharField()
    problem = serializers.CharField()
