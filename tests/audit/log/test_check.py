"""Tampered logs: every change is noticed, and the first wrong entry is named where that is possible."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.log.check import Earlier, Refused, check_log, check_receipt, check_witnesses
from audit.log.checkpoint import Checkpoint, Note, NoteError, Signature, open_checkpoint
from audit.log.merkle import leaf_hash
from audit.log.policy import Policy
from audit.log.sources import DirectorySource
from audit.log.tiles import encode_bundle
from tests.audit.log.logs import ORIGIN, Key, Log, entries, entry, witness, write

Files = dict[str, bytes]

LOG = Log(entries(520))  # two full tiles, a partial one, and a level above
KEY = LOG.key.public
FILES = LOG.files()


def refusal(files: Files, *earlier: Earlier) -> Refused:
    with pytest.raises(Refused) as caught:
        check_log(files.__getitem__, [KEY], earlier=earlier)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 2, 20, 255, 256, 257, 511, 512, 513, 520])
def test_an_honest_log_of_any_size_is_accepted_and_extends_all_its_past(size: int) -> None:
    earlier = [Earlier("an old checkpoint", LOG.checkpoint(old)) for old in {0, 1, 255, 256, 257, size} if old <= size]
    signed = check_log(LOG.files(size).__getitem__, [KEY], earlier=earlier)
    assert signed.checkpoint == LOG.checkpoint(size)


def test_each_tile_is_read_exactly_once() -> None:
    asked: list[str] = []

    def get(path: str) -> bytes:
        asked.append(path)
        return FILES[path]

    check_log(get, [KEY], earlier=[Earlier("an old checkpoint", LOG.checkpoint(300))])
    assert sorted(asked) == sorted(FILES)


def test_full_tiles_stand_in_for_partial_ones_that_are_gone() -> None:
    grown = LOG.files()
    files = {path: data for path, data in grown.items() if ".p/" not in path} | {
        "checkpoint": LOG.files(400)["checkpoint"],
        "tile/1/000.p/1": LOG.files(400)["tile/1/000.p/1"],
    }
    assert check_log(files.__getitem__, [KEY]).checkpoint.size == 400


def test_progress_is_told_tile_by_tile() -> None:
    told: list[tuple[int, int]] = []
    check_log(FILES.__getitem__, [KEY], progress=lambda done, size: told.append((done, size)))
    assert told == [(256, 520), (512, 520), (520, 520)]


def with_bundle(number: int, change: Callable[[list[bytes]], list[bytes]]) -> Files:
    """The published files with one entry bundle encoded anew from changed entries."""
    start = number * 256
    path = "tile/entries/002.p/8" if number == 2 else f"tile/entries/{number:03d}"
    return FILES | {path: encode_bundle(change(list(LOG.bodies[start : start + 256])))}


def replaced(index: int, body: bytes) -> Files:
    return with_bundle(index // 256, lambda bodies: [*bodies[: index % 256], body, *bodies[index % 256 + 1 :]])


def without(path: str) -> Files:
    return {name: data for name, data in FILES.items() if name != path}


def altered(path: str, at: int) -> Files:
    data = bytearray(FILES[path])
    data[at] ^= 0x10
    return FILES | {path: bytes(data)}


def rehashed(index: int) -> Files:
    """One entry changed and its leaf hash with it, as whoever can write the tables would do it."""
    files = replaced(index, entry(index, first=7))
    path = "tile/0/002.p/8" if index >= 512 else f"tile/0/{index // 256:03d}"
    at = index % 256 * 32
    return files | {path: files[path][:at] + leaf_hash(entry(index, first=7)) + files[path][at + 32 :]}


def rehashed_upwards(index: int) -> Files:
    """One entry changed and every hash above it, with the signed checkpoint left as it is."""
    forged = Log([*LOG.bodies[:index], entry(index, first=7), *LOG.bodies[index + 1 :]])
    return forged.files() | {"checkpoint": FILES["checkpoint"]}


TAMPERED: dict[str, tuple[Files, str, str]] = {
    "entry changed": (replaced(300, entry(300, first=7)), "entry", "entry 300 is the first wrong one"),
    "first entry changed": (replaced(0, entry(0, first=7)), "entry", "entry 0 is the first wrong one"),
    "last entry changed": (replaced(519, entry(519, first=7)), "entry", "entry 519 is the first wrong one"),
    "entry blanked": (replaced(300, b""), "entry", "entry 300 is the first wrong one"),
    "entry zeroed": (replaced(300, bytes(len(entry(300)))), "entry", "entry 300 is the first wrong one"),
    "entries swapped": (
        with_bundle(1, lambda bodies: [bodies[1], bodies[0], *bodies[2:]]),
        "entry",
        "entry 256 is the first wrong one",
    ),
    "entry deleted": (
        with_bundle(1, lambda bodies: bodies[:44] + bodies[45:]),
        "bundle",
        "holds 255 entries instead of 256; entry 300 is the first wrong one",
    ),
    "last entry deleted": (
        with_bundle(2, lambda bodies: bodies[:-1]),
        "bundle",
        "holds 7 entries instead of 8; entry 519 is the first wrong one",
    ),
    "entry inserted": (
        with_bundle(2, lambda bodies: [*bodies[:3], entry(999), *bodies[3:]]),
        "bundle",
        "holds 9 entries instead of 8; entry 515 is the first wrong one",
    ),
    "entry added at the end": (
        with_bundle(2, lambda bodies: [*bodies, entry(520)]),
        "bundle",
        "holds 9 entries instead of 8$",
    ),
    "entry replaced by inserting": (
        with_bundle(1, lambda bodies: [*bodies[:3], entry(999), *bodies[3:-1]]),
        "entry",
        "entry 259 is the first wrong one",
    ),
    "bundle missing": (without("tile/entries/001"), "missing", "tile/entries/001 is missing"),
    "last bundle missing": (without("tile/entries/002.p/8"), "missing", "tile/entries/002.p/8 is missing"),
    "bundle truncated": (
        FILES | {"tile/entries/001": FILES["tile/entries/001"][:-1]},
        "bundle",
        "breaks off inside its entry number 255; entry 511 is the first wrong one",
    ),
    "bundle emptied": (
        FILES | {"tile/entries/001": b""},
        "bundle",
        "holds 0 entries instead of 256; entry 256 is the first wrong one",
    ),
    "bundle oversized": (
        FILES | {"tile/entries/001": FILES["tile/entries/001"] + b"\0"},
        "bundle",
        "breaks off inside its entry number 256$",
    ),
    "bundles swapped": (
        FILES | {"tile/entries/000": FILES["tile/entries/001"], "tile/entries/001": FILES["tile/entries/000"]},
        "entry",
        "entry 0 is the first wrong one",
    ),
    "tile altered": (altered("tile/0/001", 40), "tile", "tile/0/001 was altered at entry 257; the entries are those"),
    "partial tile altered": (altered("tile/0/002.p/8", 0), "tile", "tile/0/002.p/8 was altered at entry 512"),
    "upper tile altered": (altered("tile/1/000.p/2", 40), "tile", "tile/1/000.p/2 was altered; the entries are those"),
    "tile missing": (without("tile/0/001"), "missing", "tile/0/001 is missing"),
    "upper tile missing": (without("tile/1/000.p/2"), "missing", "tile/1/000.p/2 is missing"),
    "tile truncated": (FILES | {"tile/0/001": FILES["tile/0/001"][:-1]}, "tile", "holds 8191 bytes instead of 8192"),
    "tile oversized": (FILES | {"tile/0/001": FILES["tile/0/001"] + b"\0"}, "tile", "holds 8193 bytes"),
    "entry and leaf rewritten": (rehashed(300), "entry", "one of the entries 256 to 511 was changed together with"),
    "last entry and leaf rewritten": (rehashed(519), "root", "the entries do not give the signed root"),
    "entry and all hashes rewritten": (rehashed_upwards(300), "root", "the entries do not give the signed root"),
    "checkpoint missing": (without("checkpoint"), "missing", "the log has no checkpoint"),
    "checkpoint emptied": (FILES | {"checkpoint": b""}, "checkpoint", "no signature lines"),
    "signature stripped": (
        FILES | {"checkpoint": LOG.checkpoint().text.encode() + b"\n"},
        "checkpoint",
        "no signature lines",
    ),
    "signature by another key": (
        FILES | {"checkpoint": Log(LOG.bodies, Key(ORIGIN, 2)).note().encode()},
        "signature",
        "no signature by a key that was given",
    ),
    "signature edited": (
        FILES | {"checkpoint": Note(LOG.note().text, (Signature(ORIGIN, KEY.key_id, bytes(64)),)).encode()},
        "signature",
        f"the signature by '{ORIGIN}' is wrong",
    ),
    "size edited": (
        FILES | {"checkpoint": FILES["checkpoint"].replace(b"\n520\n", b"\n512\n")},
        "signature",
        "is wrong",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_log_is_refused_and_the_fault_named(name: str) -> None:
    files, category, reason = TAMPERED[name]
    refused = refusal(files)
    assert refused.category == category
    assert re.search(reason, refused.reason), refused.reason


def test_a_log_with_three_levels_of_tiles_is_checked_on_each() -> None:
    tall = Log(entries(65_800))
    files = tall.files()
    known = Earlier("the older checkpoint", tall.checkpoint(65_536))
    assert check_log(files.__getitem__, [KEY], earlier=[known]).checkpoint.size == 65_800
    path = "tile/2/000.p/1"
    refused = refusal(files | {path: bytes(32)})
    assert (refused.category, refused.reason) == (
        "tile",
        f"{path} was altered; the entries are those that were signed",
    )


def rewritten() -> Log:
    """A history without entry 300, signed with the log's real key: it agrees with itself."""
    return Log([*LOG.bodies[:300], *LOG.bodies[301:], entry(520)])


