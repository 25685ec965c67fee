"""Every address × every role, against the committed table: what is not declared and listed is closed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache as remembered
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from core import access
from core.person_roles import CODES
from tests.core.access_table import ANONYMOUS, ARGUMENTS, DATA, FOREIGN, TABLE
from tests.people import Cast

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@remembered
def addresses() -> list[tuple[str, Callable[..., Any]]]:
    """Name and view of every address of the product."""

    def walk(patterns: list[Any], namespaces: tuple[str, ...]) -> Iterator[tuple[str, Callable[..., Any]]]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                inner = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
                yield from walk(pattern.url_patterns, inner)
            else:
                assert isinstance(pattern, URLPattern)
                assert pattern.name, f"{pattern.pattern} has no name"
                yield ":".join((*namespaces, pattern.name)), pattern.callback

    return list(walk(get_resolver().url_patterns, ()))


NAMES = sorted({name for name, _ in addresses()})
# One database for the addresses of one module of views.
MODULES = {name: view.__module__ for name, view in addresses()}


@remembered
def allowed(name: str) -> frozenset[str]:
    """The roles (and `anonymous`) to whom the view of this address declares itself open."""
    found = [access.declared(view) for other, view in addresses() if other == name]
    assert all(found), name
    first = found[0]
    assert first is not None
    roles = frozenset(CODES) if first.roles is None else first.roles
    return roles | {ANONYMOUS} if first.anonymous else roles


def expected(name: str, method: str, role: str) -> int:
    row = TABLE.get(f"{name} {method}") if method != "GET" else TABLE[name]
    if row is not None:
        return row[role]
    return 405 if role in allowed(name) else TABLE[name][role]


@dataclass
class Visitors:
    """People of each role with sessions, in which nobody has done anything yet: a session in which something may have
    been done is not used again, and neither are the things it was done to.
    """

    cast: Cast
    clients: dict[str, Client] = field(default_factory=dict)
    arguments: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask(self, role: str, method: str, name: str, arguments: Callable[[Cast], dict[str, Any]]) -> int:
        """The status that a person with this role gets."""
        cache.clear()  # allauth's limits per address are not what is asked here
        client = self.clients.get(role) or self._enter(role)
        if name not in self.arguments:
            self.arguments[name] = arguments(self.cast)
        data = DATA.get(f"{name} {method}", {}) if method != "GET" else {}
        address = reverse(name, kwargs=self.arguments[name])
        status = int(client.generic(method, address, **_encoded(name, method, data)).status_code)
        if method != "GET" and role in allowed(name):
            del self.clients[role], self.arguments[name]
        return status

    def _enter(self, role: str) -> Client:
        client = self.clients[role] = Client(raise_request_exception=False)
        if role != ANONYMOUS:
            client.force_login(self.cast.by_role[role])
        return client


def _encoded(name: str, method: str, data: dict[str, Any]) -> dict[str, Any]:
    if method == "GET":
        return {}
    if any(access.is_api(view) for other, view in addresses() if other == name):
        return {"data": json.dumps(data), "content_type": "application/json"}
    return {"data": encode_multipart(BOUNDARY, data), "content_type": MULTIPART_CONTENT}


def test_every_address_declares_who_may_open_it() -> None:
    assert [name for name, view in addresses() if access.declared(view) is None] == []


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    rows = {key.split(" ")[0] for key in TABLE}
    assert rows == set(NAMES)
    assert set(NAMES) <= TABLE.keys(), "a row for GET is missing"
    assert {key.split(" ")[1] for key in TABLE if " " in key} <= set(METHODS)
    assert (ARGUMENTS.keys() | FOREIGN.keys()) <= set(NAMES)
    assert all(row.keys() == {ANONYMOUS, *CODES} for row in TABLE.values())


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_every_role_gets_what_the_table_says(cast: Cast, module: str) -> None:
    wrong = []
    visitors = Visitors(cast)
    for name in (name for name in NAMES if MODULES[name] == module and name in TABLE):
        for method in METHODS:
            if method not in ("GET", "POST") and f"{name} {method}" not in TABLE:
                continue
            for role in (ANONYMOUS, *CODES):
                status = visitors.ask(role, method, name, ARGUMENTS.get(name, lambda _: {}))
                if status != expected(name, method, role):
                    wrong.append(f"{method} {name} as {role}: {status}, the table says {expected(name, method, role)}")
    assert wrong == []


@pytest.mark.parametrize("module", sorted({MODULES[name] for name in FOREIGN}))
def test_what_one_may_not_know_of_is_not_found(cast: Cast, module: str) -> None:
    wrong = []
    visitors = Visitors(cast)
    for name in sorted(name for name in FOREIGN if MODULES[name] == module):
        only = all(code in (405, 403, 302, 401) for code in TABLE[name].values())
        method = next(one for one in METHODS[only:] if one == "GET" or f"{name} {one}" in TABLE)
        for role in CODES:
            status = visitors.ask(role, method, name, FOREIGN[name])
            if status != (404 if role in allowed(name) else 403):
                wrong.append(f"{method} {name} as {role}: {status}")
    assert wrong == []
