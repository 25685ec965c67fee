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
    "testing": "Independent testing",
    "oversight": "Findings of the oversight board",
    "vault": "Sealed values",
    "log": "The log itself",
}
_WRITERS: Final = {
    "app": "web, worker, commands",
    "gate_owner": "the gate's functions in the database",
    "gallery_owner": "the galleries' functions in the database",
    "vault_owner": "the vault's functions in the database",
    "signer": "the signer",
    "witness_client": "the process that asks witnesses",
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


# Point of Art. 12(3), what it asks for, and the fields of events that answer it; commitments are fields here.
ARTICLE_12: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("(a)", "start of the use", "search:intent:filed", "at"),
    ("(a)", "start of the comparison", "search:result:stored", "started"),
    ("(a)", "end of the use", "search:result:stored", "at"),
    ("(a)", "end of a use without result", "search:request:failed", "at reason"),
    ("(b)", "reference database", "search:intent:filed", "gallery edition model"),
    ("(b)", "its state when it was searched", "search:result:stored", "edition version templates"),
    ("(c)", "input data for which the search led to a match", "search:intent:filed", "photo box"),
    ("(c)", "input data as it was compared", "search:probe:bound", "embedding"),
    ("(c)", "what it led to", "search:result:stored", "candidates candidates_micro threshold k"),
    ("(d)", "natural persons involved: who asked", "search:intent:filed", "requester"),
    ("(d)", "natural persons involved: who approved", "search:request:approved", "approver approval_proof"),
    ("(d)", "natural persons involved: who read the candidates", "search:candidates:viewed", "viewer"),
    (
        "(d)",
        "who verified the results (Art. 14(5): at least two)",
        "search:review:concluded",
        "examiners outcome agreed",
    ),
)


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
    yield ""
    yield "## What the law asks of a log of searches"
    yield ""
    yield (
        "EU AI Act (Regulation (EU) 2024/1689), Art. 12(3), for remote biometric identification, and where each point stands. "
        "Entries of one use share `request`; whoever may open the vault reads the values behind commitments."
    )
    yield ""
    yield from _table(("point", "asked for", "event", "fields"), _legal())
    for source, title in _SOURCES.items():
        yield ""
        yield f"## {title}"
        for event in events.REGISTRY.values():
            if event.type.partition(":")[0] == source:
                yield from _event(event)


def _legal() -> Iterator[tuple[str, str, str, str]]:
    for point, asked, type_, fields in ARTICLE_12:
        yield point, asked, f"`{type_}`", ", ".join(f"`{name}`" for name in fields.split())


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
