"""Receipts: C2SP tlog-proof files, which show that one entry is in a signed log.

c2sp.org/tlog-proof@v1
[extra <base64>]             opaque and not authenticated
index <decimal>
<base64 hash> ...            inclusion proof, the leaf's sibling first
<empty line>
<signed checkpoint>          as it was published, with any cosignatures
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audit.log.checkpoint import (
    MAX_NOTE_SIZE,
    NoteError,
    SignedCheckpoint,
    VerifierKey,
    decode_base64,
    decode_hash,
    decode_number,
    encode_base64,
    open_checkpoint,
)
from audit.log.merkle import leaf_hash, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63


class ReceiptError(ValueError):
    """A receipt is malformed or does not prove what it is held against."""


@dataclass(frozen=True)
class Receipt:
    """Entry number `index` lies under `hashes` in the tree of `checkpoint` (a signed note, verbatim)."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines += map(encode_base64, self.hashes)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Raises ReceiptError. The checkpoint inside is not looked at; `verify` does that."""
        head, parted, checkpoint = data.partition(b"\n\n")
        if not parted or len(data) > 2 * MAX_NOTE_SIZE:
            raise ReceiptError("the receipt has no empty line between proof and checkpoint")
        try:
            lines = head.decode("ascii").split("\n")
            if lines.pop(0) != HEADER:
                raise ReceiptError(f"the receipt does not begin with {HEADER}")
            extra = None
            if lines and lines[0].startswith("extra "):
                extra = decode_base64(lines.pop(0).removeprefix("extra "))
            if not lines or not lines[0].startswith("index "):
                raise ReceiptError("the receipt does not name the index of its entry")
            index = decode_number(lines.pop(0).removeprefix("index "))
            if len(lines) > MAX_HASHES:
                raise ReceiptError("the receipt's proof is too long")
            return cls(index, tuple(map(decode_hash, lines)), checkpoint, extra)
        except (NoteError, UnicodeDecodeError) as error:
            raise ReceiptError(f"the receipt is malformed: {error}") from None

    def verify(self, entry: bytes, keys: Iterable[VerifierKey]) -> SignedCheckpoint:
        """The verified checkpoint that covers `entry`; pass its note to `cosignatures` to count witnesses.

        Raises NoteError or SignatureError for the checkpoint, ReceiptError where the proof does not show this entry.
        """
        signed = open_checkpoint(self.checkpoint, keys)
        checkpoint = signed.checkpoint
        if not verify_inclusion(
            leaf=leaf_hash(entry),
            index=self.index,
            size=checkpoint.size,
            proof=self.hashes,
            root=checkpoint.root,
        ):
            raise ReceiptError(f"the receipt does not prove that this is entry {self.index} of the log")
        return signed
