"""The standard library's canonical form of entries against the `rfc8785` package."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.log.events import ENVELOPE_OPTIONAL, MAX_LIST, REGISTRY
from audit.log.form import problem

SAFE = 2**53 - 1

KINDS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.uuids(version=4).map(str),
    "hash": st.binary(min_size=32, max_size=32).map(bytes.hex),
    "nonce": st.binary(min_size=16, max_size=16).map(bytes.hex),
    "code": st.from_regex(r"[a-z0-9][a-z0-9_.:-]{0,79}", fullmatch=True),
    "bytes": st.from_regex(r"[A-Za-z0-9_-]{1,90}", fullmatch=True),
    "int": st.integers(-SAFE, SAFE),
    "bool": st.booleans(),
}
KINDS["ids"] = st.lists(KINDS["id"], max_size=5)
KINDS["codes"] = st.lists(KINDS["code"], max_size=5)


@st.composite
def allowed(draw: st.DrawFn) -> dict[str, Any]:
    """Any entry that the vocabulary allows."""
    event = REGISTRY[draw(st.sampled_from(sorted(REGISTRY)))]
    entry = {
        "v": 1,
        "type": event.type,
        "id": draw(KINDS["id"]),
        "at": draw(KINDS["int"]),
        "nonce": draw(KINDS["nonce"]),
        **{name: draw(KINDS[kind]) for name, kind in event.fields.items()},
        **{
            name: draw(KINDS[kind])
            for name, kind in {**ENVELOPE_OPTIONAL, **event.optional}.items()
            if draw(st.booleans())
        },
    }
    if event.commits and (names := draw(st.sets(st.sampled_from(event.commits)))):
        entry["c"] = {name: draw(KINDS["hash"]) for name in names}
    return entry


@given(allowed())
@settings(max_examples=150, deadline=None)
def test_what_rfc8785_writes_is_accepted_and_nothing_written_otherwise(entry: dict[str, Any]) -> None:
    assert problem(rfc8785.dumps(entry)) is None
    for otherwise in (
        json.dumps(entry, sort_keys=True).encode(),
        json.dumps(dict(sorted(entry.items(), reverse=True)), separators=(",", ":")).encode(),
        rfc8785.dumps(entry) + b"\n",
        b"\xef\xbb\xbf" + rfc8785.dumps(entry),
        rfc8785.dumps(entry).decode().encode("utf-16-le"),
        rfc8785.dumps(entry).replace(b'"nonce"', b'"\\u006eonce"'),
        rfc8785.dumps(entry).replace(b'"v":1', b'"v":1.0'),
        rfc8785.dumps(entry).replace(b'"v":1', b'"v":1e0'),
        rfc8785.dumps(entry).replace(b'"v":1', b'"v":01'),
    ):
        assert problem(otherwise) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=80), JSON.map(lambda value: json.dumps(value).encode())))
@settings(max_examples=150, deadline=None)
def test_no_bytes_whatever_make_the_check_fail_instead_of_answering(body: bytes) -> None:
    assert isinstance(problem(body), str)


@given(allowed(), st.data())
@settings(max_examples=150, deadline=None)
def test_no_value_in_a_field_makes_the_check_fail_and_what_it_accepts_is_canonical(
    entry: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(entry)))
    body = json.dumps(entry | {name: data.draw(JSON)}, sort_keys=True, separators=(",", ":")).encode()
    if problem(body) is None:
        assert rfc8785.dumps(json.loads(body)) == body


@pytest.mark.parametrize("number", [SAFE, -SAFE])
@pytest.mark.parametrize(("beyond", "accepted"), [(0, True), (1, False)])
def test_integers_end_where_rfc8785_ends_them(number: int, beyond: int, accepted: bool) -> None:
    value = number + (beyond if number > 0 else -beyond)
    entry: dict[str, Any] = {
        "v": 1,
        "type": "log:entries:viewed",
        "id": str(uuid.UUID(int=1)),
        "at": 1,
        "nonce": "0" * 32,
        "first": value,
        "last": 0,
    }
    body = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    assert (problem(body) is None) is accepted
    if accepted:
        assert rfc8785.dumps(entry) == body
    else:
        with pytest.raises(rfc8785.IntegerDomainError):
            rfc8785.dumps(entry)


def test_lists_end_somewhere() -> None:
    entry: dict[str, Any] = {
        "v": 1,
        "type": "core:user:roles_changed",
        "id": str(uuid.UUID(int=1)),
        "at": 1,
        "nonce": "0" * 32,
        "user": str(uuid.UUID(int=2)),
        "roles": ["officer"] * MAX_LIST,
        "previous": [],
    }
    assert problem(rfc8785.dumps(entry)) is None
    entry["roles"] = ["officer"] * (MAX_LIST + 1)
    assert problem(rfc8785.dumps(entry)) is not None
