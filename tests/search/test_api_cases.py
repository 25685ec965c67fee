"""Cases by API: opened, confirmed, imported, assigned, closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search.models import Case
from tests.api_client import Api, expect
from tests.people import Cast

Entries = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def api(database: Any) -> Api:
    return Api()


def test_an_officers_case_waits_for_a_supervisor(cast: Cast, api: Api, entries: Entries) -> None:
    officer, supervisor = api.as_(cast.olivia), api.as_(cast.sam)
    case = officer.post("/cases/", 201, number="26-00001", offence="robbery")
    assert (case["status"], [one["username"] for one in case["officers"]]) == ("unconfirmed", ["olivia"])
    assert supervisor.get("/cases/?status=unconfirmed")["count"] == 1
    expect(officer("POST", f"/cases/{case['id']}/confirm/"), 403)
    assert supervisor.post(f"/cases/{case['id']}/confirm/")["status"] == "open"
    supervisor.post(f"/cases/{case['id']}/confirm/", 409)
    assigned = supervisor.put(f"/cases/{case['id']}/officers/", officers=["Oscar", "olivia"])
    assert sorted(one["username"] for one in assigned["officers"]) == ["olivia", "oscar"]
    assert supervisor.post(f"/cases/{case['id']}/close/")["closed_at"] is not None
    supervisor.put(f"/cases/{case['id']}/officers/", 409, officers=[])
    assert supervisor.post(f"/cases/{case['id']}/reopen/")["status"] == "open"
    assert [len(entries(f"search:case:{act}")) for act in ("opened", "confirmed", "closed", "reopened")] == [1] * 4


def test_a_wrong_case_is_not_opened(cast: Cast, api: Api) -> None:
    officer = api.as_(cast.olivia)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"offence": "robbery"}, "case_number"),
        ({"number": "?", "offence": "robbery"}, "case_number"),
        ({"number": "26-00001"}, "offence"),
        ({"number": "26-00001", "offence": "rudeness"}, "offence"),
        ({"number": "26-00001", "offence": "robbery", "officers": ["oscar"]}, "officers"),
        ({"number": "26-00001", "offence": "robbery", "officers": ["nobody"]}, "officers.0"),
        ({"number": "26-00001", "offence": "robbery", "officers": ["xavier"]}, "officers.0"),
        ({"number": "26-00001", "offence": "robbery", "officers": "oscar"}, "officers"),
        ({"number": ["26"], "offence": "robbery"}, "number"),
    ]
    for body, field in wrong:
        assert list(officer.post("/cases/", 422, **body)["fields"]) == [field], body
    assert not Case.objects.exists()


def test_one_number_is_one_case(cast: Cast, api: Api) -> None:
    api.as_(cast.sam).post("/cases/", 201, number="26-00001", offence="robbery", officers=["olivia"])
    api.as_(cast.olivia).post("/cases/", 409, number=" 26–00001 ", offence="robbery")
    assert api.as_(cast.xavier).post("/cases/", 201, number="26-00001", offence="robbery")["agency"] == "lakeside-so"


def test_cases_are_imported_row_by_row_from_json_and_csv(cast: Cast, api: Api) -> None:
    supervisor = api.as_(cast.sam)
    rows = [
        {"number": "26-00001", "offence": "robbery", "officers": "olivia oscar"},
        {"number": "26-00002", "offence": "rudeness"},
        {"number": "26-00003", "offence": "arson_occupied", "officers": "nobody"},
        {},
    ]
    report = supervisor.post("/cases/import/", rows=rows)
    assert (report["imported"], report["known"], report["refused"]) == (1, 0, 3)
    assert [one["outcome"] for one in report["rows"]] == ["imported", "refused", "refused", "refused"]
    assert Case.objects.get().officers.count() == 2
    table = "number,offence,officers\r\n26-00001,robbery,\r\n26-00004,robbery,olivia\r\n".encode("utf-8-sig")
    report = expect(supervisor("POST", "/cases/import/", table, "text/csv"), 200)
    assert (report["imported"], report["known"], report["refused"]) == (1, 1, 0)


UNREADABLE: list[tuple[bytes, str, int, list[str]]] = [
    (b"{}", "application/json", 422, ["rows"]),
    (b'{"rows": []}', "application/json", 422, ["rows"]),
    (b'{"rows": [1]}', "application/json", 422, ["rows.0.request"]),
    (b"[" * 100_000, "application/json", 400, []),
    (b"\xff\xfe{}", "application/json", 400, []),
    (b'{"rows": NaN}', "application/json", 400, []),
    (b'{"rows": ' + b"9" * 5000 + b"}", "application/json", 400, []),
    (b"number,offence\n" + b"1,robbery\n" * 1001, "text/csv", 422, ["rows"]),
    (b"number,offence\n\xff\xff,robbery\n", "text/csv", 422, ["rows"]),
    (b'number,offence\n"1,robbery\n', "text/csv", 422, ["rows"]),
    (b"x" * 2_200_000, "text/csv", 413, []),
    (b"number=1", "application/x-www-form-urlencoded", 415, []),
]


def test_a_table_that_cannot_be_read_imports_nothing(cast: Cast, api: Api) -> None:
    supervisor = api.as_(cast.sam)
    for body, content_type, status, fields in UNREADABLE:
        refused = expect(supervisor("POST", "/cases/import/", body, content_type), status)
        assert list(refused["fields"]) == fields, body[:40]
    assert not Case.objects.exists()


def test_a_body_that_is_too_large_is_not_read(cast: Cast, api: Api) -> None:
    body = b'{"justification": "' + b"x" * 300_000 + b'"}'
    assert "at most 0.3 MB" in expect(api.as_(cast.olivia)("POST", "/requests/", body), 413)["sentence"]


def test_lists_come_in_pages(cast: Cast, api: Api) -> None:
    supervisor = api.as_(cast.sam)
    supervisor.post("/cases/import/", rows=[{"number": f"26-{n:05}", "offence": "robbery"} for n in range(5)])
    page = supervisor.get("/cases/?page_size=2&page=2")
    assert (page["count"], len(page["results"])) == (5, 2)
    assert page["next"].endswith("page=3&page_size=2")
    for wrong in ("page=99", "page=x", "page=0"):
        expect(supervisor("GET", f"/cases/?{wrong}"), 404)
    assert list(expect(supervisor("GET", "/cases/?status=lost"), 422)["fields"]) == ["status"]
