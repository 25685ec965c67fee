"""docs/reference/events.md, from the registry: what can be in the log, who writes it, and what is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from audit.log import events
from audit.log.events import Event

_SOURCES: Final = {
    "core": "People and agencies",
    "gate": "The gate",
    "search": "Cases and searches",
    "gallery": "Galleries",
    "model": "Face models",
    "evaluation": "Evaluations",
    "vault": "Sealed values",
    "log": "The log itself",
}
_WRITERS: Final = {
    "app": "web, worker, commands",
    "gate_owner": "the gate's functions in the database",
    "gallery_owner": "the galleries' functions in the database",
    "vault_owner": "the vault's functions in the database",
    "signer": "the signer",
    "notifier": "the notifier",
    "migrate": "migrations",
}
_KINDS: Final = {
    "id": "UUID as lower-case text",
    "ids": f"list of at most {events.MAX_LIST} UUIDs",
    "hash": "SHA-256 or similar, 64 lower-case hex digits",
    "nonce": "16 random bytes, 32 lower-case hex digits",
    "code": f"`^{events.CODE}$`",
    "bytes": "bytes as base64url without padding, at most 1400 characters",
    "codes": f"list of at most {events.MAX_LIST} codes",
    "int": "whole number between -(2^53-1) and 2^53-1; times in milliseconds since 1970, scores and thresholds in millionths",
    "bool": "true or false",
}


def markdown() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Events of the log"
    yield ""
    yield "Made from `audit/log/events.py` by `manage.py events_reference`; do not edit."
    yield ""
    yield (
        "An entry is one flat JSON object in canonical form (RFC 8785, ASCII only, at most "
        f"{events.MAX_ENTRY_BYTES} bytes). Its type is `source:subject:action`. The fields of a type are closed: the database "
        "refuses every other entry, and `glasscase-verify` looks again. Nothing personal stands in clear: people, cases and "
        "requests are UUIDs, and values that are personal are in `c` as salted commitments,"
    )
    yield ""
    yield '    commitment = SHA-256("glasscase/v1" 0x00 field 0x00 salt canonical-JSON(value))      salt: 32 random bytes'
    yield ""
    yield (
        "whose values and salts lie encrypted in the vault, under keys that are not in the database. Opening one is itself an "
        "entry (`vault:record:viewed`)."
    )
    yield ""
    yield "## Every entry"
    yield ""
    yield from _table(("field", "kind", "meaning"), _envelope())
    yield ""
    yield "## Kinds"
    yield ""
    yield from _table(("kind", "form"), ((f"`{name}`", form.replace("|", "\\|")) for name, form in _KINDS.items()))
    for source, title in _SOURCES.items():
        yield ""
        yield f"## {title}"
        for event in events.REGISTRY.values():
            if event.type.partition(":")[0] == source:
                yield from _event(event)


def _envelope() -> Iterator[tuple[str, str, str]]:
    meanings = {
        "v": "version of this form, 1",
        "type": "the event",
        "id": "of this entry",
        "at": "when it was written, at most 5 seconds from the database's clock",
        "nonce": "so that nobody can guess an entry from its hash",
        "actor": "the person who acted (optional)",
        "role": "the role in which the person acted, or `operator` for a command (optional)",
    }
    for name, kind in {**events.ENVELOPE, **events.ENVELOPE_OPTIONAL}.items():
        yield f"`{name}`", kind, meanings[name]
    yield "`c`", "object", "field -> commitment, where the event seals something (optional)"


def _event(event: Event) -> Iterator[str]:
    yield ""
    yield f"### `{event.type}`"
    yield ""
    yield f"{event.sentence} Written by {_WRITERS[event.writer]}."
    fields = [*_fields(event.fields, ""), *_fields(event.optional, "optional")]
    if fields or event.commits:
        yield ""
        sealed = [(f"`{name}`", "commitment", "sealed, optional") for name in event.commits]
        yield from _table(("field", "kind", ""), [*fields, *sealed])


def _fields(fields: Mapping[str, str], remark: str) -> Iterator[tuple[str, str, str]]:
    for name, kind in fields.items():
        yield f"`{name}`", kind, remark


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
