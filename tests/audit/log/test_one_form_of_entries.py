"""Three checks of an entry's bytes accept the same ones: by regular expression, by reading the JSON, and by the database.

`explained` reads the entry as JSON and is the plain definition; the other two are quick. Right entries of every type are
spoiled in all the ways that a forger or a careless program would.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.log.events import ENVELOPE_OPTIONAL, LISTS, MAX_ENTRY_BYTES, MAX_INTEGER, REGISTRY, Event
from audit.log.form import explained, problem
from tests.audit.log.test_canonical_entries import JSON, KINDS, allowed

Change = Callable[[st.DataObject, dict[str, Any], bytes], bytes]


def _canonical(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


def _name(data: st.DataObject, entry: dict[str, Any]) -> str:
    return data.draw(st.sampled_from(sorted(entry)))


def _another_value(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    value = data.draw(st.one_of(JSON, st.sampled_from([2**53, -(2**53), 10**15, 10**16, 1.0, "", "A", "a" * 81, None])))
    return _canonical(entry | {_name(data, entry): value})


def _value_of_another_kind(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    return _canonical(entry | {_name(data, entry): data.draw(KINDS[data.draw(st.sampled_from(sorted(KINDS)))])})


def _longer_or_shorter(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    name = _name(data, entry)
    value = entry[name]
    if isinstance(value, list):
        item = value[0] if value else "officer"
        return _canonical(entry | {name: [item] * data.draw(st.integers(0, 70))})
    if isinstance(value, str):
        return _canonical(
            entry | {name: data.draw(st.sampled_from([value[:-1], value + value[-1:], value.upper(), f"{value}\n"]))}
        )
    return _canonical(entry | {name: data.draw(st.integers(-(10**17), 10**17))})


def _without_a_field(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    name = _name(data, entry)
    return _canonical({key: value for key, value in entry.items() if key != name})


def _with_a_field_too_many(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    name = data.draw(st.sampled_from(["c", "extra", "actor", "role", "user", "zz", "", "a", "type2", "At"]))
    value = data.draw(st.sampled_from([1, True, "a", "0" * 64, [], {}, {"username": "0" * 64}, {"note": 1}, None]))
    return _canonical({name: value} | entry)


def _other_commitments(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    names = [*REGISTRY[entry["type"]].commits, "c", "type", "value"]
    values = st.sampled_from(["0" * 64, "0" * 63, "0" * 65, "G" * 64, 1, None, ["0" * 64]])
    return _canonical(entry | {"c": data.draw(st.dictionaries(st.sampled_from(names), values, max_size=4))})


def _another_type(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    return _canonical(entry | {"type": data.draw(st.sampled_from([*sorted(REGISTRY), "core:user:vanished"]))})


def _another_order(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    names = data.draw(st.permutations(sorted(entry)))
    return json.dumps({name: entry[name] for name in names}, separators=(",", ":")).encode()


def _commitments_in_another_order(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    changed = dict(sorted(entry.items()))
    if isinstance(changed.get("c"), dict):
        changed["c"] = dict(data.draw(st.permutations(sorted(changed["c"].items()))))
    return json.dumps(changed, separators=(",", ":")).encode()


def _a_field_twice(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    name = _name(data, entry)
    written = f'"{name}":{json.dumps(entry[name], separators=(",", ":"))}'.encode()
    return body.replace(written, written + b"," + written, 1)


def _spaced(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    places = [at for at, byte in enumerate(body) if byte in b'{}[]:,"']
    at = data.draw(st.sampled_from(places))
    return body[:at] + data.draw(st.sampled_from([b" ", b"\t", b"\n", b"\r", b"\0", b"\xc2\xa0"])) + body[at:]


def _escaped(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    at = data.draw(st.integers(0, len(body) - 1))
    return body[:at] + b"\\u%04x" % body[at] + body[at + 1 :]


def _another_number(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    name = data.draw(st.sampled_from([name for name, value in entry.items() if type(value) is int]))
    form = data.draw(
        st.sampled_from([b"%d.0", b"%de0", b"0%d", b"-%d", b"+%d", b"%d0", b"%dE+1", b"%de400", b"-0", b"%d."])
    )
    digits = form % abs(entry[name]) if b"%" in form else form
    return body.replace(f'"{name}":{entry[name]}'.encode(), f'"{name}":'.encode() + digits, 1)


def _bytes_changed(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 3)))
    alphabet = st.sampled_from([*sorted(set(body)), 0, 0x20, 0x5C, 0x80, 0xC3, 0xFF])
    return body[:start] + bytes(data.draw(st.lists(alphabet, max_size=3))) + body[end:]


def _as_it_was(data: st.DataObject, entry: dict[str, Any], body: bytes) -> bytes:
    return body


CHANGES: list[Change] = [
    _as_it_was,
    _another_value,
    _value_of_another_kind,
    _longer_or_shorter,
    _without_a_field,
    _with_a_field_too_many,
    _other_commitments,
    _another_type,
    _another_order,
    _commitments_in_another_order,
    _a_field_twice,
    _spaced,
    _escaped,
    _another_number,
    _bytes_changed,
]


# One time in all examples: what is drawn depends on the bytes, and the same choices have to give the same draws.
WRITTEN = 1_764_000_000_000


def _now() -> int:
    return time.time_ns() // 1_000_000


def _spoiled(data: st.DataObject) -> bytes:
    entry = data.draw(allowed())
    entry["at"] = WRITTEN
    return data.draw(st.sampled_from(CHANGES))(data, entry, rfc8785.dumps(entry))


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_the_quick_check_accepts_what_the_plain_one_accepts(data: st.DataObject) -> None:
    body = _spoiled(data)
    assert problem(body) == explained(body)


@given(allowed())
@settings(max_examples=100, deadline=None)
def test_a_right_entry_is_known_without_reading_its_json(entry: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "loads", None)
        assert problem(rfc8785.dumps(entry)) is None


def _accepted(database: psycopg.Connection, body: bytes, writer: str) -> bool:
    """Whether the database takes the bytes as an entry, whatever the time in them; nothing of it stays."""
    try:
        with database.transaction(force_rollback=True):
            database.execute("SELECT log.accept(%s, %s)", [body, writer])
    except psycopg.Error as refused:
        if refused.sqlstate not in ("GC422", "GC403"):
            raise
        return "the database clock" in str(refused)
    return True


def test_the_database_accepts_what_the_plain_check_accepts(as_superuser: psycopg.Connection) -> None:
    as_superuser.execute("SET search_path = pg_catalog, pg_temp")
    seen = {True: 0, False: 0}

    @given(st.data())
    @settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def agree(data: st.DataObject) -> None:
        body = _spoiled(data).replace(b"%d" % WRITTEN, b"%d" % _now())
        try:
            event: Event | None = REGISTRY.get(json.loads(body).get("type"))
        except (ValueError, AttributeError, TypeError, RecursionError):
            event = None
        right = explained(body) is None
        seen[right] += 1
        assert _accepted(as_superuser, body, event.writer if event else "app") is right, body

    agree()
    assert min(seen.values()) > 50, seen


EDGES = [0, 1, -1, 10**14, 10**15 - 1, 10**15, 10**16 - 1, 10**16, MAX_INTEGER, MAX_INTEGER + 1]


def test_the_three_agree_where_integers_end(as_superuser: psycopg.Connection) -> None:
    entry = {"v": 1, "type": "log:entries:viewed", "id": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "nonce": "0" * 32}
    for number in {sign * (edge + off) for edge in EDGES for off in (-1, 0, 1) for sign in (1, -1)}:
        body = _canonical(entry | {"at": _now(), "first": number, "last": 0})
        right = abs(number) <= MAX_INTEGER
        assert (problem(body) is None, explained(body) is None) == (right, right), number
        assert _accepted(as_superuser, body, "app") is right, number


@pytest.mark.parametrize("length", [MAX_ENTRY_BYTES, MAX_ENTRY_BYTES + 1])
def test_the_three_agree_where_entries_end(as_superuser: psycopg.Connection, length: int) -> None:
    fields = {**REGISTRY["search:request:refused"].fields, **ENVELOPE_OPTIONAL}
    assert [kind for kind in fields.values() if kind in LISTS], "a list is what makes an entry long"
    entry: dict[str, Any] = {"v": 1, "type": "search:request:refused", "nonce": "0" * 32, "law_pack": "a"}
    entry |= {"id": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "at": _now(), "reasons": []}
    while length - len(_canonical(entry)) > 83:
        entry["reasons"].append("b" * 80)
    entry["law_pack"] = "a" * (1 + length - len(_canonical(entry)))
    body = _canonical(entry)
    assert len(body) == length
    right = length <= MAX_ENTRY_BYTES
    assert (problem(body) is None, explained(body) is None) == (right, right)
    assert _accepted(as_superuser, body, "app") is right
