"""The log by API: its health, its entries with receipts, and what they seal."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.log import storage, verifier_keys, verify
from core import database, people
from search import cases
from tests.api_client import Api, expect
from tests.core.log_entries import entries
from tests.people import Cast

Pump = Callable[[], None]


@pytest.fixture
def sequenced(as_role: Any) -> Iterator[None]:
    """A sequencer that runs beside the test."""
    from audit.log import sequencer

    stop, own = threading.Event(), as_role("sequencer")

    def work() -> None:
        while not stop.wait(0.05):
            sequencer.step(own)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_everybody_sees_whether_the_log_is_healthy(cast: Cast, pump: Pump) -> None:
    api = Api()
    caller = api.as_(cast.olivia)
    assert caller.get("/log/health/")["waiting"] > 0
    pump()
    health = caller.get("/log/health/")
    assert (health["state"], health["problems"], health["waiting"]) == ("good", [], 0)
    assert health["signed"] == health["size"] > 0


def test_the_board_reads_entries_page_by_page_and_each_reading_is_an_entry(cast: Cast, pump: Pump) -> None:
    board = Api().as_(cast.bea)
    pump()
    page = board.get("/log/entries/?type=core:user")
    assert {one["type"] for one in page["entries"]} == {"core:user:added"}
    assert page["before"] is None
    indices = [one["index"] for one in page["entries"]]
    assert indices == sorted(indices, reverse=True)
    assert board.get(f"/log/entries/?type=core:user&before={indices[0]}")["entries"] == page["entries"][1:]
    views = entries("log:entries:viewed")
    assert [(one["first"], one["last"]) for one in views] == [(indices[-1], indices[0]), (indices[-1], indices[1])]
    one = board.get(f"/log/entries/{page['entries'][0]['id']}/")
    assert one == page["entries"][0]
    assert board.get(f"/log/entries/?person={cast.olivia.id}")["entries"]
    assert board.get("/log/entries/?since=2000-01-01T00:00:00Z&until=2000-01-02T00:00:00Z")["entries"] == []
    expect(board("GET", f"/log/entries/{uuid.uuid4()}/"), 404)


def test_a_wrong_filter_is_named_and_nothing_is_read(cast: Cast) -> None:
    board = Api().as_(cast.bea)
    for query, field in [("before=-1", "before"), ("before=x", "before"), ("case=x", "case"), ("since=soon", "since")]:
        assert list(expect(board("GET", f"/log/entries/?{query}"), 422)["fields"]) == [field]
    assert not entries("log:entries:viewed")


def test_a_receipt_verifies_with_the_program_for_outsiders(
    cast: Cast, pump: Pump, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    auditor = Api().as_(cast.axel)
    pump()
    entry = auditor.get("/log/entries/?type=core:agency:added")["entries"][0]["id"]
    (tmp_path / "entry").write_bytes(auditor("GET", f"/log/entries/{entry}/file/").content)
    (tmp_path / "receipt").write_bytes(auditor("GET", f"/log/entries/{entry}/receipt/").content)
    with database.connect("reader") as reader:
        storage.export(reader, tmp_path / "log")
    arguments = [str(tmp_path / "log"), "--key", str(verifier_keys.published()[0])]
    arguments += ["--receipt", str(tmp_path / "receipt"), "--entry", str(tmp_path / "entry")]
    assert verify.main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("OK size=")


def test_an_entry_that_is_not_signed_yet_has_no_receipt(cast: Cast, as_role: Any) -> None:
    from audit.log import sequencer

    own = as_role("sequencer")
    while sequencer.step(own):
        pass
    board = Api().as_(cast.bea)
    entry = board.get("/log/entries/")["entries"][0]["id"]
    expect(board("GET", f"/log/entries/{entry}/receipt/"), 404)


def test_only_the_board_opens_what_is_sealed(cast: Cast, pump: Pump, sequenced: None) -> None:
    api = Api()
    case = cases.open_case(by=cast.sam, number="26-00001", offence="robbery")
    pump()
    board = api.as_(cast.bea)
    [entry] = board.get(f"/log/entries/?type=search:case:opened&case={case.pk}")["entries"]
    assert "26-00001" not in str(entry)
    expect(api.as_(cast.axel)("POST", f"/log/entries/{entry['id']}/open/"), 403)
    opened = board.post(f"/log/entries/{entry['id']}/open/")
    [value] = opened["values"]
    assert (value["field"], value["state"]) == ("number", "fits")
    assert "26-00001" in value["opening"]
    assert [one["viewer"] for one in entries("vault:record:viewed")] == [str(cast.bea.id)]


def test_a_closed_account_reads_nothing_more(cast: Cast) -> None:
    board = Api().as_(cast.bea)
    board.get("/log/entries/")
    people.deactivate(by=None, user=cast.bea)
    expect(board("GET", "/log/entries/"), 401)
