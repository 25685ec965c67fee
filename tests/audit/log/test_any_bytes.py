"""Any bytes whatever before the parsers of the log: they answer or raise their own error, and what they take they write alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.log.check import Refused, check_log, check_opening, check_receipt
from audit.log.checkpoint import (
    Checkpoint,
    Note,
    NoteError,
    Signature,
    VerifierKey,
    cosignatures,
    decode_base64,
    decode_number,
    open_checkpoint,
)
from audit.log.commitments import Opening
from audit.log.proof import Receipt, ReceiptError
from audit.log.tiles import MalformedTile, decode_bundle, encode_bundle, parse_tile_path, split_bundle
from tests.audit.log.logs import Log, entries, entry, witness

LOG = Log(entries(20))
KEY = LOG.key.public
NOTE = witness(1).cosign(LOG.note(), 100).encode()
RECEIPT = LOG.receipt(7).encode()
FILES = LOG.files()
OPENING = Opening.of("justification", "a reason").encode()

PIECES = [
    b"\n",
    b"\n\n",
    b" ",
    "— ".encode(),
    b"+",
    b"=",
    b"0",
    b"-1",
    b"9" * 30,
    b"\0",
    b"\xff",
    "\u2028".encode(),
    b"index ",
    b"extra ",
]


def spoiled(*right: bytes) -> st.SearchStrategy[bytes]:
    """Right bytes with a part cut out, replaced, doubled or moved; and bytes out of nothing."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        data = draw(st.sampled_from(right))
        for _ in range(draw(st.integers(1, 3))):
            start = draw(st.integers(0, len(data)))
            end = draw(st.integers(start, min(len(data), start + 90)))
            put = draw(
                st.one_of(st.just(b""), st.sampled_from(PIECES), st.binary(max_size=6), st.just(data[start:end] * 2))
            )
            data = data[:start] + put + data[end:]
        return data

    return st.one_of(
        change(),
        change(),
        st.binary(max_size=200),
        st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
    )


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


PARSERS: dict[str, tuple[Callable[[bytes], Any], type[Exception], Callable[[Any], bytes] | None]] = {
    "note": (Note.parse, NoteError, Note.encode),
    "checkpoint": (
        lambda data: Checkpoint.parse(text_of(data)),
        NoteError,
        lambda found: found.text.encode("utf-8", "surrogateescape"),
    ),
    "vkey": (lambda data: VerifierKey.parse(text_of(data)), NoteError, lambda found: str(found).encode()),
    "signature line": (
        lambda data: Signature.parse(text_of(data)),
        NoteError,
        lambda found: str(found).removesuffix("\n").encode(),
    ),
    "base64": (lambda data: decode_base64(text_of(data)), NoteError, None),
    "number": (lambda data: decode_number(text_of(data)), NoteError, lambda found: str(found).encode()),
    "receipt": (Receipt.parse, ReceiptError, Receipt.encode),
    "tile path": (lambda data: parse_tile_path(text_of(data)), MalformedTile, lambda found: found.path.encode()),
    "bundle": (lambda data: decode_bundle(data, 20), MalformedTile, encode_bundle),
}
RIGHT = {
    "note": NOTE,
    "checkpoint": LOG.checkpoint().text.encode(),
    "vkey": str(KEY).encode(),
    "signature line": str(LOG.note().signatures[0]).removesuffix("\n").encode(),
    "base64": b"QUJD",
    "number": b"1234567890",
    "receipt": RECEIPT,
    "tile path": b"tile/entries/x001/x234/067.p/12",
    "bundle": FILES["tile/entries/000.p/20"],
}


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_parser_raises_its_own_error_or_reads_what_its_encoder_writes(name: str, data: st.DataObject) -> None:
    parse, error, encode = PARSERS[name]
    assert parse(RIGHT[name]) is not None
    given_ = data.draw(spoiled(RIGHT[name]))
    try:
        found = parse(given_)
    except error:
        return
    if encode is not None:
        assert encode(found) == given_


@given(spoiled(NOTE, LOG.note().encode()))
@settings(max_examples=100, deadline=None)
def test_opening_a_checkpoint_raises_its_own_error_only(data: bytes) -> None:
    try:
        signed = open_checkpoint(data, [KEY])
        cosignatures(signed.note, [witness(1).public])
    except NoteError:
        return
    assert signed.checkpoint == LOG.checkpoint(), "nothing else was ever signed"


@given(spoiled(RECEIPT), spoiled(LOG.bodies[7]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_checking_a_receipt_refuses_or_holds_for_its_own_entry(receipt: bytes, body: bytes, same: bool) -> None:
    body = LOG.bodies[7] if same else body
    try:
        found, signed = check_receipt(receipt, body, [KEY])
    except Refused:
        return
    assert body == LOG.bodies[found.index]
    assert signed.checkpoint == LOG.checkpoint()


@given(spoiled(OPENING), st.sampled_from([entry(7), entry(7, c={"justification": "0" * 64})]))
@settings(max_examples=100, deadline=None)
def test_checking_an_opening_refuses(opening: bytes, body: bytes) -> None:
    with pytest.raises(Refused):
        check_opening(opening, body)


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=100, deadline=None)
def test_checking_a_log_refuses_whatever_lies_in_the_place_of_a_file(path: str, data: st.DataObject) -> None:
    put = data.draw(spoiled(FILES[path]))
    try:
        assert check_log((FILES | {path: put}).__getitem__, [KEY]).checkpoint == LOG.checkpoint()
    except Refused:
        return
    # Lines of strangers may be added to a checkpoint; everything else is the file it was.
    assert path == "checkpoint" or put == FILES[path]


@given(st.binary(max_size=300))
def test_what_is_left_of_a_bundle_is_told_apart(data: bytes) -> None:
    whole, rest = split_bundle(data)
    assert sum(2 + len(each) for each in whole) + rest == len(data)
