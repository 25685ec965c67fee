"""`glasscase-verify`: checks a published log, and receipts from it, without the people who run it.

    glasscase-verify LOG --key VKEY [--old CHECKPOINT] [--receipt FILE --entry FILE [--opening FILE]]
                     [--absence STATEMENT] [--selection FILE] [--witness FILE --quorum N]

Without LOG only the receipt, or the selection (an export of some entries), is checked. `--opening` holds a disclosed
value against the entry's commitment. `--absence` holds a statement of absence against every search entry of LOG.
`--witness` counts cosignatures on the checkpoint of LOG, or of the receipt or the selection where LOG is left out: its
FILE is a policy (c2sp.org/tlog-policy), or a list of keys that `--quorum` goes with. The last line is
`OK size=<entries> root=<base64>` (exit 0) or `FAIL: <category>: <reason>` (exit 1); `audit.log.check` lists the
categories. Needs Python alone.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from audit.log import absence, approval_proofs
from audit.log.check import Earlier, Reader, Refused, check_log, check_opening, check_receipt, check_witnesses
from audit.log.checkpoint import (
    COSIGNATURE,
    ED25519,
    NoteError,
    SignedCheckpoint,
    VerifierKey,
    encode_base64,
    open_checkpoint,
)
from audit.log.policy import Policy, PolicyError, is_policy
from audit.log.selection import Checked, check_selection
from audit.log.sources import Unreadable, open_source


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refused("input", f"{path} cannot be read: {error.strerror}") from None


def _parse_keys(vkeys: Iterable[str], algorithm: int, whose: str) -> list[VerifierKey]:
    try:
        keys = [VerifierKey.parse(vkey) for vkey in vkeys]
    except NoteError as error:
        raise Refused("input", str(error)) from None
    for key in keys:
        if key.algorithm != algorithm:
            raise Refused("input", f"the key of {key.name!r} is not {whose}")
    return list(dict.fromkeys(keys))


def _read_policy(path: str, quorum: int | None) -> Policy:
    """A policy file, or a text file with one vkey a line, of which `quorum` (all of them when None) have to cosign."""
    data = _read_file(path)
    try:
        if is_policy(data):
            if quorum is not None:
                raise Refused("input", f"{path} is a policy and says itself who is a quorum: leave --quorum out")
            return Policy.parse(data)
        lines = [line.strip() for line in data.decode().splitlines()]
        keys = [VerifierKey.parse(line) for line in lines if line and not line.startswith("#")]
        for key in keys:
            if key.algorithm != COSIGNATURE:
                raise Refused("input", f"the key of {key.name!r} is not a witness's")
        if not keys:
            raise Refused("input", f"{path} names no witness")
        keys = list(dict.fromkeys(keys))
        return Policy.of(keys, len(keys) if quorum is None else quorum)
    except UnicodeDecodeError:
        raise Refused("input", f"{path} is not a text file") from None
    except (NoteError, PolicyError) as error:
        raise Refused("input", f"{path}: {error}") from None


def _read_statement(path: str) -> absence.Reading:
    try:
        return absence.Reading(absence.Statement.parse(_read_file(path)))
    except absence.StatementError as error:
        raise Refused("absence", str(error)) from None


class _ProgressLine:
    """Tells on stderr how far a long check is, every two seconds."""

    PAUSE = 2.0  # seconds

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, done: int, size: int) -> None:
        if time.monotonic() - self._last >= self.PAUSE:
            self._last = time.monotonic()
            print(f"{done:,} of {size:,} entries checked", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="glasscase-verify", description="Checks a published Glasscase log, and receipts from it."
    )
    add = parser.add_argument
    add(
        "log",
        metavar="LOG",
        nargs="?",
        help="directory, zip file or http(s) address; may be left out with --receipt or --selection",
    )
    add("--key", metavar="VKEY", action="append", required=True, help="the log's verifier key; repeat after a rotation")
    add(
        "--old", metavar="CHECKPOINT", action="append", default=[], help="a checkpoint you kept; the log must extend it"
    )
    add("--receipt", metavar="FILE", help="a .tlog-proof file you were given")
    add("--entry", metavar="FILE", help="the entry that the receipt is for, byte for byte")
    add("--opening", metavar="FILE", action="append", default=[], help="a value that was disclosed from the entry")
    add("--absence", metavar="FILE", help="a statement that no search for a case stands in a part of the log")
    add("--selection", metavar="FILE", help="entries that were exported with their proofs: the zip, JSON or CSV file")
    add(
        "--witness",
        metavar="FILE",
        help="whom you trust: a tlog-policy file, or verifier keys of witnesses, one a line",
    )
    add("--quorum", metavar="N", type=int, help="how many of the keys must have cosigned (all of them when left out)")
    add("--token", metavar="TOKEN", help="token for reading the entries from an http(s) address")
    return parser


def _run(arguments: argparse.Namespace) -> SignedCheckpoint:
    keys = _parse_keys(arguments.key, ED25519, "a log's")
    policy = _read_policy(arguments.witness, arguments.quorum) if arguments.witness else None
    earlier: list[Earlier] = []
    for path in arguments.old:
        try:
            earlier.append(Earlier("the older checkpoint", open_checkpoint(_read_file(path), keys).checkpoint))
        except NoteError as error:
            raise Refused("old", f"{path}: {error}") from None
    if arguments.receipt:
        receipt, covering = check_receipt(_read_file(arguments.receipt), _read_file(arguments.entry), keys)
        earlier.append(Earlier("the receipt", covering.checkpoint))
    chosen: Checked | None = None
    if arguments.selection:
        chosen = check_selection(arguments.selection, keys)
        covering = chosen.signed
        earlier.append(Earlier("the selection", covering.checkpoint))
    opened = [check_opening(_read_file(path), _read_file(arguments.entry)) for path in arguments.opening]
    stated = _read_statement(arguments.absence) if arguments.absence else None
    outcome = None
    proofs = approval_proofs.Reading()
    if arguments.log is None:
        signed = covering
    else:
        try:
            source = open_source(arguments.log, token=arguments.token)
            readers: list[Reader] = [proofs, stated] if stated else [proofs]
            signed = check_log(source.get, keys, earlier=earlier, readers=readers, progress=_ProgressLine())
        except Unreadable as error:
            raise Refused("unreadable", str(error)) from None
    if proofs.misused is not None:
        search, approval, reason = proofs.misused
        raise Refused("approval", f"the search in entry {search} rests on the approval in entry {approval}: {reason}")
    if stated:
        try:
            outcome = stated.outcome(signed.checkpoint.origin, signed.checkpoint.size)
        except absence.StatementError as error:
            raise Refused("absence", str(error)) from None
    times = check_witnesses(signed, policy) if policy else {}
    for key in signed.signers:
        print(f"signed by {key.name} (key {key.key_id.hex()})")
    for key, seconds in times.items():
        print(f"cosigned by {key.name} at {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC")
    if policy:
        print(f"{len(times)} of {len(policy.witnesses)} witnesses cosigned")
    for known in earlier[: len(arguments.old)]:
        print(f"extends the older checkpoint of {known.checkpoint.size} entries")
    if arguments.receipt:
        print(f"the receipt's entry is number {receipt.index}")
    if chosen is not None:
        print(_said(chosen))
    for field, value in opened:
        print(f"the entry commits to {field}: {value}")
    for line in proofs.lines():
        print(line)
    for line in outcome.lines() if outcome else ():
        print(line)
    return signed


def _said(chosen: Checked) -> str:
    if not chosen.count:
        return "the selection holds no entry"
    entries = "1 entry" if chosen.count == 1 else f"{chosen.count} entries"
    return f"the selection holds {entries} of the log, from number {chosen.first} to {chosen.last}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (arguments.receipt is None) != (arguments.entry is None):
        parser.error("--receipt and --entry go together")
    if arguments.opening and arguments.entry is None:
        parser.error("--opening needs --receipt and --entry")
    if arguments.absence and arguments.log is None:
        parser.error("--absence needs the log")
    if arguments.log is None and ((arguments.receipt is None) == (arguments.selection is None) or arguments.old):
        parser.error("name the log to check, or one receipt, or one selection")
    if arguments.quorum is not None and arguments.witness is None:
        parser.error("--quorum needs --witness")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The last line has to come out on a terminal that cannot show the name of a file or of a log.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        checkpoint = _run(arguments).checkpoint
    except Refused as refusal:
        print(f"FAIL: {refusal}".replace("\n", " "))
        return 1
    print(f"OK size={checkpoint.size} root={encode_base64(checkpoint.root)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