def test_a_rewritten_and_signed_history_agrees_with_itself() -> None:
    assert check_log(rewritten().files().__getitem__, [KEY]).checkpoint.size == 520


@pytest.mark.parametrize("size", [301, 400, 512, 520])
def test_a_rewritten_history_is_shown_up_by_a_checkpoint_somebody_kept(size: int) -> None:
    refused = refusal(rewritten().files(), Earlier("the older checkpoint", LOG.checkpoint(size)))
    assert refused.category == "fork"
    assert f"its first {size} entries are not those of the older checkpoint" in refused.reason


def test_a_checkpoint_from_before_the_rewriting_shows_nothing() -> None:
    known = Earlier("the older checkpoint", LOG.checkpoint(300))
    assert check_log(rewritten().files().__getitem__, [KEY], earlier=[known]).checkpoint.size == 520


def test_a_rewritten_history_is_shown_up_by_a_receipt_somebody_holds() -> None:
    receipt, signed = check_receipt(LOG.receipt(300, 310).encode(), LOG.bodies[300], [KEY])
    assert receipt.index == 300
    assert refusal(rewritten().files(), Earlier("the receipt", signed.checkpoint)).category == "fork"


def test_a_shorter_log_with_a_valid_signature_is_shown_up_by_an_older_checkpoint() -> None:
    files = LOG.files(400)
    assert check_log(files.__getitem__, [KEY]).checkpoint.size == 400
    refused = refusal(files, Earlier("the older checkpoint", LOG.checkpoint(401)))
    assert refused.category == "rollback"
    assert "the log has 400 entries, but the older checkpoint shows 401" in refused.reason


