"""What `manage.py doctor` says about the log: whether database, signer and archive agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from audit.log import comparison, recovery, sequencer, storage, succession, verifier_keys
from audit.log.archive import Archive
from audit.log.check import Earlier
from audit.log.checkpoint import Checkpoint
from audit.log.signer import KeyFiles, remembered
from core import database
from core.diagnosis import Finding


def log() -> Iterator[Finding]:
    """Frozen or not, waiting entries, and what the signer's memory and the archive know, where they are on this machine."""
    with database.connect("reader" if database.is_embedded() else settings.GLASSCASE_DB_ROLE) as connection:
        state = recovery.frozen(connection)
        row = connection.execute("SELECT size, root FROM logwork.head").fetchone()
        assert row is not None, "the migration makes the head"
        size, root = int(row[0]), bytes(row[1])
        if state is not None:
            yield Finding("log", False, f"frozen: {state.reason} Go through {comparison.RUNBOOK}")
        else:
            waiting = sequencer.loose(connection)
            sentence = (
                f"{waiting:,} entries wait too long: start sequencer and signer" if waiting else f"{size:,} entries"
            )
            yield Finding("log", not waiting, sentence)
        number = storage.origin(connection).number
        known = list(_known_here(number))
        if not known:
            yield Finding("log memory", True, "the signer's memory and the archive are not on this machine")
            return
        found = comparison.first_contradiction(size=size, root=root, get=storage.getter(connection, size), known=known)
        held = " and ".join(f"{earlier.what} ({earlier.checkpoint.size:,})" for earlier in known)
        yield Finding(
            "log memory",
            found is None,
            f"the database agrees with {held}" if found is None else f"{found.reason} Go through {comparison.RUNBOOK}",
        )


def _known_here(number: int) -> Iterator[Earlier]:
    home = Path(settings.GLASSCASE_HOME) / "signer"
    directory = succession.directory_of(home, number)
    origin = succession.origin_name(settings.GLASSCASE_LOG_ORIGIN, number)
    if directory.is_dir():
        signed = remembered(directory)
        yield Earlier("the signer's memory", Checkpoint(origin, signed.size, signed.root))
    archive = Path(settings.GLASSCASE_CHECKPOINT_ARCHIVE or home / "archive")
    try:
        keys = [*verifier_keys.published(), *KeyFiles(directory, origin).load_retired()]
    except verifier_keys.NoVerifierKey:
        return
    largest = Archive(archive, origin).largest([key for key in keys if key.name == origin])
    if largest is not None:
        yield Earlier("the archive of checkpoints", largest.checkpoint)
