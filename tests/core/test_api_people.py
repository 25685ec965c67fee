"""People and tokens by API, and what the API answers when a part of the system is down."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections
from django.test import Client
from django.utils import timezone

from core import tokens
from core.models import ApiToken, User
from search.models import SearchRequest
from tests.api_client import Api, expect
from tests.core.log_entries import entries
from tests.people import Cast


def test_an_administrator_adds_and_changes_people_of_the_agency(cast: Cast) -> None:
    administrator = Api().as_(cast.ada)
    added = administrator.post(
        "/people/", 201, username="nina", full_name="Nina New", agency="riverton-pd", roles=["officer"]
    )
    nina = added["person"]["id"]
    assert User.objects.get(pk=nina).check_password(added["first_password"])
    assert User.objects.get(pk=nina).must_change_password
    assert administrator.put(f"/people/{nina}/roles/", roles=["officer", "examiner"])["roles"] == [
        "officer",
        "examiner",
    ]
    until = (timezone.now() + timedelta(days=100)).date().isoformat()
    assert administrator.put(f"/people/{nina}/training/", training_until=until)["training_is_current"]
    assert list(administrator.put(f"/people/{nina}/training/", 422, training_until="3000-01-01")["fields"]) == [
        "training_until"
    ]
    assert administrator.post(f"/people/{nina}/deactivate/")["is_active"] is False
    administrator.post(f"/people/{nina}/deactivate/", 409)
    assert administrator.get("/people/?page_size=200")["count"] == User.objects.filter(agency="riverton-pd").count()
    expect(administrator("GET", f"/people/{cast.xavier.pk}/"), 404)
    administrator.put(f"/people/{cast.ada.pk}/roles/", 403, roles=["administrator"])
    assert [one["user"] for one in entries("core:user:roles_changed")] == [nina]


def test_a_wrong_person_is_not_added(cast: Cast) -> None:
    before = User.objects.count()
    person = {"username": "nina", "full_name": "Nina New", "agency": "riverton-pd", "roles": ["officer"]}
    administrator = Api().as_(cast.ada)
    wrong: list[tuple[dict[str, Any], int, list[str]]] = [
        ({"username": ""}, 422, ["username"]),
        ({"username": "Olivia"}, 409, []),
        ({"username": "a b"}, 422, ["username"]),
        ({"roles": ["king"]}, 422, ["roles"]),
        ({"roles": ["administrator", "officer"]}, 422, ["roles"]),
        ({"roles": ["board"]}, 403, []),
        ({"agency": "lakeside-so"}, 403, []),
        ({"agency": "nowhere"}, 422, ["agency"]),
        ({"training_until": "tomorrow"}, 422, ["training_until"]),
    ]
    for changes, status, fields in wrong:
        assert list(administrator.post("/people/", status, **person | changes)["fields"]) == fields, changes
    assert User.objects.count() == before


def test_one_reads_oneself_and_revokes_ones_own_tokens(cast: Cast) -> None:
    api = Api()
    caller = api.as_(cast.sam)
    me = caller.get("/me/")
    assert (me["username"], me["roles"], me["approver_state"]) == ("sam", ["supervisor"], "enrolled")
    other, text = tokens.issue(by=cast.sam, name="other")
    assert {one["name"] for one in caller.get("/tokens/")["results"]} == {"tests", "other"}
    assert text not in json.dumps(caller.get("/tokens/"))
    expect(api.as_(cast.sue)("DELETE", f"/tokens/{other.pk}/"), 404)
    assert caller("DELETE", f"/tokens/{other.pk}/").status_code == 204
    expect(caller("DELETE", f"/tokens/{other.pk}/"), 409)
    assert tokens.find(text) is None
    # A stolen token does not make its own successor.
    expect(caller("POST", "/tokens/", {"name": "next"}), 405)
    assert ApiToken.objects.filter(user=cast.sam).count() == 2


def test_an_address_that_is_not_there_answers_in_the_same_shape(cast: Cast) -> None:
    found = Client().get("/api/v1/nothing/")
    assert found.status_code == 404
    assert list(found.json()) == ["code", "sentence", "fields", "refusals"]
    caller = Api().as_(cast.olivia)
    expect(caller("GET", f"/requests/{uuid.uuid4()}/"), 404)
    expect(caller("DELETE", "/requests/"), 405)
    answer = Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {caller.token}", "Accept": "text/html"})
    assert answer.status_code == 406


@contextmanager
def _without_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process sees when PostgreSQL is down: every connection is refused."""

    def refuse(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("connection refused")

    connections.close_all()
    with monkeypatch.context() as patched:
        patched.setattr(psycopg, "connect", refuse)
        patched.setattr(psycopg.Connection, "connect", refuse)
        yield


def test_without_the_database_every_address_says_503(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Api().as_(cast.olivia)
    with _without_database(monkeypatch):
        with pytest.raises(OperationalError):
            User.objects.count()
        for method, address in [("GET", "/me/"), ("GET", "/cases/"), ("POST", "/requests/"), ("GET", "/log/health/")]:
            refused = expect(caller(method, address), 503)
            assert refused["code"] == "unavailable"
            assert "nothing was done" in refused["sentence"]
    assert not SearchRequest.objects.exists()


def test_without_the_log_nothing_is_done(cast: Cast, as_superuser: psycopg.Connection) -> None:
    """The log is frozen: what has to be written first cannot be written, so it does not happen."""
    api = Api()
    board, supervisor = api.as_(cast.bea), api.as_(cast.sam)
    as_superuser.execute("INSERT INTO logwork.frozen (reason) VALUES ('a test')")
    assert expect(board("GET", "/log/entries/"), 503)["code"] == "unavailable"
    refused = supervisor("POST", "/cases/", {"number": "26-00001", "offence": "robbery"})
    assert expect(refused, 503)["code"] == "unavailable"
    assert supervisor.get("/cases/")["count"] == 0
