"""The registry stands twice, in Python and in the database; these tests keep the two the same."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from audit.log import entries, events, form, registry

ID = "3f2b8c1e-0a4d-4e7b-9c55-1d2e3f4a5b6c"
SAMPLES: dict[str, list[Any]] = {
    "int": [0, 7, -1, 2**53 - 1, 2**53, -(2**53), "7", True, [1], 10**20],
    "bool": [True, False, 0, "true", [True]],
    "id": [ID, ID.upper(), ID[:-1], ID + "0", ID + "\n", 7, "x" * 36],
    "hash": ["a" * 64, "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", 7],
    "nonce": ["0" * 32, "0" * 31, "g" * 32],
    "code": ["a", "a-b.c:d_9", "", "-a", "A", "a" * 80, "a" * 81, "a b", "a\n", "é", 7],
    "bytes": ["a", "A-_9", "", "a=", "a+b", "a/b", "a b", "a\n", "é", "a" * 1400, "a" * 1401, 7],
    "ids": [[], [ID], [ID, ID], [7], ID, [ID] * 64, [ID] * 65],
    "codes": [[], ["a"], ["A"], "a", ["a", 7], ["a"] * 65],
}


def test_every_type_has_three_parts_and_a_known_writer() -> None:
    for event in events.REGISTRY.values():
        assert len(event.type.split(":")) == 3
        assert event.writer in events.WRITERS
        assert event.sentence.endswith(".")
        reserved = {*events.ENVELOPE, *events.ENVELOPE_OPTIONAL, "c"}
        assert not reserved & {*event.fields, *event.optional}
        known = {*events.SCALARS, *events.LISTS, "int", "bool"}
        assert set(event.fields.values()) | set(event.optional.values()) <= known


def test_the_database_holds_the_same_registry(as_superuser: psycopg.Connection) -> None:
    stored = as_superuser.execute("SELECT type, writer, fields, required, commits FROM log.event_type").fetchall()
    expected = {row[0]: (row[1], json.loads(row[2]), row[3], row[4]) for row in registry.rows()}
    assert {row[0]: tuple(row[1:]) for row in stored} == expected


@pytest.mark.parametrize("kind", SAMPLES)
def test_python_and_the_database_agree_on_every_kind(as_superuser: psycopg.Connection, kind: str) -> None:
    for value in SAMPLES[kind]:
        row = as_superuser.execute("SELECT log.fits(%s, %s::jsonb)", [kind, json.dumps(value)]).fetchone()
        assert row is not None
        assert bool(row[0]) == form._fits(kind, value), value


def test_python_and_the_database_agree_on_canonical_bytes(as_superuser: psycopg.Connection) -> None:
    entry = entries.compose("core:user:roles_changed", user=ID, roles=["officer"], previous=[], role="a")
    row = as_superuser.execute("SELECT log.canonical(convert_from(%s, 'UTF8')::jsonb)", [entry.body]).fetchone()
    assert row is not None
    assert row[0].encode() == entry.body


def _changed(**changes: Any) -> bytes:
    entry = json.loads(entries.compose("core:user:signed_in", user=ID).body)
    entry.update(changes)
    return json.dumps({k: v for k, v in entry.items() if v is not None}, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"not json",
        b"\xff\xfe",
        _changed(type="core:user:vanished"),
        _changed(user=None),
        _changed(user="somebody"),
        _changed(v=2),
        _changed(v=True),
        _changed(at="now"),
        _changed(at=1.5),
        _changed(extra="x"),
        _changed(nonce="short"),
        _changed(c={}),
        _changed(c={"username": "a" * 64}),
        _changed(c="a" * 64),
        _changed() + b" ",
        _changed().replace(b",", b", ", 1),
        _changed().replace(b'"v":1}', b'"v":1,"v":1}'),
        _changed().replace(b'"v":1', b'"v":1e0'),
        _changed().replace(b'"v":1', b'"v":1.0'),
        _changed().replace(b"core:user", b"core\\u003auser"),
        b'{"v":1' + b"," * 5000,
    ],
    ids=range(24),
)
def test_a_wrong_entry_is_refused_by_python_and_by_the_database(mallory: psycopg.Connection, body: bytes) -> None:
    assert form.problem(body) is not None
    with pytest.raises(psycopg.Error) as refused:
        mallory.execute("SELECT log.append(%s)", [body])
    assert refused.value.sqlstate in {"GC422", "GC403"}
    assert mallory.execute("SELECT count(*) FROM log.entry").fetchone() == (0,)


def test_a_right_entry_is_accepted_by_both(mallory: psycopg.Connection) -> None:
    body = _changed()
    assert form.problem(body) is None
    mallory.execute("SELECT log.append(%s)", [body])
    assert mallory.execute("SELECT body FROM log.entry").fetchall() == [(body,)]
