"""Statements of absence: that no search for a case stands in a part of the log, without saying which case any other one is for.

Each search entry carries `case_tag = SHA-256(label signature)`, where `signature` is the one RSA signature over the entry's
nonce and the canonical case number (`audit.log.case_numbers`) under the key whose hash is `case_key`. Only the holder of the
key can make it, and for one message there is only one (`audit.log.rsa`), whoever made the key. A statement brings, for one
case number and each search entry of a range, that signature: whoever checks it computes the tag that the entry would have if
it were for the case, and compares.

What is counted as absent was compared. An entry that cannot be compared is listed, never passed over: one without a tag, or
a search whose intent stands outside the range. No Django here: an outsider runs this.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from audit.log import case_numbers, rsa

FORMAT: Final = "glasscase-absence/v1"
LABEL: Final = b"glasscase/case-tag/v1\0"
KEYED: Final = "log:absence:keyed"
# What says that a search was asked for, and about which case.
TAGGED: Final = ("search:request:submitted", "search:request:refused", "search:intent:filed")
# What says that a search was run; the case is that of the request's intent.
RUN: Final = ("search:probe:bound", "search:result:stored", "search:result:replayed")
_MEMBERS: Final = {"format", "origin", "case_number", "first", "last", "keys", "signatures"}
LONGEST_NUMBER: Final = 1000  # characters


class StatementError(ValueError):
    """The statement is malformed, or does not fit the log."""


def message(number: str, nonce: str) -> bytes:
    """What is signed for a canonical case number and an entry's nonce (32 hex digits)."""
    return LABEL + bytes.fromhex(nonce) + number.encode()


def tag(signature: bytes) -> str:
    """The tag that an entry carries, 64 hex digits."""
    return sha256(LABEL + signature).hexdigest()


@dataclass(frozen=True)
class Key:
    """A public key and the roots that show that it is fit."""

    modulus: int
    roots: tuple[int, ...]

    @property
    def hash(self) -> str:
        return rsa.key_hash(self.modulus)


