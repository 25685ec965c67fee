"""Entries as sentences: every event type has one, it names no field that does not exist, and nothing sealed."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from audit.log import entries, events
from audit.oversight.sentences import TEMPLATES, Names, mentioned, sentence, value, when, who

SAMPLES: dict[str, Any] = {
    "id": str(uuid.UUID(int=7)),
    "ids": [str(uuid.UUID(int=8)), str(uuid.UUID(int=9))],
    "hash": "ab" * 32,
    "code": "missing_case",
    "bytes": "MEUCIQ",
    "codes": ["missing_case", "closed"],
    "int": 590_000,
    "bool": True,
}


def entry(type_: str, *, optional: bool) -> dict[str, Any]:
    event = events.REGISTRY[type_]
    fields = {**event.fields, **(event.optional if optional else {})}
    composed = entries.compose(type_, **{name: SAMPLES[kind] for name, kind in fields.items()})
    found: dict[str, Any] = json.loads(composed.body)
    return found


@pytest.mark.parametrize("type_", sorted(events.REGISTRY))
@pytest.mark.parametrize("optional", [False, True])
def test_every_event_says_one_whole_sentence(type_: str, optional: bool) -> None:
    said = sentence(entry(type_, optional=optional), Names())
    assert re.fullmatch(r"[A-Z0-9].*[^ ]\.", said), said
    assert not set("[]{}") & set(said)
    assert "  " not in said
    assert not re.search(" [.,]", said), said


@pytest.mark.parametrize("type_", sorted(TEMPLATES))
def test_a_template_names_fields_of_its_event_only(type_: str) -> None:
    event = events.REGISTRY[type_]
    template = TEMPLATES[type_]
    outside = set(re.findall(r"\{(\w+)\}", re.sub(r"\[[^\]]*\]", "", template)))
    assert outside <= set(event.fields)
    assert set(re.findall(r"\{(\w+)\}", template)) <= set(event.fields) | set(event.optional)


def test_people_cases_and_galleries_are_named_where_the_reader_may_know_them() -> None:
    one = entry("search:request:submitted", optional=True)
    known = Names(
        people={one["requester"]: "Olivia Orr"},
        cases={one["case"]: "RV-2026-0042"},
        galleries={one["gallery"]: "County"},
    )
    assert sentence(one, known).startswith("Olivia Orr requested a search of the gallery County in case RV-2026-0042:")
    assert "threshold 0.59" in sentence(one, known)
    assert sentence(one, Names()).startswith("Person 00000000 requested a search of gallery 00000000 in case 00000000:")


def test_who_acted_is_said_role_first() -> None:
    person = str(uuid.uuid4())
    signed = {"type": "core:user:signed_in", "actor": person, "role": "board"}
    assert who(signed, Names(people={person: "Bea Byrne"})) == "Oversight board Bea Byrne"
    assert who({"type": "core:user:added", "role": "operator"}, Names()) == "Operator"
    assert who({"type": "search:probe:bound"}, Names()) == "Gate"
    assert who({"type": "search:request:failed"}, Names()) == "Application"


def test_an_unknown_event_is_said_to_be_unknown() -> None:
    assert "unknown type" in sentence({"type": "from:the:future"}, Names())


def test_values_are_written_for_people() -> None:
    assert value("threshold", 612_500, Names()) == "0.6125"
    assert value("expires", 1_777_817_100_000, Names()) == "3 May 2026, 14:05 UTC"
    assert when(1_777_817_109_000) == "3 May 2026, 14:05:09"
    assert value("roles", [], Names()) == "none"
    assert mentioned([{"approvers": SAMPLES["ids"]}, {"user": SAMPLES["id"]}, {}], "approvers", "user") == {
        uuid.UUID(int=number) for number in (7, 8, 9)
    }
