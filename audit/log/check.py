"""The check of a published log: read every entry, hash it, and see whether tiles, root and signature follow from that.

Nothing is believed because another part of the log says so. A log that was rewritten and signed again agrees with
itself; only checkpoints and receipts kept outside show it (`Earlier`), or witnesses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from audit.log import form
from audit.log.checkpoint import (
    Checkpoint,
    NoteError,
    SignatureError,
    SignedCheckpoint,
    VerifierKey,
    cosignatures,
    open_checkpoint,
)
from audit.log.merkle import EMPTY_ROOT, Tree, leaf_hash
from audit.log.policy import Policy
from audit.log.proof import Receipt, ReceiptError
from audit.log.sources import CHECKPOINT
from audit.log.tiles import (
    ENTRIES,
    HASH_SIZE,
    TILE_WIDTH,
    Getter,
    MalformedTile,
    Missing,
    Tile,
    decode_bundle,
    fetch,
    fetch_hashes,
    split_bundle,
    split_hashes,
    tiles_of_level,
)

Category = Literal[
    "input",  # something you gave cannot be used
    "unreadable",  # the log cannot be read
    "missing",  # a part of the log is not there
    "checkpoint",  # the checkpoint is malformed
    "signature",  # a signature is missing or wrong
    "bundle",  # an entry bundle is malformed
    "entry",  # an entry is not the one that was logged
    "tile",  # a hash tile was altered; the entries are those that were logged
    "root",  # the entries do not give the signed root
    "schema",  # an entry is not in the form that the log promises
    "old",  # the older checkpoint is unusable
    "receipt",  # the receipt is unusable or does not prove the entry
    "rollback",  # the log is shorter than it was
    "fork",  # the log is another one than it was
    "witness",  # not enough witnesses cosigned
    "approval",  # a search rests on an approval whose proof is wrong
    "absence",  # a statement of absence is unusable or does not fit the log
    "opening",  # a disclosed value is not the one that the entry commits to
    "selection",  # an exported selection holds something that was not logged so
]
Progress = Callable[[int, int], None]  # entries done, entries in all
Reader = Callable[[int, Sequence[bytes]], None]  # index of the first of these entries


class Refused(Exception):
    """The log, or what was held against it, does not stand the check."""

    def __init__(self, category: Category, reason: str) -> None:
        super().__init__(f"{category}: {reason}")
        self.category = category
        self.reason = reason


@dataclass(frozen=True)
class Earlier:
    """A checkpoint that somebody kept: the log of now must extend it. `what` names it in a sentence."""

    what: str
    checkpoint: Checkpoint


@dataclass
class _Findings:
    """What reading all entries showed; of each kind of fault the first one."""

    tree: Tree = field(default_factory=Tree)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})  # of the sizes that were asked for
    other_hash: tuple[int, str] | None = None  # entry whose hash is not in its tile, and that tile's path
    other_tile: tuple[int, int, str] | None = None  # first and last entry under a wrong upper hash, and its tile's path
    malformed: tuple[int, str] | None = None  # entry that is not in its form, and why


def check_log(
    get: Getter,
    keys: Sequence[VerifierKey],
    *,
    earlier: Iterable[Earlier] = (),
    readers: Sequence[Reader] = (),
    progress: Progress | None = None,
) -> SignedCheckpoint:
    """Reads the whole log behind `get` and returns its verified checkpoint. Raises Refused.

    `get` maps `checkpoint` and tile paths to bytes and raises LookupError for what is not there. Nothing is read twice,
    so a server cannot show one history first and another one later. `readers` are given every well-formed entry in order;
    what they make of it counts only when this returns.
    """
    try:
        signed = open_checkpoint(get(CHECKPOINT), keys)
    except LookupError:
        raise Refused("missing", "the log has no checkpoint") from None
    except SignatureError as error:
        raise Refused("signature", str(error)) from None
    except NoteError as error:
        raise Refused("checkpoint", str(error)) from None
    checkpoint, earlier = signed.checkpoint, list(earlier)
    for known in earlier:
        _refuse_a_shorter_log(checkpoint, known)
    try:
        findings = _read_all(get, checkpoint.size, {known.checkpoint.size for known in earlier}, readers, progress)
    except Missing as error:
        raise Refused("missing", str(error)) from None
    except MalformedTile as error:
        raise Refused("tile", str(error)) from None
    _judge(findings, checkpoint)
    for known in earlier:
        if findings.roots[known.checkpoint.size] != known.checkpoint.root:
            raise Refused(
                "fork",
                f"the log was rewritten: its first {known.checkpoint.size} entries are not those of {known.what}",
            )
    return signed


def _refuse_a_shorter_log(checkpoint: Checkpoint, known: Earlier) -> None:
    if known.checkpoint.origin != checkpoint.origin:
        raise Refused("fork", f"{known.what} is of another log, {known.checkpoint.origin!r}")
    if known.checkpoint.size > checkpoint.size:
        raise Refused(
            "rollback",
            f"the log has {checkpoint.size} entries, but {known.what} shows {known.checkpoint.size}; "
            "get a newer copy of the log, and if there is none, entries were removed",
        )


def _read_all(
    get: Getter, size: int, marks: set[int], readers: Sequence[Reader], progress: Progress | None
) -> _Findings:
    findings = _Findings()
    tree, problem = findings.tree, form.problem
    for bundle, tile in zip(tiles_of_level(ENTRIES, size), tiles_of_level(0, size), strict=True):
        stored = fetch_hashes(get, tile)
        bodies = _read_bundle(get, bundle, stored)
        leaves = [sha256(b"\0" + body).digest() for body in bodies]
        start = tree.size
        if findings.other_hash is None and b"".join(leaves) != stored:
            wrong = _first_difference(b"".join(leaves), stored)
            findings.other_hash = (start + wrong, tile.path)
        if findings.malformed is None and findings.other_hash is None:
            for offset, body in enumerate(bodies):
                if (sentence := problem(body)) is not None:
                    findings.malformed = (start + offset, sentence)
                    break
        if findings.malformed is None and findings.other_hash is None:
            for reader in readers:
                reader(start, bodies)
        for mark in marks:
            if start < mark <= start + len(leaves):
                past = tree.copy()
                past.extend(leaves[: mark - start])
                findings.roots[mark] = past.root()
        for full in tree.extend(leaves):
            if full.level:
                _compare_upper(get, Tile(full.level, full.n), full.hashes, findings)
        if progress is not None:
            progress(tree.size, size)
    for tile, hashes in tree.partial_tiles():
        if tile.level:
            _compare_upper(get, tile, hashes, findings)
    return findings


def _read_bundle(get: Getter, bundle: Tile, stored: bytes) -> list[bytes]:
    data, width = fetch(get, bundle)
    try:
        return decode_bundle(data, width)[: bundle.width]
    except MalformedTile as error:
        whole, _ = split_bundle(data)
        wrong = _first_difference(b"".join(map(leaf_hash, whole)), stored)
        place = f"; entry {bundle.n * TILE_WIDTH + wrong} is the first wrong one" if wrong < bundle.width else ""
        raise Refused("bundle", f"{bundle.path}: {error}{place}") from None


def _first_difference(one: bytes, other: bytes) -> int:
    """Number of equal hashes at the start of two rows of hashes."""
    pairs = zip(split_hashes(one), split_hashes(other), strict=False)
    shorter = min(len(one), len(other)) // HASH_SIZE
    return next((number for number, (left, right) in enumerate(pairs) if left != right), shorter)


def _compare_upper(get: Getter, tile: Tile, hashes: bytes, findings: _Findings) -> None:
    stored = fetch_hashes(get, tile)
    if stored != hashes and findings.other_tile is None:
        assert isinstance(tile.level, int)
        span = TILE_WIDTH**tile.level
        first = (tile.n * TILE_WIDTH + _first_difference(stored, hashes)) * span
        findings.other_tile = (first, first + span - 1, tile.path)


def _judge(findings: _Findings, checkpoint: Checkpoint) -> None:
    """Names the fault. Where the entries give the signed root, they are genuine and what differs beside them is not."""
    genuine = findings.tree.root() == checkpoint.root
    if findings.other_hash is not None:
        index, path = findings.other_hash
        if genuine:
            raise Refused("tile", f"{path} was altered at entry {index}; the entries are those that were signed")
        raise Refused("entry", f"entry {index} is the first wrong one: its hash is not the one in {path}")
    if findings.other_tile is not None:
        first, last, path = findings.other_tile
        if genuine:
            raise Refused("tile", f"{path} was altered; the entries are those that were signed")
        raise Refused("entry", f"one of the entries {first} to {last} was changed together with its hash: see {path}")
    if not genuine:
        raise Refused("root", "the entries do not give the signed root: entries and their hashes were changed together")
    if findings.malformed is not None:
        index, sentence = findings.malformed
        raise Refused("schema", f"entry {index}: {sentence}")


def check_witnesses(signed: SignedCheckpoint, policy: Policy) -> dict[VerifierKey, int]:
    """When each witness of `policy` cosigned (Unix seconds). Raises Refused if they are no quorum.

    A wrong cosignature is not counted. Where the policy names logs, one of them must have signed.
    """
    if policy.logs and not set(signed.signers) & set(policy.logs):
        raise Refused("signature", "the checkpoint is not signed by a log that your policy names")
    times = cosignatures(signed.note, policy.keys)
    if not policy.met(times):
        found = f"{len(times)} of your {len(policy.witnesses)} witnesses cosigned"
        if len(times) < policy.fewest:
            raise Refused("witness", f"{found}, and {policy.fewest} are needed")
        raise Refused("witness", f"{found}, but they are no quorum of your policy")
    return times


def check_receipt(data: bytes, entry: bytes, keys: Sequence[VerifierKey]) -> tuple[Receipt, SignedCheckpoint]:
    """The receipt and the verified checkpoint in it, which covers `entry`. Raises Refused."""
    try:
        receipt = Receipt.parse(data)
        signed = receipt.verify(entry, keys)
    except (ReceiptError, NoteError) as error:
        raise Refused("receipt", str(error)) from None
    if (sentence := form.problem(entry)) is not None:
        raise Refused("schema", f"entry {receipt.index}: {sentence}")
    return receipt, signed


# `Opening.encode` of audit.log.commitments writes this: canonical JSON, so the value's bytes are the last thing in it.
_OPENING = re.compile(rb'\{"field":"([a-z][a-z0-9_]{0,79})","salt":"([0-9a-f]{64})","value":(.+)\}\n?', re.DOTALL)


def check_opening(data: bytes, entry: bytes) -> tuple[str, str]:
    """The field and the value (as ASCII JSON) of an opening that fits `entry`, which is in its form. Raises Refused.

    commitment = SHA-256("glasscase/v1" 0x00 field 0x00 salt value), over the value's bytes as they stand in the opening.
    """
    found = _OPENING.fullmatch(data)
    try:
        value = json.loads(found[3]) if found else None
    except (ValueError, RecursionError):
        found = None
    if found is None:
        raise Refused("opening", "the opening is not of the form that the log browser writes")
    name = found[1].decode("ascii")
    commitment = json.loads(entry).get("c", {}).get(name)
    if commitment is None:
        raise Refused("opening", f"the entry does not commit to {name}")
    salted = b"glasscase/v1\0" + found[1] + b"\0" + bytes.fromhex(found[2].decode("ascii")) + found[3]
    if sha256(salted).hexdigest() != commitment:
        raise Refused("opening", f"this value of {name} is not the one that the entry commits to")
    return name, json.dumps(value)
