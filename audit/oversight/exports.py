"""What is handed out with a copy of the log, so that whoever gets it can check it without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psycopg
import structlog
from django.conf import settings

from audit.log import journal, storage, verifier_keys, witness_policy
from audit.log.checkpoint import VerifierKey
from audit.oversight import archives, health, verifier_file
from audit.oversight.evidence import fingerprint
from audit.permissions import check_can_read_log
from core import database
from core.exceptions import Unavailable
from core.models import User
from core.permissions import signature
from core.person_roles import Permission

log = structlog.get_logger(__name__)

HOW_TO: Final = "HOW-TO-CHECK.txt"
KEYS: Final = "log.vkey"
POLICY: Final = "witness.policy"


def write(connection: psycopg.Connection, place: Path, keys: Sequence[VerifierKey], number: int | None = None) -> int:
    """Exports the log of that number (the open one when None) into an empty or new directory, or into a new file whose name
    ends in .zip, in the same layout, with the verifier and how to use it; returns the log's size.

    Raises storage.NotCovered when nothing is signed yet, FileExistsError when something is there already.
    """
    of = storage.origin(connection, number)

    def with_size(size: int) -> dict[str, bytes]:
        return dict(beside(keys, how_to(size, keys)))

    if place.suffix == ".zip":
        return storage.export_zip(connection, place, with_size, of)
    size = storage.export(connection, place, of)
    for name, content in with_size(size).items():
        (place / name).write_bytes(content)
    (place / verifier_file.NAME).chmod(0o755)
    return size


def beside(keys: Sequence[VerifierKey], text: str) -> Iterator[tuple[str, bytes]]:
    """What lies beside every export: the verifier, the keys, the witness policy if there is one, and `text`, which says how to check."""
    yield verifier_file.NAME, verifier_file.build()
    yield KEYS, "".join(f"{key}\n" for key in keys).encode()
    yield HOW_TO, text.encode()
    if witness_policy.configured() is not None:
        yield POLICY, Path(settings.GLASSCASE_WITNESS_POLICY).read_bytes()


def download(*, by: User) -> Iterator[bytes]:
    """The whole signed log as a zip file, piece by piece, for whoever may read it. The export is an entry first.

    Raises NotAllowed, Unavailable before the first signature, and LogUnavailable, except when the log is frozen: then it
    must stay possible to take away what it holds.
    """
    check_can_read_log(by)
    own = database.connect("app")
    try:
        keys = verifier_keys.published()
        size, files = storage.published_files(own)
        _record(by, size)
    except (storage.NotCovered, verifier_keys.NoVerifierKey) as problem:
        own.close()
        raise Unavailable(str(problem)) from None
    except BaseException:
        own.close()
        raise

    def each() -> Iterator[archives.Member]:
        with own:
            for name, content in beside(keys, how_to(size, keys)):
                yield name, [content]
            for name, content in files:
                yield name, [content]

    return archives.stream(each())


def _record(by: User, size: int) -> None:
    try:
        journal.record_now("log:export:made", size=size, **signature(by, Permission.READ_LOG))
    except journal.LogUnavailable:
        if health.state().frozen is None:
            raise
        log.warning("the log was exported without an entry: it is frozen", person=str(by.id))


def how_to(size: int, keys: Sequence[VerifierKey]) -> str:
    """The text beside an export."""
    witnesses = (
        f"""
7. Who else has seen this log? Its witnesses have cosigned the checkpoint. Write down yourself whom you trust, one
   verifier key a line, or compare {POLICY} with the paper, and count them:

   python3 -I {verifier_file.NAME} . {" ".join(f"--key '{key}'" for key in keys)} --witness {POLICY}
"""
        if witness_policy.configured() is not None
        else ""
    )
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
{witnesses}"""