@dataclass(frozen=True)
class Statement:
    """What was stated: for `case_number` and the entries `first` to `last` (both included), a signature by entry index."""

    origin: str
    case_number: str
    first: int
    last: int
    keys: Mapping[str, Key]
    signatures: Mapping[int, bytes]

    def encode(self) -> bytes:
        """The file: JSON, ASCII, one line."""
        document = {
            "format": FORMAT,
            "origin": self.origin,
            "case_number": self.case_number,
            "first": self.first,
            "last": self.last,
            "keys": [
                {
                    "modulus": _encode(rsa.modulus_bytes(key.modulus)),
                    "roots": [_encode(rsa.modulus_bytes(root)) for root in key.roots],
                }
                for _, key in sorted(self.keys.items())
            ],
            "signatures": {str(index): _encode(signature) for index, signature in sorted(self.signatures.items())},
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """Raises StatementError for everything that `encode` would not write, and for a key that is not fit."""
        try:
            document = json.loads(data, object_pairs_hook=_unique)
            if set(document) != _MEMBERS or document["format"] != FORMAT:
                raise ValueError
            number, first, last = document["case_number"], document["first"], document["last"]
            whole = type(first) is int and type(last) is int and 0 <= first <= last
            if not (isinstance(document["origin"], str) and isinstance(number, str) and whole):
                raise ValueError
            if len(number) > LONGEST_NUMBER or not number or case_numbers.canonical(number) != number:
                raise StatementError("the case number of the statement is not in its canonical form")
            keys = [
                Key(_integer(one.pop("modulus")), tuple(map(_integer, one.pop("roots")))) for one in document["keys"]
            ]
            if any(document["keys"]):  # something else stands there
                raise ValueError
            signatures = {_index(index): _decode(text) for index, text in document["signatures"].items()}
        except StatementError:
            raise
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            raise StatementError("the statement is not of the form that Glasscase writes") from None
        for key in keys:
            if not rsa.is_fit(key.modulus, key.roots):
                raise StatementError(
                    "a key of the statement is not shown to be fit: its signatures might not be unique"
                )
        return cls(document["origin"], number, first, last, {key.hash: key for key in keys}, signatures)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
    if _encode(data) != text:
        raise ValueError
    return data


def _integer(text: Any) -> int:
    return int.from_bytes(_decode(text), "big")


def _index(text: str) -> int:
    index = int(text)
    if str(index) != text or index < 0:
        raise ValueError
    return index


@dataclass
class Reading:
    """Reads the log's entries in order, bundle by bundle, and remembers what a statement is about."""

    statement: Statement
    searches: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    announced: dict[str, int] = field(default_factory=dict)

    def __call__(self, start: int, bodies: Sequence[bytes]) -> None:
        for index, body in enumerate(bodies, start):
            # Almost every other entry is told apart without decoding it.
            if b'"type":"search:' in body or KEYED.encode() in body:
                entry = json.loads(body)
                if entry.get("type") == KEYED:
                    self.announced.setdefault(entry["key"], index)
                elif entry.get("type") in TAGGED or entry.get("type") in RUN:
                    self.searches.append((index, entry))

    def outcome(self, origin: str, size: int) -> Outcome:
        """What the statement shows, once the log was checked as a whole. Raises StatementError."""
        return _judge(self, origin, size)


@dataclass
class Outcome:
    """`compared` search entries do not belong to the case, `of_case` do; `open` could not be compared, with the reason.

    `numberless` are refusals of requests in which no case number was given.
    """

    statement: Statement
    compared: int = 0
    numberless: int = 0
    of_case: list[tuple[int, str]] = field(default_factory=list)
    open: list[tuple[int, str]] = field(default_factory=list)

    @property
    def is_absent(self) -> bool:
        return not self.of_case and not self.open

    def lines(self) -> list[str]:
        """The result in words."""
        stated = self.statement
        where = f"case {json.dumps(stated.case_number)}, entries {stated.first} to {stated.last}"
        found = [f"entry {index} is for this case: {type_}" for index, type_ in self.of_case]
        found += [f"nothing is shown about entry {index}: {reason}" for index, reason in self.open]
        compared = f"{self.compared} search entries for other cases"
        if self.numberless:
            compared += f", {self.numberless} refusals without a case number"
        if self.is_absent:
            return [f"absence shown: no search for {where}; {compared}"]
        return [*found, f"absence not shown: {where}; {len(self.of_case)} for it, {len(self.open)} open; {compared}"]


def _judge(reading: Reading, origin: str, size: int) -> Outcome:
    stated = reading.statement
    if stated.origin != origin:
        raise StatementError(f"the statement is about another log, {stated.origin!r}")
    if stated.last >= size:
        raise StatementError(f"the statement reaches to entry {stated.last}, and the log has {size} entries")
    outcome = Outcome(stated)
    used: set[int] = set()
    others: list[tuple[int, Mapping[str, Any]]] = []
    intents: set[str] = set()
    in_range = [(index, entry) for index, entry in reading.searches if stated.first <= index <= stated.last]
    for index, entry in in_range:
        if entry["type"] in RUN:
            continue
        if "case_tag" not in entry or "case_key" not in entry:
            if _names_no_case(entry):
                outcome.numberless += 1
            else:
                outcome.open.append((index, "it carries no tag"))
            continue
        if reading.announced.get(entry["case_key"], size) >= index:
            outcome.open.append((index, "its tag is under a key that was not announced before it"))
            continue
        if entry["case_key"] not in stated.keys:
            outcome.open.append((index, "the statement brings no key for its tag"))
            continue
        used.add(index)
        if tag(_signature(stated, index, entry)) == entry["case_tag"]:
            outcome.of_case.append((index, str(entry["type"])))
        else:
            others.append((index, entry))
        if entry["type"] == "search:intent:filed":
            intents.add(entry["request"])
    if used != set(stated.signatures):
        raise StatementError("the statement has signatures for entries that carry no tag in this range")
    _compare_cases(outcome, in_range, others)
    for index, entry in in_range:
        if entry["type"] in RUN and entry["request"] not in intents:
            outcome.open.append((index, "the intent of this search is not among the entries that were compared"))
    outcome.open.sort()
    return outcome


def _names_no_case(entry: Mapping[str, Any]) -> bool:
    named = "case" in entry or "case_number" in entry.get("c", {})
    return entry["type"] == "search:request:refused" and not named


def _signature(stated: Statement, index: int, entry: Mapping[str, Any]) -> bytes:
    key, signature = stated.keys[entry["case_key"]], stated.signatures.get(index)
    if signature is None:
        raise StatementError(f"the statement leaves out entry {index}, which is a search entry of its range")
    if not rsa.verify(key.modulus, message(stated.case_number, entry["nonce"]), signature):
        raise StatementError(f"the signature for entry {index} is not the one over this case number and its nonce")
    return signature


def _compare_cases(
    outcome: Outcome,
    in_range: Sequence[tuple[int, Mapping[str, Any]]],
    others: Sequence[tuple[int, Mapping[str, Any]]],
) -> None:
    """An entry that names the same case id as one of this case, and has another tag, contradicts it."""
    of_case = {index for index, _ in outcome.of_case}
    cases = {entry["case"] for index, entry in in_range if index in of_case and "case" in entry}
    for index, entry in others:
        if entry.get("case") in cases:
            outcome.open.append((index, "it names the same case id as an entry of this case, under another tag"))
        else:
            outcome.compared += 1
