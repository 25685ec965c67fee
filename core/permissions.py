"""Who may do what to people and accounts, in pairs: `check_can_x` raises NotAllowed with a sentence, `can_x` answers.

Other apps ask `has(user, Permission.X)` and add what they know of their own things.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from core.exceptions import NotAllowed, NotFound
from core.person_roles import ROLES, Permission, Role

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    from core.models import User

OPERATOR = "operator"


def role_classes(user: User) -> list[type[Role]]:
    """The classes of the user's roles, in the order of `ROLES`."""
    return [role for code, role in ROLES.items() if code in user.roles]


def has(user: AbstractBaseUser | AnonymousUser | None, permission: Permission) -> bool:
    """Whether an active person has a role that allows `permission`."""
    if user is None or not user.is_active:
        return False
    return any(permission in ROLES[code].permissions for code in getattr(user, "roles", ()) if code in ROLES)


def require(user: User, permission: Permission, sentence: str) -> None:
    """Raise NotAllowed with `sentence` unless the user has `permission`."""
    if not has(user, permission):
        raise NotAllowed(sentence)


def signature(by: User | None, permission: Permission | None = None) -> dict[str, Any]:
    """The `actor` and `role` of a log entry: the person and the role that allows it; the operator for None.

    `journal.record(..., **signature(by, Permission.OPEN_CASES))`. Without a permission, or when no role of the person
    gives it, the entry names the actor only.
    """
    if by is None:
        return {"role": OPERATOR}
    role = next((role.code for role in role_classes(by) if permission in role.permissions), None)
    return {"actor": by.id, "role": role}


# People


def check_can_manage_people(by: User | None) -> None:
    """Adding people, their roles and training. None is the operator at the command line."""
    if by is not None:
        require(by, Permission.MANAGE_PEOPLE, "Only an administrator may manage people. Ask your administrator.")


def can_manage_people(by: User | None) -> bool:
    return _passes(check_can_manage_people, by)


def check_can_manage_agency(by: User | None, agency_code: str | None) -> None:
    """An administrator of an agency manages its people only; one without an agency manages everybody."""
    check_can_manage_people(by)
    if by is not None and by.agency_id is not None and by.agency_id != agency_code:
        raise NotAllowed("You manage the people of your own agency only. Choose your agency.")


def can_manage_agency(by: User | None, agency_code: str | None) -> bool:
    return _passes(check_can_manage_agency, by, agency_code)


def check_can_manage(by: User | None, user: User) -> None:
    """Changing this person. A person of another agency is not found rather than refused."""
    check_can_manage_people(by)
    if not can_manage_agency(by, user.agency_id):
        raise NotFound("There is no such person in your agency.")
    if by is not None and by.pk == user.pk:
        raise NotAllowed("You cannot change your own roles, training or account. Ask another administrator.")


def can_manage(by: User | None, user: User) -> bool:
    return _passes(check_can_manage, by, user)


def check_can_give_roles(by: User | None, roles: Iterable[str]) -> None:
    """Giving or taking these roles: oversight roles come from outside the agencies."""
    check_can_manage_people(by)
    if by is not None and by.agency_id is not None:
        outside = [ROLES[code].label for code in roles if code in ROLES and ROLES[code].oversight]
        if outside:
            raise NotAllowed(
                f"{' and '.join(outside)}: oversight roles are not an agency's to give or take. "
                "Ask an administrator who belongs to no agency."
            )


def can_give_roles(by: User | None, roles: Iterable[str]) -> bool:
    return _passes(check_can_give_roles, by, roles)


def check_can_hold_approval_secret(user: User) -> None:
    """Being an approver."""
    require(
        user,
        Permission.HOLD_APPROVAL_SECRET,
        "Only an active supervisor, counsel or custodian can have an approval secret. Change the roles first.",
    )


def can_hold_approval_secret(user: User) -> bool:
    return _passes(check_can_hold_approval_secret, user)


# API tokens


def check_can_revoke_token(by: User | None, owner: User) -> None:
    """One's own tokens, and those of the people one manages."""
    if by is not None and by.pk != owner.pk and not can_manage(by, owner):
        raise NotFound("There is no such token.")


def can_revoke_token(by: User | None, owner: User) -> bool:
    return _passes(check_can_revoke_token, by, owner)


def _passes(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except (NotAllowed, NotFound):
        return False
    return True
