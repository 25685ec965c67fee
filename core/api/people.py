"""/api/v1/people/ and /api/v1/me/."""

from __future__ import annotations

import uuid

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import approvers, people
from core.access import SIGNED_IN, Access
from core.api.fields import AgencyNamed
from core.api.schema import operation
from core.api.views import Pages, View
from core.models import User
from core.person_roles import CODES, ROLES, Permission


class AccountOut(serializers.Serializer):
    """A person as an administrator, or the person, sees them."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    full_name = serializers.CharField()
    agency = serializers.CharField(source="agency_id", allow_null=True)
    badge_number = serializers.CharField()
    roles = serializers.ListField(child=serializers.ChoiceField(choices=CODES))
    training_until = serializers.DateField(allow_null=True)
    training_is_current = serializers.SerializerMethodField()
    is_active = serializers.BooleanField()

    def get_training_is_current(self, person: User) -> bool:
        return people.training_is_current(person)


class OwnAccountOut(AccountOut):
    """Oneself."""

    approver_state = serializers.SerializerMethodField(help_text="enrolled, locked, revoked or none")

    def get_approver_state(self, person: User) -> str:
        return approvers.state(person)


class PersonIn(serializers.Serializer):
    """A new person."""

    username = serializers.CharField(max_length=150)
    full_name = serializers.CharField(max_length=200)
    agency = AgencyNamed(allow_null=True, required=False, default=None)
    roles = serializers.ListField(child=serializers.CharField(max_length=30), max_length=len(CODES))
    badge_number = serializers.CharField(max_length=50, allow_blank=True, required=False, default="")
    training_until = serializers.DateField(allow_null=True, required=False, default=None)


class AddedOut(serializers.Serializer):
    """A person with the first password, which is shown once and has to be changed at the first sign-in."""

    person = AccountOut()
    first_password = serializers.CharField()


class RolesIn(serializers.Serializer):
    """All roles of a person."""

    roles = serializers.ListField(child=serializers.CharField(max_length=30), max_length=len(CODES))


class TrainingIn(serializers.Serializer):
    """The last day on which the training is valid."""

    training_until = serializers.DateField()


class RoleOut(serializers.Serializer):
    """A role and what it allows."""

    code = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field may be called so all the same
    description = serializers.CharField()
    excludes = serializers.ListField(child=serializers.CharField(), source="excluded_codes")


class Me(View):
    """Oneself."""

    access = SIGNED_IN

    @operation("read_me", "Who one is, and what one may do.", gives=OwnAccountOut)
    def get(self, request: Request) -> Response:
        return self.answer(OwnAccountOut, self.person)


class Roles(View):
    """The roles."""

    access = SIGNED_IN

    @operation("list_roles", "Every role and which others it excludes.", gives=RoleOut(many=True))
    def get(self, request: Request) -> Response:
        return self.answer(RoleOut, list(ROLES.values()), many=True)


class _Administrators(View):
    access = Access.having(Permission.MANAGE_PEOPLE)


class People(_Administrators):
    """The people whom an administrator manages."""

    pagination_class = Pages

    @operation("list_people", "The people of one's agency.", gives=AccountOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(AccountOut, people.visible_to(self.person))

    @operation("add_person", "Adds a person.", takes=PersonIn, gives=AddedOut, status=201)
    def post(self, request: Request) -> Response:
        password = people.first_password()
        added = people.add(by=self.person, **self.given(PersonIn), password=password, must_change_password=True)
        return self.answer(AddedOut, {"person": added, "first_password": password}, 201)


class Person(_Administrators):
    """One person."""

    @operation("read_person", "One person.", gives=AccountOut)
    def get(self, request: Request, person_id: uuid.UUID) -> Response:
        return self.answer(AccountOut, people.visible(self.person, person_id))


class PersonRoles(_Administrators):
    """The roles of a person."""

    @operation("change_roles", "Gives a person exactly these roles.", takes=RolesIn, gives=AccountOut)
    def put(self, request: Request, person_id: uuid.UUID) -> Response:
        user = people.visible(self.person, person_id)
        return self.answer(AccountOut, people.change_roles(by=self.person, user=user, **self.given(RolesIn)))


class PersonTraining(_Administrators):
    """The training of a person."""

    @operation("record_training", "Records until when training is valid.", takes=TrainingIn, gives=AccountOut)
    def put(self, request: Request, person_id: uuid.UUID) -> Response:
        user = people.visible(self.person, person_id)
        until = self.given(TrainingIn)["training_until"]
        return self.answer(AccountOut, people.record_training(by=self.person, user=user, until=until))


class PersonReset(_Administrators):
    """How a person signs in."""

    @operation("reset_sign_in", "A new first password; codes, passkeys and tokens are void.", gives=AddedOut)
    def post(self, request: Request, person_id: uuid.UUID) -> Response:
        user = people.visible(self.person, person_id)
        password = people.reset_sign_in(by=self.person, user=user)
        return self.answer(AddedOut, {"person": user, "first_password": password})


class PersonDeactivate(_Administrators):
    """The end of an account."""

    @operation("deactivate_person", "Closes an account for ever.", gives=AccountOut)
    def post(self, request: Request, person_id: uuid.UUID) -> Response:
        user = people.visible(self.person, person_id)
        return self.answer(AccountOut, people.deactivate(by=self.person, user=user))
