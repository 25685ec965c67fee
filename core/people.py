"""People: adding them, their roles, their training, and the end of their accounts. Every change is an entry of the log."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.log import journal
from core import person_roles
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.models import Agency, ApiToken, User
from core.permissions import (
    check_can_give_roles,
    check_can_manage,
    check_can_manage_agency,
    check_can_manage_people,
    signature,
)
from core.person_roles import Permission

# No letters or digits that look alike: a first password is read from a screen and typed once.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def milliseconds(day: date) -> int:
    """The start of a day (UTC) in milliseconds since 1970: how entries write a date."""
    return int(datetime.combine(day, time.min, tzinfo=UTC).timestamp() * 1000)


def first_password() -> str:
    """A random password (about 79 bits) that another person hands over and that has to be changed at first sign-in."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def normalise_username(username: str) -> str:
    """Usernames are kept in small letters, so that Sam and sam are one person."""
    return User.normalize_username(username).strip().lower()


def add(
    *,
    by: User | None,
    username: str,
    full_name: str,
    agency: Agency | None,
    roles: Sequence[str],
    badge_number: str = "",
    training_until: date | None = None,
    password: str | None = None,
    must_change_password: bool = False,
) -> User:
    """Add a person. Without a password the person cannot sign in yet (see `reset_sign_in`). None for `by` is the operator.

    Raises NotAllowed, Invalid with the fields, Conflict when the username is taken.
    """
    check_can_manage_agency(by, agency.code if agency else None)
    check_can_give_roles(by, roles)
    _check_roles(roles)
    user = User(
        username=normalise_username(username),
        full_name=full_name.strip(),
        agency=agency,
        badge_number=badge_number.strip(),
        roles=_ordered(roles),
        training_until=training_until,
        must_change_password=must_change_password,
    )
    return _save(
        user,
        password,
        "core:user:added",
        {"badge_number": user.badge_number or None, "agency": user.agency_id},
        training_until=milliseconds(training_until) if training_until else None,
        **signature(by, Permission.MANAGE_PEOPLE),
    )


def register(*, username: str, full_name: str, password: str) -> User:
    """Make oneself an account that reads reports on error rates and nothing else, where this installation allows it.

    Raises NotAllowed, Invalid with the fields, Conflict when the username is taken.
    """
    if not settings.GLASSCASE_AUDITOR_SIGNUP:
        raise NotAllowed("This installation lets nobody make an account alone. Ask its administrator.")
    user = User(
        username=normalise_username(username), full_name=full_name.strip(), roles=[person_roles.RegisteredAuditor.code]
    )
    return _save(user, password, "core:user:registered", {}, actor=user.id, role=person_roles.RegisteredAuditor.code)


def _save(user: User, password: str | None, event: str, values: dict[str, str | None], **fields: Any) -> User:
    """The new account and its entry. `values` are what the entry seals beside the names."""
    _check_password(user, password)
    user.set_password(password)
    errors: dict[str, list[str]] = {}
    if not user.full_name:
        errors["full_name"] = ["Write the full name."]
    try:
        user.clean_fields()
    except ValidationError as error:
        errors.update(error.message_dict)
    if errors:
        raise Invalid("The account was not made: see the fields.", errors)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            journal.record(
                event,
                vault_record=user.id,
                values={"username": user.username, "full_name": user.full_name, **values},
                user=user.id,
                roles=user.roles,
                **fields,
            )
    except IntegrityError as error:
        sentence = f"The username “{user.username}” is taken. Choose another."
        raise Conflict(sentence) from error
    return user


def change_roles(*, by: User | None, user: User, roles: Sequence[str]) -> User:
    """Give a person exactly these roles. Raises NotAllowed, NotFound, Invalid."""
    check_can_manage(by, user)
    _check_roles(roles)
    with transaction.atomic():
        locked = _locked(user)
        check_can_give_roles(by, set(roles) ^ set(locked.roles))
        previous, wanted = locked.roles, _ordered(roles)
        if previous != wanted:
            locked.roles = wanted
            locked.save(update_fields=["roles"])
            journal.record(
                "core:user:roles_changed",
                user=user.id,
                roles=wanted,
                previous=previous,
                **signature(by, Permission.MANAGE_PEOPLE),
            )
    user.roles = locked.roles
    return locked


