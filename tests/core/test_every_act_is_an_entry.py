"""No address and no command changes something without an entry: whoever adds one says which entry, or why none."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from audit.log import events
from search import cases
from tests import acts
from tests.core.access_table import TABLE
from tests.people import Cast

ROOT = Path(__file__).resolve().parents[2]


def test_every_address_that_changes_something_says_which_entry_it_leaves() -> None:
    unsafe = {key for key in TABLE if key.rpartition(" ")[2] in acts.UNSAFE}
    assert unsafe - acts.ACTS.keys() - acts.NOTHING.keys() == set()
    assert (acts.ACTS.keys() | acts.NOTHING.keys()) - unsafe == set()
    assert acts.ACTS.keys() & acts.NOTHING.keys() == set()


def test_every_command_says_which_entry_it_leaves() -> None:
    assert acts.modules(ROOT) == acts.COMMANDS.keys() | acts.COMMANDS_OF_NOTHING.keys()
    assert acts.COMMANDS.keys() & acts.COMMANDS_OF_NOTHING.keys() == set()


def test_the_events_are_those_of_the_registry_and_nothing_is_left_out_without_a_word() -> None:
    named = {event for row in (*acts.ACTS.values(), *acts.COMMANDS.values()) for event in row}
    assert named <= events.REGISTRY.keys()
    assert all(acts.ACTS.values())
    assert all(len(why) > 5 for why in (*acts.NOTHING.values(), *acts.COMMANDS_OF_NOTHING.values()))


def test_every_event_of_the_registry_is_written_somewhere() -> None:
    sources = [
        file.read_text()
        for app in ("core", "search", "audit")
        for file in (ROOT / app).rglob("*")
        if file.suffix in {".py", ".sql"}
        and file.stem not in {"events", "sentences"}
        and not file.stem.startswith("events_of_")
    ]
    # In the vocabulary, and nothing of the product does it yet.
    reserved = {
        "gallery:gallery:viewed",
        "search:policy:viewed",
    }
    # Some are put together from a state: f"evaluation:run:{…}".
    unwritten = {
        type_
        for type_ in events.REGISTRY
        if not any(type_ in source or f'"{type_.rpartition(":")[0]}:{{' in source for source in sources)
    }
    assert unwritten <= reserved


def test_an_act_without_its_entry_fails_the_test_that_does_it(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cases.open_case(by=cast.oscar, number="2026-00163", offence="robbery")
    client.force_login(cast.sam)
    monkeypatch.setattr(cases.journal, "record", lambda *args, **fields: None)
    with pytest.raises(AssertionError, match=r"case_confirm POST succeeded and left none of"):
        client.post(reverse("case_confirm", args=[case.pk]))


def test_an_act_that_no_row_names_fails_the_test_that_does_it(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cases.open_case(by=cast.oscar, number="2026-00163", offence="robbery")
    client.force_login(cast.sam)
    monkeypatch.delitem(acts.ACTS, "case_confirm POST")
    with pytest.raises(AssertionError, match=r"say in tests/acts\.py"):
        client.post(reverse("case_confirm", args=[case.pk]))
