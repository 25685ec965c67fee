"""The public keys that this installation's log is verified with: a small file that the signer writes, one vkey a line.

Workers check receipts with it before they search; on a server of its own, copy the file there (GLASSCASE_LOG_VKEYS).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from audit.log.checkpoint import VerifierKey
from core import state


class NoVerifierKey(RuntimeError):
    """The file with the log's public key is missing, so no receipt can be checked."""


def path() -> Path:
    """Where the verifier keys are."""
    return Path(settings.GLASSCASE_LOG_VKEYS or Path(settings.GLASSCASE_HOME) / "signer" / "vkey")


def published() -> list[VerifierKey]:
    """The keys, newest last. Raises NoVerifierKey."""
    return read(path())


def read(place: Path) -> list[VerifierKey]:
    """The keys in a file, newest last. Raises NoVerifierKey."""
    try:
        lines = place.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise NoVerifierKey(
            "The log's public key is not here yet. Start the signer once, or copy its key file to GLASSCASE_LOG_VKEYS."
        ) from None
    return [VerifierKey.parse(line) for line in lines]


def publish(keys: Sequence[VerifierKey]) -> None:
    """Makes these the keys of their log in the file where others look; everybody may read it. Harmless to repeat.

    Keys of other logs (earlier origins of this one) stay.
    """
    place = path()
    known = place.read_text(encoding="utf-8").split() if place.exists() else []
    names = {key.name for key in keys}
    lines = [line for line in known if VerifierKey.parse(line).name not in names] + [str(key) for key in keys]
    if lines != known:
        state.write_durably(place, "".join(f"{line}\n" for line in lines).encode(), mode=0o644)