def test_a_checkpoint_of_another_log_is_not_compared() -> None:
    other = Log(LOG.bodies, Key("other.example.org"))
    foreign = other.checkpoint().text.replace(ORIGIN, "other.example.org")
    refused = refusal(FILES, Earlier("the older checkpoint", Checkpoint.parse(foreign)))
    assert (refused.category, "is of another log" in refused.reason) == ("fork", True)


NOT_IN_FORM: dict[str, tuple[bytes, str]] = {
    "blank added": (entry(7).replace(b",", b", ", 1), "canonical"),
    "keys unsorted": (json.dumps({"v": 1, **json.loads(entry(7))}, separators=(",", ":")).encode(), "canonical"),
    "key twice": (entry(7).replace(b'"v":1', b'"v":1,"v":1'), "unique keys"),
    "float": (entry(7, first=7.0), "first is not of kind int"),
    "null": (entry(7, first=None), "first is not of kind int"),
    "unknown field": (entry(7, note="hello"), "not in the registry"),
    "unknown type": (entry(7, type="a:b:c"), "not in the registry"),
    "type that is no text": (entry(7, type=["a"]), "not in the registry"),
    "not ASCII": (entry(7).replace(b"viewed", b"vi\xc3\xa9wed"), "not in the registry"),
    "not an object": (b"[]", "not a JSON object"),
    "not JSON": (b"hello", "not a JSON object"),
    "deeply nested": (b"[" * 4000, "not a JSON object"),
    "other encoding": (entry(7).decode().encode("utf-16"), "canonical"),
    "empty": (b"", "not a JSON object"),
}


