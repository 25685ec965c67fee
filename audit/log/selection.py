"""A selection of the log: some of its entries, each with its place and its proof, under one signed checkpoint for all.

selection.json   one object; each entry a line of its own: {"index": …, "entry": "<canonical bytes>", "proof": [base64, …]}
selection.csv    the same entries as a table, with their time, type and id in columns; the checkpoint is a file beside it

A selection proves that each entry is in the log, byte for byte. What was left out it cannot show: how many entries were
exported, and under which filter, stands in the log itself, in the entry `log:selection:exported` that "export" names.
No Django here: an outsider runs this module.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from audit.log import form
from audit.log.check import Refused
from audit.log.checkpoint import (
    NoteError,
    SignatureError,
    SignedCheckpoint,
    VerifierKey,
    decode_hash,
    decode_number,
    encode_base64,
    open_checkpoint,
)
from audit.log.merkle import leaf_hash, verify_inclusion

FORMAT: Final = "glasscase-selection-v1"
JSON_NAME: Final = "selection.json"
CSV_NAME: Final = "selection.csv"
CHECKPOINT_NAME: Final = "checkpoint"
COLUMNS: Final = ("index", "at", "type", "id", "entry", "proof")


@dataclass(frozen=True)
class Row:
    """Entry number `index`, its canonical bytes, and its inclusion proof in the tree of the selection's checkpoint."""

    index: int
    entry: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class Checked:
    """A selection that holds: the checkpoint that covers it, and the first and last of its `count` entries."""

    signed: SignedCheckpoint
    count: int
    first: int | None
    last: int | None


# Writing


def as_json(rows: Iterable[Row], *, export: str, checkpoint: bytes) -> Iterator[bytes]:
    """selection.json, piece by piece. `export` is the id of the entry that says that the selection was made."""
    head = json.dumps({"format": FORMAT, "export": export, "checkpoint": checkpoint.decode()})
    yield head[:-1].encode() + b', "entries": [\n'
    between = b""
    for row in rows:
        line = {"index": row.index, "entry": row.entry.decode("ascii"), "proof": [*map(encode_base64, row.proof)]}
        yield between + json.dumps(line).encode()
        between = b",\n"
    yield b"\n]}\n"


def as_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """selection.csv, piece by piece."""
    yield _line(COLUMNS)
    for row in rows:
        at, type_, identity = _columns(json.loads(row.entry))
        proof = " ".join(map(encode_base64, row.proof))
        yield _line((str(row.index), at, type_, identity, row.entry.decode("ascii"), proof))


