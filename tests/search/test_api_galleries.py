"""Galleries, enrolments, limits and rules by API."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from core.database import session
from search.gate import client
from search.models import EnrolledPhoto, Gallery
from tests.api_client import Api, expect
from tests.core.access_rows import somebody
from tests.people import Cast
from tests.search.shelf import Shelf
from tests.search.stage import Stage

Entries = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def api(database: Any) -> Api:
    return Api()


def signed(cast: Cast, name: str = "sam") -> dict[str, Any]:
    return {"approver": name, "secret": cast.secrets[getattr(cast, name).id]}


def test_a_gallery_is_created_by_a_custodian_and_seen_in_the_agency(cast: Cast, api: Api) -> None:
    custodian = api.as_(cast.carl)
    made = custodian.post("/galleries/", 201, name="bookings", legal_basis="booking", retention_days=30)
    assert api.as_(cast.olivia).get(f"/galleries/{made['id']}/")["editions"] == []
    custodian.post("/galleries/", 409, name="bookings", legal_basis="booking", retention_days=30)
    refused = custodian.post("/galleries/", 422, name="", legal_basis="because", retention_days=10**9)
    assert refused["fields"].keys() == {"name", "legal_basis", "retention_days"}
    assert Gallery.objects.count() == 1
    elsewhere = somebody(cast, agency=cast.other_agency, roles=["custodian"])
    for method, part in [("GET", ""), ("POST", "editions/"), ("POST", "removals/"), ("GET", "enrolments/")]:
        expect(api.as_(elsewhere)(method, f"/galleries/{made['id']}/{part}"), 404)


def test_an_edition_needs_another_persons_secret(stage: Stage, api: Api, entries: Entries) -> None:
    cast, custodian = stage.cast, api.as_(stage.cast.carl)
    address = f"/galleries/{stage.gallery.pk}/"
    [edition] = custodian.get(address)["editions"]
    assert (edition["is_current"], edition["templates"], edition["face_model"]) == (True, 3, stage.model.hash)
    again = {"face_model": stage.model.hash}
    assert list(custodian.post(f"{address}editions/", 422, **signed(cast), face_model="x")["fields"]) == ["face_model"]
    custodian.post(f"{address}editions/", 404, **signed(cast), face_model="0" * 64)
    custodian.post(f"{address}editions/", 403, **signed(cast, "carl"), **again)
    nobody = custodian.post(f"{address}editions/", 422, approver="nobody", secret="x", **again)
    assert list(nobody["fields"]) == ["approver"]
    custodian.post(f"{address}editions/", 409, **signed(cast), **again)
    wrong = {**signed(cast), "secret": "ABCD-EF23-GHIJ-K456"}
    custodian.post(f"{address}editions/{edition['edition']}/current/", 422, **wrong)
    custodian.post(f"{address}editions/999/current/", 404, **signed(cast))
    custodian.post(f"{address}editions/99999999999/current/", 404, **signed(cast))
    assert len(entries("gallery:edition:registered")) == 1


def test_photos_are_removed_and_people_expunged(stage: Stage, api: Api) -> None:
    cast, custodian = stage.cast, api.as_(stage.cast.carl)
    address = f"/galleries/{stage.gallery.pk}/"
    first, second = (EnrolledPhoto.objects.get(template=stage.templates[number]) for number in (0, 1))
    assert list(custodian.post(f"{address}removals/", 422, **signed(cast), templates=[])["fields"]) == ["templates"]
    custodian.post(f"{address}removals/", 404, **signed(cast), templates=[str(uuid.uuid4())])
    assert custodian.post(f"{address}removals/", **signed(cast), templates=[str(first.template)]) == {"removed": 1}
    custodian.post(f"{address}people/{uuid.uuid4()}/expunge/", 404, **signed(cast))
    assert custodian.post(f"{address}people/{second.person}/expunge/", **signed(cast)) == {"removed": 1}
    assert EnrolledPhoto.objects.count() == 1


def test_an_enrolment_is_followed_and_its_report_read(shelf: Shelf, api: Api) -> None:
    run, _ = shelf.enrol(shelf.manifest(3))
    custodian = api.as_(shelf.cast.carl)
    [listed] = custodian.get(f"/galleries/{shelf.gallery.pk}/enrolments/")["results"]
    found = custodian.get(f"/enrolments/{listed['id']}/")
    assert found["id"] == str(run.pk)
    assert (found["job"]["state"], found["report"]["enrolled"], found["report"]["waiting"]) == ("done", 3, 0)
    custodian.post(f"/enrolments/{run.pk}/discard/", 409)
    elsewhere = somebody(shelf.cast, agency=shelf.cast.other_agency, roles=["custodian"])
    expect(api.as_(elsewhere)("GET", f"/enrolments/{run.pk}/"), 404)


def test_limits_are_changed_with_two_approvers(cast: Cast, api: Api) -> None:
    administrator = api.as_(cast.ada)
    before = {one["name"]: one["value"] for one in administrator.get("/limits/")}
    two = [signed(cast, "sam"), signed(cast, "sue")]
    refused = administrator.put("/limits/k_max/", 422, value=20, signatures=two[:1])
    assert list(refused["fields"]) == ["signatures"]
    administrator.put("/limits/k_max/", 422, value=20, signatures=[two[0], two[0]])
    expect(administrator("PUT", "/limits/no_such_limit/", {"value": 1, "signatures": two}), 409)
    after = administrator.put("/limits/k_max/", value=20, signatures=two)
    assert before["k_max"] != 20
    assert {one["name"]: one["value"] for one in after}["k_max"] == 20
    assert client.settings(session())["k_max"] == 20
    expect(api.as_(cast.sam)("PUT", "/limits/k_max/", {"value": 5, "signatures": two}), 403)


def test_what_the_law_asks_is_said_with_its_citation(cast: Cast, api: Api) -> None:
    officer = api.as_(cast.olivia)
    codes = {one["code"] for one in officer.get("/law-packs/")}
    assert {"default", "utah"} <= codes
    asked = officer.get("/law-packs/utah/requirements/?purpose=identify_suspect&offence=robbery")
    assert {"case_number", "justification", "approval"} <= {one["field"] for one in asked}
    assert any(one["citation"] for one in asked)
    expect(officer("GET", "/law-packs/atlantis/requirements/"), 404)
    words = officer.get("/vocabulary/")
    assert "robbery" in {one["code"] for one in words["offences"]}
    assert api.as_(cast.carl).get("/face-models/")["count"] == 0
