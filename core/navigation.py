"""The places a person can go to: each app names its own at start-up, the start page and the header show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.urls import resolve, reverse

from core import access


@dataclass(frozen=True)
class Place:
    """One entry of the navigation. `url_name` takes no arguments; who sees it follows from what its view declares.

    `waiting` counts what waits there for a person; the start page says so.
    """

    order: int
    label: str
    description: str
    url_name: str
    waiting: Callable[[Any], int] | None = None


@dataclass(frozen=True)
class Link:
    """A place as a page shows it. `current`: the page is this place or below it. `waiting` counts when it is called."""

    label: str
    description: str
    url: str
    url_name: str
    current: bool = False
    waiting: Callable[[], int] = field(default=lambda: 0, repr=False)


_places: list[Place] = []


def register(*places: Place) -> None:
    """Add places; called in AppConfig.ready."""
    _places.extend(places)
    _places.sort(key=lambda place: place.order)


def links(user: AbstractBaseUser | AnonymousUser, path: str = "") -> list[Link]:
    """The places that this person may open, in order. `path` is the address of the page that shows them."""
    found = []
    for place in _places:
        url = reverse(place.url_name)
        wanted = _declared(url)
        if user.is_authenticated and wanted is not None and wanted.allows(user):
            waiting = partial(place.waiting, user) if place.waiting is not None else lambda: 0
            current = path.startswith(url)
            found.append(Link(place.label, place.description, url, place.url_name, current, waiting))
    return found


@cache
def _declared(url: str) -> access.Access | None:
    # Every page asks for each place, and what a view declares does not change.
    return access.declared(resolve(url).func)


def context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `navigation` is looked up only when a template asks for it."""
    return {"navigation": lambda: links(request.user, request.path)}
