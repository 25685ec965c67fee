"""Who may open which address: every view declares it, and a view that does not is closed (see core.middleware).

Declare above the view (outermost decorator) or above the class of an API view:

    @access.roles("officer", "supervisor")
    def open_case(request): ...

    @access.roles("officer")
    class CaseView(APIView): ...

Handlers of an API view may declare their own with the same decorators. This says who may knock; what a person may do to one
thing is decided by the services and `permissions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from core.person_roles import ROLES, Permission

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Access:
    """Who may open a view: everybody, every signed-in person (`roles` is None), or people with one of `roles`."""

    anonymous: bool = False
    roles: frozenset[str] | None = None

    @classmethod
    def of(cls, *codes: str) -> Access:
        """People with one of these roles. Raises ValueError for a code that is no role: a typo must not close a page."""
        unknown = [code for code in codes if code not in ROLES]
        if unknown or not codes:
            raise ValueError(f"These are no roles: {unknown}. Choose from {list(ROLES)}.")
        return cls(roles=frozenset(codes))

    @classmethod
    def having(cls, permission: Permission) -> Access:
        """People with a role that allows `permission`."""
        return cls.of(*(role.code for role in ROLES.values() if permission in role.permissions))

    @classmethod
    def having_any(cls, *permissions: Permission) -> Access:
        """People with a role that allows one of these."""
        return cls.of(*(role.code for role in ROLES.values() if not role.permissions.isdisjoint(permissions)))

    def allows(self, user: AbstractBaseUser | AnonymousUser) -> bool:
        """Whether this person may open the view."""
        if self.anonymous:
            return True
        if not (user.is_authenticated and user.is_active):
            return False
        return self.roles is None or not self.roles.isdisjoint(getattr(user, "roles", ()))


PUBLIC = Access(anonymous=True)
SIGNED_IN = Access()


def _declare(view: View, access: Access) -> View:
    view.access = access  # type: ignore[attr-defined]
    inner = getattr(view, "cls", None)
    if inner is not None:  # made by DRF from a function
        inner.access = access
    return view


def public(view: View) -> View:
    """Open to everybody, signed in or not."""
    return _declare(view, PUBLIC)


def everyone_signed_in(view: View) -> View:
    """Open to every person who is signed in, whatever the role."""
    return _declare(view, SIGNED_IN)


def roles(*codes: str) -> Callable[[View], View]:
    """Open to people with one of these roles."""
    access = Access.of(*codes)
    return lambda view: _declare(view, access)


def having(permission: Permission) -> Callable[[View], View]:
    """Open to people with a role that allows `permission`."""
    access = Access.having(permission)
    return lambda view: _declare(view, access)


def having_any(*permissions: Permission) -> Callable[[View], View]:
    """Open to people with a role that allows one of these."""
    access = Access.having_any(*permissions)
    return lambda view: _declare(view, access)


class ByRole(BasePermission):
    """DRF's default permission: the declaration of the handler or, without one, of the view; none means closed."""

    message = "Your role does not allow this. Ask your administrator which role you need."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the authenticated person (session or token) may use this handler."""
        name = getattr(view, "action", None) or (request.method or "").lower()
        handler = getattr(view, name, None)
        access = getattr(handler, "access", None) or getattr(view, "access", None)
        if access is None and handler is None:
            # A method that the view does not know: 405 for whoever may use another one.
            access = _together(_of_handlers(type(view), getattr(view, "action_map", None)))
        return isinstance(access, Access) and access.allows(request.user)


def _of_handlers(cls: type[Any], actions: Mapping[str, str] | None) -> list[Access | None]:
    """What each handler of an API view declares, by itself or through its view."""
    whole = getattr(cls, "access", None)
    names = list(actions.values()) if actions else [name for name in cls.http_method_names if hasattr(cls, name)]
    return [getattr(getattr(cls, name), "access", None) or whole for name in names if name != "options"]


def _together(each: Iterable[Access | None]) -> Access | None:
    """Who may use one of the handlers; None when one of them declares nothing, or when there is none."""
    together: Access | None = None
    for one in each:
        if not isinstance(one, Access):
            return None
        if together is None:
            together = one
        else:
            both = None if together.roles is None or one.roles is None else together.roles | one.roles
            together = Access(anonymous=together.anonymous or one.anonymous, roles=both)
    return together


def is_api(view: Callable[..., Any]) -> bool:
    """Whether a URL's view is DRF's: it authenticates by itself, so its own permission decides."""
    return hasattr(view, "cls") and hasattr(view.cls, "permission_classes")


def declared(view: Callable[..., Any]) -> Access | None:
    """The declaration of a URL's view; None when there is none, or when an API view does not enforce it.

    For an API view whose handlers declare for themselves: who may use one of them.
    """
    if not is_api(view):
        found = getattr(view, "access", None) or getattr(getattr(view, "view_class", None), "access", None)
        return found if isinstance(found, Access) else None
    cls = view.cls  # type: ignore[attr-defined]
    options = getattr(view, "initkwargs", None) or {}
    if ByRole not in options.get("permission_classes", cls.permission_classes):
        return None
    return _together(_of_handlers(cls, getattr(view, "actions", None)))
