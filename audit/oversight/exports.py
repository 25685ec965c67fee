"""What is handed out with a copy of the log, so that whoever gets it can check it without asking anybody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg

from audit.log import storage
from audit.log.checkpoint import VerifierKey
from audit.oversight import verifier_file
from audit.oversight.evidence import fingerprint

HOW_TO: Final = "HOW-TO-CHECK.txt"
KEYS: Final = "log.vkey"


def write(connection: psycopg.Connection, place: Path, keys: Sequence[VerifierKey], number: int | None = None) -> int:
    """Exports the log of that number (the open one when None) into an empty or new directory, or into a new file whose name
    ends in .zip, in the same layout, with the verifier and how to use it; returns the log's size.

    Raises storage.NotCovered when nothing is signed yet, FileExistsError when something is there already.
    """
    of = storage.origin(connection, number)

    def beside(size: int) -> dict[str, bytes]:
        return {
            verifier_file.NAME: verifier_file.build(),
            KEYS: "".join(f"{key}\n" for key in keys).encode(),
            HOW_TO: how_to(size, keys).encode(),
        }

    if place.suffix == ".zip":
        return storage.export_zip(connection, place, beside, of)
    size = storage.export(connection, place, of)
    for name, data in beside(size).items():
        (place / name).write_bytes(data)
    (place / verifier_file.NAME).chmod(0o755)
    return size


def how_to(size: int, keys: Sequence[VerifierKey]) -> str:
    """The text beside an export."""
    listed = "\n".join(f"  {key}\n  fingerprint {fingerprint(key)}\n" for key in keys)
    named = " ".join(f"--key '{key}'" for key in keys)
    return f"""HOW TO CHECK THIS COPY OF THE LOG

This directory holds the first {size} entries of the log: what was recorded, in order, with the tree of hashes over it
(tile/) and the log's signature (checkpoint). You need Python 3.11 or newer and nothing else; no network, no account.

1. The key. Compare it with the paper that you were given, not with this file: whoever could forge the log could forge
   this file as well. The fingerprint is the SHA-256 of the key as it is written here.

{listed}
2. The program. {verifier_file.NAME} has the SHA-256 {verifier_file.digest()}
   Compare that with the paper too, or use another program that reads C2SP tlog-tiles.

3. The check, in this directory:

   python3 -I {verifier_file.NAME} . {named}

   The last line begins with OK, or with FAIL and the reason.

4. Did the log only grow since you last looked? Keep the file "checkpoint" of every copy, and give the older one:

   python3 -I {verifier_file.NAME} . {named} --old OLD-CHECKPOINT

5. A receipt that somebody gave you, with its entry, and a value that was disclosed from it:

   python3 -I {verifier_file.NAME} . {named} \\
       --receipt FILE.tlog-proof --entry FILE.entry.json --opening FILE.opening.json

6. A statement that no search for a case stands in a part of the log (or which entries are for it):

   python3 -I {verifier_file.NAME} . {named} --absence FILE.absence.json

   Read the lines before the last one: "absence shown" or "absence not shown", and why.
"""
