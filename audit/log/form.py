"""The form of an entry: whether its bytes are canonical and follow the registry of event types.

No Django here: an outsider runs this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from audit.log.events import (
    ENVELOPE,
    ENVELOPE_OPTIONAL,
    LISTS,
    MAX_ENTRY_BYTES,
    MAX_INTEGER,
    MAX_LIST,
    REGISTRY,
    SCALARS,
    VERSION,
)


def _fits(kind: str, value: Any) -> bool:
    pattern = SCALARS.get(kind)
    if pattern is not None:
        return type(value) is str and pattern.fullmatch(value) is not None
    if kind == "int":
        return type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER
    if kind == "bool":
        return type(value) is bool
    return type(value) is list and len(value) <= MAX_LIST and all(_fits(LISTS[kind], item) for item in value)


def check(entry: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with a decoded entry, as a sentence; None when nothing is."""
    type_ = entry.get("type")
    event = REGISTRY.get(type_) if isinstance(type_, str) else None
    if event is None:
        return "the event type is not in the registry"
    if entry.get("v") != VERSION or type(entry["v"]) is not int:
        return "the version is not 1"
    expected = 0
    for fields, required in (
        (ENVELOPE, True),
        (event.fields, True),
        (ENVELOPE_OPTIONAL, False),
        (event.optional, False),
    ):
        for name, kind in fields.items():
            if name in entry:
                expected += 1
                if not _fits(kind, entry[name]):
                    return f"field {name} is not of kind {kind}"
            elif required:
                return f"field {name} is missing"
    commitments = entry.get("c")
    if commitments is not None:
        expected += 1
        if type(commitments) is not dict or not commitments:
            return "the commitments are not an object"
        for name, value in commitments.items():
            if name not in event.commits:
                return f"commitment {name} is not in the registry"
            if not _fits("hash", value):
                return f"commitment {name} is not a SHA-256"
    if expected != len(entry):
        return "a field is not in the registry"
    return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        raise ValueError("a key stands twice")
    return entry


# The largest integer has 16 digits; a pattern that ends there is the list of the places where a smaller one may part from it.
_MAX_DIGITS: Final = str(MAX_INTEGER)
_MAGNITUDE: Final = "|".join(
    [f"[1-9][0-9]{{0,{len(_MAX_DIGITS) - 2}}}", _MAX_DIGITS]
    + [
        f"{_MAX_DIGITS[:place]}[{1 if place == 0 else 0}-{int(digit) - 1}][0-9]{{{len(_MAX_DIGITS) - place - 1}}}"
        for place, digit in enumerate(_MAX_DIGITS)
        if int(digit) > (1 if place == 0 else 0)
    ]
)


def _pattern(kind: str) -> str:
    """What a value of the kind looks like in canonical bytes."""
    if kind in LISTS:
        item = _pattern(LISTS[kind])
        return rf"\[(?:{item}(?:,{item}){{0,{MAX_LIST - 1}}})?\]"
    if kind in SCALARS:
        return f'"{SCALARS[kind].pattern}"'
    return {"int": f"(?:0|-?(?:{_MAGNITUDE}))", "bool": "(?:true|false)"}[kind]


@cache
def _form(type_: str) -> re.Pattern[bytes]:
    """The canonical bytes of all entries of a type of the registry as one regular expression."""
    event = REGISTRY[type_]
    values = {name: _pattern(kind) for name, kind in {**ENVELOPE, **event.fields}.items()}
    values |= {"type": f'"{re.escape(event.type)}"', "v": str(VERSION)}
    optional = {name: _pattern(kind) for name, kind in {**ENVELOPE_OPTIONAL, **event.optional}.items()}
    if event.commits:
        # A comma stands before every commitment but the first, and there is at least one.
        commits = (rf'(?:(?:(?<={{)|(?<!{{),)"{name}":{_pattern("hash")})?' for name in sorted(event.commits))
        optional["c"] = rf"\{{(?!\}}){''.join(commits)}\}}"
    names = sorted({**values, **optional})
    first = min(
        values
    )  # `at` or an earlier one: what may be left out before it is followed by a comma, all after it preceded
    parts = []
    for name in names:
        before, after = ("", "," if name < first else "") if name <= first else (",", "")
        part = f'{before}"{name}":{(values | optional)[name]}{after}'
        parts.append(part if name in values else f"(?:{part})?")
    return re.compile(rf"\{{{''.join(parts)}\}}".encode())


_TYPE: Final = re.compile(rb'"type":"([a-z0-9_.:-]{1,80})"')


def problem(body: bytes) -> str | None:
    """What is wrong with the bytes of an entry, as a sentence; None when they are canonical and follow the registry.

    An entry that is right is known by one regular expression of its type; a wrong one is taken apart to say what is wrong.
    """
    found = _TYPE.search(body)
    type_ = found[1].decode("ascii") if found else ""
    if type_ in REGISTRY and len(body) <= MAX_ENTRY_BYTES and _form(type_).fullmatch(body):
        return None
    return explained(body)


def explained(body: bytes) -> str | None:
    """As `problem`, by reading the entry as JSON: several times slower.

    Entries hold only ASCII strings over a closed alphabet, integers within ±(2^53-1), booleans, lists and one object, so
    sorted keys and compact separators are the canonical form of RFC 8785.
    """
    if len(body) > MAX_ENTRY_BYTES:
        return f"the entry is longer than {MAX_ENTRY_BYTES} bytes"
    try:
        entry = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return "the entry is not a JSON object with unique keys"
    if not isinstance(entry, dict):
        return "the entry is not a JSON object"
    wrong = check(entry)
    if wrong is not None:
        return wrong
    if json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() != body:
        return "the entry is not in canonical form"
    return None