def _line(cells: Iterable[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue().encode("ascii")


def _columns(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    """What a table shows of an entry beside its bytes: time (UTC), type, id."""
    moment = datetime.fromtimestamp(entry["at"] / 1000, UTC)
    return moment.isoformat(timespec="milliseconds"), str(entry["type"]), str(entry["id"])


# Checking


def check_selection(path: str, keys: Sequence[VerifierKey]) -> Checked:
    """Checks a selection: the zip file as it was downloaded, or its JSON, or its CSV with `checkpoint` beside it.

    Raises Refused, which names the first row that is not as it was logged.
    """
    try:
        data = Path(path).read_bytes()
        if zipfile.is_zipfile(io.BytesIO(data)):
            return _check_zip(path, data, keys)
        if data.lstrip()[:1] == b"{":
            note, rows = _from_json(data)
            return _check(rows, _open(note, keys), path)
        beside = Path(path).with_name(CHECKPOINT_NAME)
        if not beside.is_file():
            raise Refused("input", f"{path} needs the file {CHECKPOINT_NAME} of the same export beside it")
        return _check(_from_csv(data), _open(beside.read_bytes(), keys), path)
    except OSError as error:
        raise Refused("input", f"{path} cannot be read: {error.strerror}") from None


def _check_zip(path: str, data: bytes, keys: Sequence[VerifierKey]) -> Checked:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise Refused("input", f"{path} holds two files of one name")
            note, listed = _from_json(archive.read(JSON_NAME))
            tabled = _from_csv(archive.read(CSV_NAME))
            beside = archive.read(CHECKPOINT_NAME)
    except KeyError as error:
        raise Refused("selection", f"{path} is not a selection: {error.args[0]}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise Refused("input", f"{path} is not a readable zip file: {error}") from None
    if beside != note:
        raise Refused("selection", f"{JSON_NAME} and the file {CHECKPOINT_NAME} name two checkpoints")
    signed = _open(note, keys)
    checked = _check(listed, signed, JSON_NAME)
    again = _check(tabled, signed, CSV_NAME)
    if checked.count != again.count:
        raise Refused("selection", f"{JSON_NAME} has {checked.count} entries and {CSV_NAME} {again.count}")
    for number, (one, other) in enumerate(zip(listed, tabled, strict=True), 1):
        if one.index != other.index:
            raise Refused(
                "selection", f"row {number} is entry {one.index} in {JSON_NAME} and {other.index} in {CSV_NAME}"
            )
    return checked


def _open(note: bytes, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    try:
        return open_checkpoint(note, keys)
    except SignatureError as error:
        raise Refused("signature", str(error)) from None
    except NoteError as error:
        raise Refused("checkpoint", str(error)) from None


def _check(rows: Sequence[Row], signed: SignedCheckpoint, what: str) -> Checked:
    checkpoint = signed.checkpoint
    before = -1
    for number, row in enumerate(rows, 1):
        place = f"{what}, row {number}, entry {row.index}"
        if row.index <= before:
            raise Refused("selection", f"{place}: the rows are not in the order of the log, or one stands twice")
        before = row.index
        proven = verify_inclusion(
            leaf=leaf_hash(row.entry),
            index=row.index,
            size=checkpoint.size,
            proof=row.proof,
            root=checkpoint.root,
        )
        if not proven:
            raise Refused("selection", f"{place}: this is not what was logged there, or its proof was changed")
        if (sentence := form.problem(row.entry)) is not None:
            raise Refused("schema", f"{place}: {sentence}")
    return Checked(signed, len(rows), rows[0].index if rows else None, rows[-1].index if rows else None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _from_json(data: bytes) -> tuple[bytes, list[Row]]:
    try:
        whole = json.loads(data, object_pairs_hook=_unique)
        if set(whole) != {"format", "export", "checkpoint", "entries"} or whole["format"] != FORMAT:
            raise ValueError("it does not have the four fields of a selection")
        note, listed = whole["checkpoint"].encode(), list(whole["entries"])
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("selection", f"{JSON_NAME} is not a selection: {error}") from None
    return note, [_row(number, one, JSON_NAME) for number, one in enumerate(listed, 1)]


def _from_csv(data: bytes) -> list[Row]:
    try:
        table = list(csv.reader(io.StringIO(data.decode("ascii"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused("selection", f"{CSV_NAME} is not a table: {error}") from None
    if not table or tuple(table[0]) != COLUMNS:
        raise Refused("selection", f"{CSV_NAME} does not begin with the columns {', '.join(COLUMNS)}")
    rows = []
    for number, cells in enumerate(table[1:], 1):
        if len(cells) != len(COLUMNS):
            raise Refused("selection", f"{CSV_NAME}, row {number}: it does not have the cells of an entry")
        named = dict(zip(COLUMNS, cells, strict=True))
        try:
            index = decode_number(named["index"])
        except NoteError as error:
            raise Refused("selection", f"{CSV_NAME}, row {number}: {error}") from None
        row = _row(number, {"index": index, "entry": named["entry"], "proof": named["proof"].split()}, CSV_NAME)
        place = f"{CSV_NAME}, row {number}, entry {index}"
        # People read these columns, so they have to say what the entry says.
        if not _says(named, row.entry):
            raise Refused("selection", f"{place}: its time, type or id are not those of the entry")
        rows.append(row)
    return rows


def _says(named: Mapping[str, str], entry: bytes) -> bool:
    try:
        return _columns(json.loads(entry)) == (named["at"], named["type"], named["id"])
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return False  # no entry at all, or at a time that no date can name


def _row(number: int, given: Any, what: str) -> Row:
    try:
        if type(given) is not dict or set(given) != {"index", "entry", "proof"} or type(given["index"]) is not int:
            raise ValueError("it does not have the fields of an entry")
        return Row(given["index"], given["entry"].encode("ascii"), tuple(map(decode_hash, given["proof"])))
    except (ValueError, TypeError, AttributeError, NoteError) as error:
        raise Refused("selection", f"{what}, row {number}: {error}") from None
