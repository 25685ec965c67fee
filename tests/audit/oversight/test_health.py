"""The state of the log as the header says it: healthy while quiet, late when a process stands still, honest when down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections

from audit.log import journal, sequencer
from audit.oversight import health
from audit.oversight.health import Health, duration

NOW = datetime(2026, 5, 3, 14, 5, tzinfo=UTC)


def test_a_fresh_log_is_healthy(database: Any) -> None:
    found = health.state()
    assert found.is_healthy
    assert (found.state, found.line) == ("good", "nothing to sign yet")


def test_a_signed_log_is_healthy_and_says_when(database: Any, pump: Any) -> None:
    journal.record_now("log:entries:viewed")
    pump()
    found = health.state()
    assert (found.size, found.signed, found.waiting, found.unsigned) == (1, 1, 0, 0)
    assert found.line.startswith("signed ")
    assert found.state == "good"


def test_entries_on_their_way_are_no_fault(database: Any, as_role: Any) -> None:
    journal.record_now("log:entries:viewed")
    assert (health.state().waiting, health.state().state) == (1, "good")
    sequencer.step(as_role("sequencer"))
    assert (health.state().unsigned, health.state().state) == (1, "good")


def test_it_is_one_query(database: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        health.state()


def test_a_frozen_log_is_bad(database: Any, as_role: Any) -> None:
    as_role("signer").execute("SELECT logwork.freeze('The tree does not extend the signed one.')")
    found = health.state()
    assert found.state == "bad"
    assert "frozen" in found.line
    assert "does not extend" in found.problems[0]


def test_a_log_that_was_cut_back_contradicts_its_checkpoint(
    database: Any, pump: Any, as_superuser: psycopg.Connection
) -> None:
    journal.record_now("log:entries:viewed")
    pump()
    as_superuser.execute("ALTER EVENT TRIGGER glasscase_refuse_alter DISABLE")
    as_superuser.execute("ALTER TABLE logwork.head DISABLE TRIGGER forward")
    for change, sentence in (("root = sha256('other')", "not the one that was signed"), ("size = 0", "are missing")):
        as_superuser.execute(f"UPDATE logwork.head SET {change}")
        found = health.state()
        assert found.state == "bad"
        assert sentence in found.problems[0]


def test_a_database_that_does_not_answer_is_a_state(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connections.close_all()
    monkeypatch.setitem(connections.settings["default"], "NAME", "no_such_database")
    found = health.state()
    assert (found.reachable, found.state, found.line) == (False, "bad", "out of reach")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Health(now=NOW, waiting=3, loose_seconds=90), "3 entries wait 1 min for a signature"),
        (Health(now=NOW, size=1, unsigned_seconds=12), "1 entry waits 12 s for a signature"),
    ],
)
def test_a_process_that_stands_still_is_a_warning(found: Health, said: str) -> None:
    assert (found.state, found.line) == ("warn", said)


def test_an_old_signature_alone_is_no_fault() -> None:
    found = Health(now=NOW, size=5, signed=5, signed_at=NOW - timedelta(days=3))
    assert (found.state, found.line) == ("good", "signed 3 days ago")


@pytest.mark.parametrize(("seconds", "said"), [(4, "4 s"), (200, "3 min"), (7300, "2 h"), (200000, "2 days")])
def test_lengths_of_time_in_the_largest_unit(seconds: int, said: str) -> None:
    assert duration(seconds) == said
