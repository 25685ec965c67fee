"""Statements of absence by a whole installation: refused and finished searches, a statement, the check by an outsider."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit.log import absence, case_tags, rsa, verifier_keys
from audit.log.absence import Statement
from audit.oversight import absences
from core.database import session
from core.exceptions import Invalid, NotAllowed
from search import requests
from search.exceptions import SearchRefused
from search.models import SearchRequest
from tests.search.stage import NUMBER, Stage


def exported(folder: Path) -> list[str]:
    """The program of an export, as an outsider runs it."""
    call_command("export_log", str(folder))
    [key] = verifier_keys.published()
    return [sys.executable, "-I", str(folder / "glasscase-verify.pyz"), str(folder), "--key", str(key)]


def settle() -> None:
    """Waits until everything that was appended is under a checkpoint."""
    statement = (
        "SELECT count(*) FROM log.entry e LEFT JOIN log.leaf l ON l.entry_id = e.id"
        " WHERE l.idx IS NULL OR l.idx >= (SELECT max(size) FROM log.checkpoint)"
    )
    until = time.monotonic() + 60
    while session().execute(statement).fetchone() != (0,):
        assert time.monotonic() < until
        time.sleep(0.05)


def check(command: list[str], *more: str) -> str:
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False).stdout


def test_a_case_that_was_never_searched_is_told_from_one_that_was(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Any, tmp_path: Path
) -> None:
    with contextlib.suppress(SearchRefused):
        requests.submit(
            by=stage.cast.olivia, request=stage.drafted(), fields=stage.fields(case_number="2025–00001", purpose="")
        )
    for type_ in absence.TAGGED:
        assert all("case_tag" in entry and "case_key" in entry for entry in entries(type_)), type_
    settle()
    [announced] = entries(absence.KEYED)
    assert announced["key"] == case_tags.key_hash()

    never, once, refused = tmp_path / "never", tmp_path / "once", tmp_path / "refused"
    call_command("state_absence", "2024-00009", str(never))
    call_command("state_absence", f" {NUMBER.replace('-', '–')}\n", str(once))
    call_command("state_absence", "2025-00001", str(refused))
    command = exported(tmp_path / "log")
    out = check(command, "--absence", str(never))
    assert 'absence shown: no search for case "2024-00009"' in out
    assert out.splitlines()[-1].startswith("OK ")
    out = check(command, "--absence", str(once))
    assert f'absence not shown: case "{NUMBER}"' in out
    assert ": search:intent:filed" in out
    out = check(command, "--absence", str(refused))
    assert out.count("is for this case") == 1
    assert ": search:request:refused" in out
    # Each statement is in the log, and says no number.
    stated = entries("log:absence:stated")
    assert [entry["of_case"] for entry in stated] == [0, 2, 1]
    assert all("case_number" in entry["c"] and "2024-00009" not in json.dumps(entry) for entry in stated)
    with pytest.raises(CommandError, match="exists"):
        call_command("state_absence", "2024-00009", str(never))


def test_two_statements_of_two_spellings_are_the_same(stage: Stage, searched: SearchRequest, log_at_work: None) -> None:
    one = absences.state(by=stage.cast.bea, number="2024-00009", last=5)
    other = absences.state(by=stage.cast.bea, number="２０２４\u200b— 00009 ", last=5)
    assert one == other
    assert Statement.parse(one.encode()) == one
    assert rsa.is_fit(case_tags.modulus(), case_tags.roots())


def test_only_the_board_states_and_only_what_is_signed(
    stage: Stage, searched: SearchRequest, log_at_work: None
) -> None:
    for person in (stage.cast.olivia, stage.cast.sam, stage.cast.axel):
        with pytest.raises(NotAllowed):
            absences.state(by=person, number="2024-00009")
    for wrong in (
        {"number": " \u200b"},
        {"number": "9" * 1001},
        {"first": 3, "last": 2},
        {"last": 10**9},
        {"first": -1},
        {"most": 0},
    ):
        with pytest.raises(Invalid):
            absences.state(by=stage.cast.bea, **{"number": "2024-00009", **wrong})


def test_the_board_makes_a_statement_on_a_page_and_nobody_learns_the_number_from_its_name(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Any
) -> None:
    client, other = Client(), Client()
    client.force_login(stage.cast.bea)
    other.force_login(stage.cast.olivia)
    wrong = client.post("/log/absence", {"number": NUMBER, "first": "3", "last": "2"})
    assert wrong.status_code == 422
    assert "comes before the last one" in wrong.content.decode()
    assert entries("log:absence:stated") == []
    answer = client.post("/log/absence", {"number": NUMBER, "last": "5"})
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    assert NUMBER not in answer["Content-Disposition"]
    assert Statement.parse(answer.content) == absences.state(by=stage.cast.bea, number=NUMBER, last=5)
    assert len(entries("log:absence:stated")) == 2
    assert other.post("/log/absence", {"number": NUMBER}).status_code == 403


def test_who_has_the_database_and_not_the_key_store_cannot_tell_which_case_an_entry_is_for(
    stage: Stage, database: Any, as_superuser: psycopg.Connection
) -> None:
    """Everything in PostgreSQL is searched for the key, and a key of one's own gives other tags."""
    request = stage.submitted()
    [row] = as_superuser.execute("SELECT body FROM log.entry WHERE type = 'search:request:submitted'").fetchall()
    entry = json.loads(bytes(row[0]))
    der = case_tags.keystore.get(case_tags._RECORD)
    secret = case_tags._load(der).private_numbers()
    tables = as_superuser.execute(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    for (table,) in tables:
        text = "".join(str(row) for row in as_superuser.execute(f"SELECT t::text FROM {table} t"))
        for part in (secret.p, secret.q, secret.d):
            assert f"{part:x}"[:40] not in text
    assert absence.tag(case_tags.sign(request.case.number, entry["nonce"])) == entry["case_tag"]
    (database.home / "keys" / "keystore.sqlite3").unlink()
    assert absence.tag(case_tags.sign(request.case.number, entry["nonce"])) != entry["case_tag"]


def test_after_the_key_was_lost_a_new_one_is_announced_and_older_entries_stay_open(
    stage: Stage, database: Any, entries: Any, pump: Any, tmp_path: Path
) -> None:
    first = stage.submitted()
    requests.withdraw(by=stage.cast.olivia, request=first)
    (database.home / "keys" / "keystore.sqlite3").unlink()
    with contextlib.suppress(SearchRefused):
        requests.submit(by=stage.cast.olivia, request=requests.draft(by=stage.cast.olivia), fields=stage.fields())
    assert len({entry["key"] for entry in entries(absence.KEYED)}) == 2
    pump()
    call_command("state_absence", "2024-00009", str(tmp_path / "stated"))
    out = check(exported(tmp_path / "log"), "--absence", str(tmp_path / "stated"))
    assert out.count("nothing is shown about entry ") == 1
    assert "absence not shown: " in out
    assert "1 search entries for other cases" in out