@pytest.mark.parametrize("name", NOT_IN_FORM)
def test_an_entry_that_is_not_in_its_form_is_refused_though_hashed_and_signed(name: str) -> None:
    body, reason = NOT_IN_FORM[name]
    log = Log([*LOG.bodies[:7], body, *LOG.bodies[8:20]])
    refused = refusal(log.files())
    assert refused.category == "schema"
    assert refused.reason.startswith("entry 7: ")
    assert reason in refused.reason


def test_a_receipt_for_an_entry_that_is_not_in_its_form_is_refused() -> None:
    log = Log([*LOG.bodies[:7], b"{}", *LOG.bodies[8:20]])
    with pytest.raises(Refused, match="schema: entry 7: "):
        check_receipt(log.receipt(7).encode(), b"{}", [KEY])


def test_a_receipt_for_another_entry_is_refused() -> None:
    with pytest.raises(Refused, match="receipt: the receipt does not prove that this is entry 7"):
        check_receipt(LOG.receipt(7).encode(), LOG.bodies[8], [KEY])
    with pytest.raises(Refused, match="receipt: the receipt has no empty line"):
        check_receipt(b"", LOG.bodies[7], [KEY])
    with pytest.raises(Refused, match="receipt: the checkpoint carries no signature"):
        check_receipt(LOG.receipt(7).encode(), LOG.bodies[7], [Key(ORIGIN, 2).public])


def test_witnesses_are_counted_against_the_quorum() -> None:
    note = witness(2).cosign(witness(1).cosign(LOG.note(), 100), 200)
    signed = open_checkpoint(note.encode(), [KEY])
    trusted = [witness(number).public for number in (1, 2, 3)]
    assert check_witnesses(signed, Policy.of(trusted, 2)) == {trusted[0]: 100, trusted[1]: 200}
    with pytest.raises(Refused, match="witness: 2 of your 3 witnesses cosigned, and 3 are needed"):
        check_witnesses(signed, Policy.of(trusted, 3))
    spoiled = note.with_signatures(Signature(trusted[2].name, trusted[2].key_id, bytes(72)))
    assert len(check_witnesses(open_checkpoint(spoiled.encode(), [KEY]), Policy.of(trusted, 2))) == 2
    with pytest.raises(Refused, match="witness: 2 of your 3"):
        check_witnesses(open_checkpoint(spoiled.encode(), [KEY]), Policy.of(trusted, 3))


def test_every_flipped_byte_of_a_witness_line_lowers_the_count_and_nothing_else() -> None:
    plain = LOG.note().encode()
    whole = witness(2).cosign(witness(1).cosign(LOG.note(), 100), 200).encode()
    policy = Policy.of([witness(1).public, witness(2).public], 1)
    for at in range(len(plain), len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 7
        try:
            signed = open_checkpoint(bytes(flipped), [KEY])
        except NoteError:  # no note any more
            continue
        assert len(check_witnesses(signed, policy)) == 1, at


def test_every_flipped_byte_of_an_export_of_twenty_entries_is_noticed() -> None:
    files = LOG.files(20)
    for path, data in files.items():
        for at in range(len(data)):
            flipped = bytearray(data)
            flipped[at] ^= 1 << at % 8
            refusal(files | {path: bytes(flipped)})


def test_a_flipped_byte_in_any_file_of_an_exported_directory_is_noticed(tmp_path: Path) -> None:
    source = DirectorySource(write(LOG.files(), tmp_path))
    assert check_log(source.get, [KEY]).checkpoint.size == 520
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 8
    for file in files:
        data = file.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            file.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
            with pytest.raises(Refused):
                check_log(source.get, [KEY])
        file.write_bytes(data)
    assert check_log(source.get, [KEY]).checkpoint.size == 520


def test_every_bit_of_a_checkpoint_counts() -> None:
    files = LOG.files(20)
    data = files["checkpoint"]
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refusal(files | {"checkpoint": bytes(flipped)}).category in ("checkpoint", "signature")
