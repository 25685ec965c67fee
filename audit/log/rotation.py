"""Replacing the key of the log: the new one signs beside the old one until everybody has it on paper, then alone.

The name of the log stays, so whoever has either key can verify every checkpoint of the overlap. The signer may run
meanwhile: it looks at its key files before every signature.
"""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from audit.log import entries
from audit.log.checkpoint import NoteError, VerifierKey, open_checkpoint
from audit.log.signer import KeyFiles, new_key
from core import state


class RotationRefusal(RuntimeError):
    """The key is not replaced now; the message says what comes first."""


def begin(files: KeyFiles, connection: psycopg.Connection) -> VerifierKey:
    """Makes the next key, announces it in the log and lets it sign beside the current one; returns its public half.

    `connection` is the signer's. Raises RotationRefusal. Killed before its end, it can be repeated or is complete.
    """
    if not files.current.exists():
        raise RotationRefusal("There is no key here to replace. Start the signer once.")
    if files.next.exists():
        raise RotationRefusal("The key is being replaced already: see manage.py log_key, then finish.")
    made = new_key()
    public = files.public_half(made)
    _append(connection, "log:key:announced", key=public.fingerprint)
    state.write_durably(files.next, made)
    return public


def finish(files: KeyFiles, connection: psycopg.Connection) -> VerifierKey:
    """Ends the overlap: from now on only the new key signs, and the old one is destroyed. Returns the new public half.

    Raises RotationRefusal before a checkpoint with both signatures is recorded.
    """
    if not files.next.exists():
        raise RotationRefusal("No key is being replaced: begin first.")
    old, new = (key.public for key in files.load())
    if not _both_signed(connection, old, new):
        raise RotationRefusal(
            "The largest checkpoint is not signed by both keys yet. Let the signer run, give the new key to the board and the "
            "courts on paper, then finish."
        )
    _append(connection, "log:key:rotated", previous=old.fingerprint, key=new.fingerprint)
    retired = list(dict.fromkeys([*files.load_retired(), old]))
    state.write_durably(files.retired, "".join(f"{key}\n" for key in retired).encode())
    files.next.replace(files.current)
    state.flush_directory(files.directory)
    return new


def _both_signed(connection: psycopg.Connection, *keys: VerifierKey) -> bool:
    notes = connection.execute(
        "SELECT note FROM log.checkpoint WHERE origin = (SELECT max(number) FROM log.origin) ORDER BY size DESC, at DESC LIMIT 5"
    ).fetchall()
    for (note,) in notes:
        with contextlib.suppress(NoteError):
            if set(open_checkpoint(str(note).encode(), keys).signers) == set(keys):
                return True
    return False


def _append(connection: psycopg.Connection, type_: str, **fields: Any) -> None:
    connection.execute("SELECT log.append_as_signer(%s)", [entries.compose(type_, **fields).body])
