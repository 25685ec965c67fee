"""Receipts: what they prove, and that nothing but their exact form is read."""

from __future__ import annotations

import pytest

from audit.log.checkpoint import NoteError, SignatureError, cosignatures, encode_base64
from audit.log.proof import Receipt, ReceiptError
from tests.audit.log.logs import ORIGIN, Key, Log, entries, witness

LOG = Log(entries(300))
KEY = LOG.key.public
RECEIPT = LOG.receipt(7)
HASHES = "".join(f"{encode_base64(hash_)}\n" for hash_ in RECEIPT.hashes)
NOTE = RECEIPT.checkpoint.decode()


def test_a_receipt_is_the_text_of_the_specification() -> None:
    text = f"c2sp.org/tlog-proof@v1\nindex 7\n{HASHES}\n{NOTE}"
    assert RECEIPT.encode() == text.encode()
    assert Receipt.parse(text.encode()) == RECEIPT


def test_extra_data_is_carried_but_not_part_of_the_proof() -> None:
    receipt = Receipt(RECEIPT.index, RECEIPT.hashes, RECEIPT.checkpoint, b"request 12")
    data = receipt.encode()
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nextra cmVxdWVzdCAxMg==\nindex 7\n")
    assert Receipt.parse(data) == receipt
    assert receipt.verify(LOG.bodies[7], [KEY]).checkpoint.size == 300


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 300])
def test_the_receipt_of_every_kind_of_place_verifies(size: int) -> None:
    for index in {0, size // 2, size - 1}:
        receipt = Receipt.parse(LOG.receipt(index, size).encode())
        assert receipt.verify(LOG.bodies[index], [KEY]).checkpoint == LOG.checkpoint(size)


def test_a_receipt_proves_its_own_entry_only() -> None:
    for wrong in (LOG.bodies[8], LOG.bodies[7] + b"\n", LOG.bodies[7][:-1], b""):
        with pytest.raises(ReceiptError, match="does not prove that this is entry 7"):
            RECEIPT.verify(wrong, [KEY])


@pytest.mark.parametrize(
    "receipt",
    [
        Receipt(6, RECEIPT.hashes, RECEIPT.checkpoint),
        Receipt(300, RECEIPT.hashes, RECEIPT.checkpoint),
        Receipt(7, RECEIPT.hashes[:-1], RECEIPT.checkpoint),
        Receipt(7, RECEIPT.hashes[::-1], RECEIPT.checkpoint),
        Receipt(7, (*RECEIPT.hashes, bytes(32)), RECEIPT.checkpoint),
        Receipt(7, (), RECEIPT.checkpoint),
        Receipt(7, RECEIPT.hashes, LOG.note(299).encode()),
    ],
)
def test_a_receipt_with_another_index_path_or_checkpoint_proves_nothing(receipt: Receipt) -> None:
    with pytest.raises(ReceiptError, match="does not prove"):
        receipt.verify(LOG.bodies[7], [KEY])


def test_the_checkpoint_in_a_receipt_needs_the_logs_signature() -> None:
    with pytest.raises(SignatureError, match="no signature by a key that was given"):
        RECEIPT.verify(LOG.bodies[7], [Key(ORIGIN, 5).public])
    with pytest.raises(NoteError, match="no signature lines"):
        Receipt(7, RECEIPT.hashes, NOTE.partition("—")[0].encode()).verify(LOG.bodies[7], [KEY])


def test_witnesses_can_be_counted_on_a_receipt() -> None:
    note = witness(1).cosign(LOG.note(), 100)
    receipt = Receipt.parse(Receipt(7, RECEIPT.hashes, note.encode()).encode())
    signed = receipt.verify(LOG.bodies[7], [KEY])
    assert cosignatures(signed.note, [witness(1).public, witness(2).public]) == {witness(1).public: 100}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no empty line"),
        (f"c2sp.org/tlog-proof@v1\nindex 7\n{HASHES}", "no empty line"),
        (f"c2sp.org/tlog-proof@v2\nindex 7\n{HASHES}\n{NOTE}", "does not begin with"),
        (f"\nc2sp.org/tlog-proof@v1\nindex 7\n{HASHES}\n{NOTE}", "does not begin with"),
        (f"c2sp.org/tlog-proof@v1\r\nindex 7\n{HASHES}\n{NOTE}", "does not begin with"),
        (f"c2sp.org/tlog-proof@v1\n{HASHES}\n{NOTE}", "does not name the index"),
        (f"c2sp.org/tlog-proof@v1\n\n{NOTE}", "does not name the index"),
        (f"c2sp.org/tlog-proof@v1\nindex 7\nextra QQ==\n{HASHES}\n{NOTE}", "malformed"),
        (f"c2sp.org/tlog-proof@v1\nextra QQ==\nextra QQ==\nindex 7\n{HASHES}\n{NOTE}", "does not name the index"),
        (f"c2sp.org/tlog-proof@v1\nextra QR==\nindex 7\n{HASHES}\n{NOTE}", "not canonical base64"),
        (f"c2sp.org/tlog-proof@v1\nindex 07\n{HASHES}\n{NOTE}", "not a size or index"),
        (f"c2sp.org/tlog-proof@v1\nindex -7\n{HASHES}\n{NOTE}", "not a size or index"),
        (f"c2sp.org/tlog-proof@v1\nindex  7\n{HASHES}\n{NOTE}", "not a size or index"),
        (f"c2sp.org/tlog-proof@v1\nindex 7 \n{HASHES}\n{NOTE}", "not a size or index"),
        (f"c2sp.org/tlog-proof@v1\nindex 7\nQQ==\n\n{NOTE}", "not a hash of 32 bytes"),
        (f"c2sp.org/tlog-proof@v1\nindex 7\n {HASHES}\n{NOTE}", "base64"),
        (f"c2sp.org/tlog-proof@v1\nindex 7\n{HASHES.replace('=', '')}\n{NOTE}", "base64"),
        (f"c2sp.org/tlog-proof@v1\nindex 7\nÄ\n\n{NOTE}", "malformed"),
        (f"c2sp.org/tlog-proof@v1\nindex 7\n{(encode_base64(bytes(32)) + chr(10)) * 64}\n{NOTE}", "too long"),
    ],
)
def test_a_receipt_in_any_other_form_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ReceiptError, match=fault):
        Receipt.parse(text.encode())


def test_every_flipped_byte_of_a_receipt_is_noticed() -> None:
    data = RECEIPT.encode()
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        with pytest.raises((ReceiptError, NoteError)):
            Receipt.parse(bytes(flipped)).verify(LOG.bodies[7], [KEY])
