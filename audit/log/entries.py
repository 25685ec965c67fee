"""Entries of the log: composed from an event's fields, in canonical bytes, with the openings of their commitments."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from audit.log import events, form
from audit.log.commitments import Opening


class EntryError(ValueError):
    """The entry does not follow the registry: a fault in the code that composed it."""


@dataclass(frozen=True)
class Entry:
    """One composed entry: its id, its canonical bytes, and the openings of what it commits to."""

    id: uuid.UUID
    body: bytes
    openings: tuple[Opening, ...]


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return value


def compose(
    type_: str,
    *,
    actor: uuid.UUID | None = None,
    role: str | None = None,
    openings: Iterable[Opening] = (),
    entry_id: uuid.UUID | None = None,
    nonce: str | None = None,
    **fields: Any,
) -> Entry:
    """The entry of an event now, under a fresh id and nonce unless they are given. Fields that are None are left out; UUIDs become text.

    Raises EntryError when the result does not follow the registry.
    """
    openings = tuple(openings)
    identity = entry_id or uuid.uuid4()
    entry: dict[str, Any] = {
        "v": events.VERSION,
        "type": type_,
        "id": str(identity),
        "at": time.time_ns() // 1_000_000,
        "nonce": nonce or secrets.token_hex(16),
    }
    for name, value in {"actor": actor, "role": role, **fields}.items():
        if value is not None:
            entry[name] = _plain(value)
    if openings:
        entry["c"] = {opening.field: opening.commitment for opening in openings}
    wrong = form.check(entry)
    if wrong is not None:
        raise EntryError(f"{type_}: {wrong}")
    return Entry(identity, rfc8785.dumps(entry), openings)


def params_digest(params: Mapping[str, Any]) -> bytes:
    """SHA-256 of the canonical JSON of an act's parameters: what an approval is given for (`log.digest` in SQL)."""
    return hashlib.sha256(rfc8785.dumps({name: _plain(value) for name, value in params.items()})).digest()
