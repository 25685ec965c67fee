"""What people see when a part of the system does not answer: an honest page or JSON, never a trace of the inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from core import problems
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from core.models import User


@pytest.fixture
def database_down(database: Any) -> Iterator[None]:
    """Django's connection names a database that is not there."""
    chosen = connections.settings["default"]
    before = chosen["NAME"]
    connections["default"].close()
    chosen["NAME"] = "gone"
    try:
        yield
    finally:
        connections["default"].close()
        chosen["NAME"] = before


@pytest.mark.parametrize("url", ["/", "/people/", "/account/"])
def test_a_page_says_so_when_the_database_is_down(database: Any, database_down: None, url: str) -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a" * 32
    response = client.get(url)
    assert response.status_code == 503
    page = response.content.decode()
    assert problems.DOWN in page
    assert "<h1>Not available now</h1>" in page
    assert "gone" not in page


def test_signing_in_says_so_when_the_database_is_down(database_down: None) -> None:
    client = Client(raise_request_exception=False)
    response = client.post(reverse("account_login"), {"login": "olivia", "password": "x"})
    assert response.status_code == 503


def test_the_api_says_so_when_the_database_is_down(database_down: None) -> None:
    client = Client(raise_request_exception=False, headers={"Authorization": "Bearer gct_" + "A" * 43})
    response = client.get("/api/v1/me/")
    assert response.status_code == 503
    assert response.json()["sentence"] == problems.DOWN


def test_a_fault_of_the_program_is_a_page_without_its_inside(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("inner detail")

    user = User.objects.create_user("olivia", full_name="O", roles=["administrator"])
    client = Client(raise_request_exception=False)
    client.force_login(user)
    monkeypatch.setattr("core.people.visible_to", break_)
    response = client.get(reverse("people"))
    assert response.status_code == 500
    assert problems.BROKEN in response.content.decode()
    assert "inner detail" not in response.content.decode()


def test_every_refusal_has_its_status() -> None:
    statuses = {kind: kind("Do this.").status for kind in (NotAllowed, NotFound, Conflict, Invalid, Unavailable)}
    assert list(statuses.values()) == [403, 404, 409, 422, 503]
    assert problems.describe(Conflict("Wait.")) == (409, "Wait.")
    assert problems.describe(ValueError("a fault")) is None
