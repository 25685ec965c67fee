"""The log browser as the board uses it: every reading is an entry, sealed values open only after one, proofs hold."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from audit.log import journal, verifier_keys
from audit.log.verify import main
from core import keystore
from tests.people import Cast

Pump = Callable[[], None]
NOTE = "The masked man <b>limps</b>"


@pytest.fixture
def board(cast: Cast, client: Client) -> Client:
    client.force_login(cast.bea)
    return client


@pytest.fixture
def sequenced(as_role: Any) -> Iterator[None]:
    """A sequencer that runs beside the test, as it does in earnest."""
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


def log(connection: psycopg.Connection, type_: str) -> list[dict[str, Any]]:
    rows = connection.execute("SELECT body FROM log.entry WHERE type = %s ORDER BY id", [type_]).fetchall()
    return [json.loads(bytes(body)) for (body,) in rows]


def reject(cast: Cast, request: uuid.UUID | None = None) -> tuple[uuid.UUID, uuid.UUID]:
    """An entry that seals one value; its id and the id of the record whose key seals it."""
    record = uuid.uuid4()
    with transaction.atomic():
        entry = journal.record(
            "search:request:rejected",
            request=request or uuid.uuid4(),
            actor=cast.sam.id,
            role="supervisor",
            vault_record=record,
            values={"note": NOTE},
        )
    return entry, record


def test_entries_are_listed_newest_first_and_the_reading_is_logged(
    cast: Cast, board: Client, pump: Pump, mallory: psycopg.Connection
) -> None:
    pump()
    page = board.get("/log/").content.decode()
    assert "Sam Stone" in page
    numbers = [
        int(part.split("<")[0]) for part in page.split('class="number" href="')[1:] for part in [part.split(">")[1]]
    ]
    assert numbers == sorted(numbers, reverse=True)
    (view,) = log(mallory, "log:entries:viewed")
    assert (view["first"], view["last"]) == (numbers[-1], numbers[0])
    assert (view["actor"], view["role"]) == (str(cast.bea.id), "board")


def test_paging_shows_every_entry_once(cast: Cast, board: Client, pump: Pump, mallory: psycopg.Connection) -> None:
    for _ in range(120):
        journal.record_now("search:policy:viewed", law_pack="utah")
    pump()
    seen: list[str] = []
    query = "?event=search:policy:viewed"
    while query:
        page = board.get(f"/log/{query}").content.decode()
        seen += [part.split('"')[0] for part in page.split('class="number" href="')[1:]]
        query = (
            page.split('" rel="next"')[0].rsplit('href="', 1)[1].replace("&amp;", "&") if 'rel="next"' in page else ""
        )
    assert len(seen) == len(set(seen)) == 120


def test_filters_find_by_event_person_case_and_time(cast: Cast, board: Client, pump: Pump) -> None:
    from search import cases

    case = cases.open_case(
        by=cast.sam, agency=cast.agency, number="RV-2026-0042", offence="burglary", officers=[cast.olivia]
    )
    pump()

    def rows(**query: str) -> str:
        answer = board.get("/log/", query)
        assert answer.status_code == 200
        return answer.content.decode()

    opened = "Case RV-2026-0042 was opened, offence burglary"
    assert opened in rows(case="rv-2026-0042")
    assert opened in rows(case=str(case.pk), event="search:case")
    assert "No entry fits" in rows(case=str(case.pk), event="search:request")
    assert "No entry fits" in rows(case=str(uuid.uuid4()))
    assert "Olivia Orr was added" in rows(person="OLIVIA")
    assert "Oscar Ode was added" not in rows(person="olivia")
    assert "No entry fits" in rows(until="2020-01-01")
    assert "No entry fits" in rows(since="2100-01-01")
    assert board.get("/log/", {"case": "NO-SUCH"}).status_code == 422
    assert board.get("/log/", {"person": "nobody"}).status_code == 422
    assert board.get("/log/", {"until": "9999-12-31"}).status_code == 422
    assert board.get("/log/", {"before": "x"}).status_code == 200
    assert board.get("/log/", {"before": "9" * 40}).status_code == 200
    pump()
    assert "were read in the log browser.</td>" in rows()
    assert "were read in the log browser.</td>" not in rows(without_readings="on")


def test_without_its_entry_nothing_is_shown(cast: Cast, board: Client, pump: Pump, as_role: Any) -> None:
    entry, _ = reject(cast)
    pump()
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    for path in ("/log/", reverse("log_entry", args=[entry]), reverse("log_entry_file", args=[entry])):
        answer = board.get(path)
        assert answer.status_code == 503
        assert b"search:request" not in answer.content
    assert "A drill." in board.get("/log/health").content.decode()


def test_sealed_values_open_after_a_logged_reading_and_fit_their_commitment(
    cast: Cast, board: Client, pump: Pump, mallory: psycopg.Connection, sequenced: None
) -> None:
    entry, _ = reject(cast)
    pump()
    closed = board.get(reverse("log_entry", args=[entry])).content.decode()
    assert "limps" not in closed
    assert log(mallory, "vault:record:viewed") == []
    answer = board.post(reverse("log_entry_open", args=[entry]))
    page = answer.content.decode()
    assert "The masked man &lt;b&gt;limps&lt;/b&gt;" in page
    assert "Value and salt give the commitment" in page
    assert "no-store" in answer.headers["Cache-Control"]
    (view,) = log(mallory, "vault:record:viewed")
    assert (view["entry"], view["viewer"]) == (str(entry), str(cast.bea.id))


def test_the_opening_file_is_what_the_verifier_reads(
    cast: Cast, board: Client, pump: Pump, sequenced: None, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    entry, _ = reject(cast)
    pump()
    files = {
        "receipt": board.get(reverse("log_receipt", args=[entry])),
        "entry": board.get(reverse("log_entry_file", args=[entry])),
        "opening": board.post(reverse("log_opening", args=[entry, "note"])),
    }
    arguments = ["--key", str(verifier_keys.published()[0])]
    for name, answer in files.items():
        assert answer.status_code == 200
        assert "attachment" in answer.headers["Content-Disposition"]
        (tmp_path / name).write_bytes(answer.content)
        arguments += [f"--{name}", str(tmp_path / name)]
    assert main(arguments) == 0
    assert f"note: {json.dumps(NOTE)}" in capsys.readouterr().out
    assert board.post(reverse("log_opening", args=[entry, "photo"])).status_code == 404


def test_an_erased_value_stays_erased_and_a_changed_one_is_shown_as_such(
    cast: Cast, board: Client, pump: Pump, sequenced: None, as_superuser: psycopg.Connection
) -> None:
    erased, record = reject(cast)
    changed, other = reject(cast)
    pump()
    keystore.destroy(record)
    page = board.post(reverse("log_entry_open", args=[erased])).content.decode()
    assert "Its key was destroyed" in page
    assert "limps" not in page
    forged = json.dumps({"field": "note", "salt": "00" * 32, "value": "something else"}).encode()
    as_superuser.execute(
        "UPDATE vault.sealed SET sealed = %s WHERE entry = %s",
        [keystore.seal(keystore.get(other), "vault", forged), changed],
    )
    assert "not the value that was logged" in board.post(reverse("log_entry_open", args=[changed])).content.decode()


def test_an_auditor_reads_entries_without_names_and_opens_nothing(
    cast: Cast, client: Client, pump: Pump, mallory: psycopg.Connection
) -> None:
    entry, _ = reject(cast)
    pump()
    client.force_login(cast.axel)
    page = client.get("/log/").content.decode()
    assert "Sam Stone" not in page
    assert f"person {str(cast.sam.id)[:8]}" in page.lower()
    assert client.post(reverse("log_entry_open", args=[entry])).status_code == 403
    assert client.post(reverse("log_opening", args=[entry, "note"])).status_code == 403
    assert client.get("/log/", {"person": "sam"}).status_code == 422
    assert log(mallory, "vault:record:viewed") == []


def test_nothing_opens_while_no_sequencer_runs(cast: Cast, board: Client, pump: Pump, settings: Any) -> None:
    settings.GLASSCASE_LOG_WAIT_SECONDS = 0.3
    entry, _ = reject(cast)
    pump()
    answer = board.post(reverse("log_entry_open", args=[entry]))
    assert answer.status_code == 503
    assert b"limps" not in answer.content


def test_an_entry_without_a_place_is_not_found_and_one_without_a_signature_says_so(
    cast: Cast, board: Client, pump: Pump, as_role: Any
) -> None:
    from audit.log import sequencer

    pump()
    entry, _ = reject(cast)
    assert board.get(reverse("log_entry", args=[entry])).status_code == 404
    sequencer.step(as_role("sequencer"))
    assert "not in the signed log yet" in board.get(reverse("log_entry", args=[entry])).content.decode()
    assert board.get(reverse("log_receipt", args=[entry])).status_code == 404
    pump()
    assert "of the signed log of" in board.get(reverse("log_entry", args=[entry])).content.decode()


def test_downloading_a_receipt_is_logged(cast: Cast, board: Client, pump: Pump, mallory: psycopg.Connection) -> None:
    request = uuid.uuid4()
    entry, _ = reject(cast, request)
    pump()
    board.get(reverse("log_receipt", args=[entry]))
    (downloaded,) = log(mallory, "search:receipt:downloaded")
    assert (downloaded["request"], downloaded["entry"]) == (str(request), str(entry))


def test_the_page_on_checking_shows_key_fingerprint_and_program(cast: Cast, board: Client, pump: Pump) -> None:
    pump()
    page = board.get("/log/check").content.decode()
    key = verifier_keys.published()[0]
    assert str(key) in page.replace("&#x2B;", "+")
    assert hashlib.sha256(str(key).encode()).hexdigest() in page.replace(" ", "")
    program = board.get("/log/glasscase-verify.pyz").content
    assert hashlib.sha256(program).hexdigest() in page
