"""The page about events is what the registry says, and names everything in it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.log import events
from audit.management.commands import events_reference
from audit.oversight import events_page


def test_the_committed_page_is_what_the_registry_says() -> None:
    call_command("events_reference", "--check")


def test_every_event_field_and_commitment_is_on_the_page() -> None:
    page = events_page.markdown()
    for event in events.REGISTRY.values():
        section = page.split(f"### `{event.type}`\n")[1].split("\n### ")[0].split("\n## ")[0]
        assert event.sentence in section
        for name in (*event.fields, *event.optional, *event.commits):
            assert f"| `{name}` |" in section, (event.type, name)


def test_a_page_that_is_out_of_date_fails_the_check(tmp_path: Any, settings: Any) -> None:
    settings.BASE_DIR = tmp_path
    place = tmp_path / events_reference.PAGE
    place.parent.mkdir(parents=True)
    out = io.StringIO()
    call_command("events_reference", stdout=out)
    place.write_text(out.getvalue())
    call_command("events_reference", "--check")
    place.write_text(out.getvalue() + "more\n")
    with pytest.raises(CommandError, match="make docs"):
        call_command("events_reference", "--check")


def test_every_field_that_answers_the_law_exists_and_is_always_there() -> None:
    for _, _, type_, fields in events_page.ARTICLE_12:
        event = events.REGISTRY[type_]
        assert set(fields.split()) <= {*event.fields, *events.ENVELOPE, *event.commits}, type_
    assert {point for point, *_ in events_page.ARTICLE_12} == {"(a)", "(b)", "(c)", "(d)"}