def record_training(*, by: User | None, user: User, until: date) -> User:
    """Record that a person's training is valid up to and including `until`. Raises NotAllowed, NotFound, Invalid."""
    check_can_manage(by, user)
    if not date(2000, 1, 1) <= until <= date(timezone.now().year + 10, 12, 31):
        sentence = "Write the last day on which the training is valid, at most ten years from now."
        raise Invalid(sentence, {"training_until": [sentence]})
    with transaction.atomic():
        locked = _locked(user)
        locked.training_until = until
        locked.save(update_fields=["training_until"])
        journal.record(
            "core:user:training_recorded",
            user=user.id,
            training_until=milliseconds(until),
            **signature(by, Permission.MANAGE_PEOPLE),
        )
    user.training_until = until
    return locked


def reset_sign_in(*, by: User | None, user: User) -> str:
    """Give a person a new first password and forget one-time codes, passkeys, recovery codes and API tokens.

    Returns the password, which is shown once and has to be changed at the next sign-in. Raises NotAllowed, NotFound,
    Conflict for a closed account.
    """
    from allauth.mfa.models import Authenticator

    check_can_manage(by, user)
    password = first_password()
    with transaction.atomic():
        locked = _locked(user)
        if not locked.is_active:
            raise Conflict("This account is closed. Add the person again under another username.")
        locked.set_password(password)
        locked.must_change_password = True
        locked.save(update_fields=["password", "must_change_password"])
        Authenticator.objects.filter(user=locked).delete()
        ApiToken.objects.filter(user=locked, revoked_at=None).update(revoked_at=timezone.now())
        journal.record(
            "core:user:credential_changed", user=user.id, kind="reset", **signature(by, Permission.MANAGE_PEOPLE)
        )
    return password


def deactivate(*, by: User | None, user: User) -> User:
    """Close a person's account: the person is out with the next request, tokens and password are void for ever.

    An approval secret is revoked by the registrar, not here. Raises NotAllowed, NotFound, Conflict.
    """
    check_can_manage(by, user)
    with transaction.atomic():
        locked = _locked(user)
        if not locked.is_active:
            raise Conflict("This account is closed already.")
        check_can_give_roles(by, locked.roles)
        locked.is_active = False
        locked.set_unusable_password()
        locked.save(update_fields=["is_active", "password"])
        ApiToken.objects.filter(user=locked, revoked_at=None).update(revoked_at=timezone.now())
        journal.record("core:user:deactivated", user=user.id, **signature(by, Permission.MANAGE_PEOPLE))
    user.is_active = False
    return locked


# Reading


def visible_to(by: User) -> QuerySet[User]:
    """The people an administrator may see: those of the own agency, or everybody. Raises NotAllowed."""
    check_can_manage_people(by)
    people = User.objects.select_related("agency").order_by("username")
    return people.filter(agency=by.agency_id) if by.agency_id is not None else people


def visible(by: User, identity: Any) -> User:
    """One person that an administrator may see. Raises NotAllowed, NotFound."""
    try:
        return visible_to(by).get(pk=identity)
    except (User.DoesNotExist, ValidationError) as error:
        raise NotFound("There is no such person in your agency.") from error


def named(username: str) -> User:
    """The person with this username, whatever its case. Raises NotFound."""
    try:
        return User.objects.get_by_natural_key(username)
    except User.DoesNotExist as error:
        raise NotFound(f"There is nobody with the username “{username}”.") from error


def training_is_current(user: User, on: date | None = None) -> bool:
    """Whether the person's training is valid on a day (default: today, UTC)."""
    return user.training_until is not None and user.training_until >= (on or timezone.now().date())


def _locked(user: User) -> User:
    return User.objects.select_for_update().get(pk=user.pk)


def _ordered(roles: Sequence[str]) -> list[str]:
    return [code for code in person_roles.CODES if code in roles]


def _check_roles(roles: Sequence[str]) -> None:
    wrong = person_roles.problem(roles)
    if wrong is not None:
        raise Invalid(wrong, {"roles": [wrong]})


def _check_password(user: User, password: str | None) -> None:
    if password is None:
        return
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid("Choose another password.", {"password": list(error.messages)}) from error
