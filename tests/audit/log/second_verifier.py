"""The same logs before `aics-tlog`, a verifier of C2SP logs that nobody of this project wrote.

It checks signature, tiles, bundles and consistency; of what entries must look like it knows nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLACE = Path(sys.prefix) / "second_verifier"  # scripts/set_up.sh
Files = dict[str, bytes]


def second_verifier() -> Any:
    """The package; the test is skipped where it was not installed."""
    if not PLACE.is_dir():
        pytest.skip("The second verifier is not installed: run `make setup` where a package index can be reached.")
    if str(PLACE) not in sys.path:
        sys.path.append(str(PLACE))
    import aics_tlog

    return aics_tlog


def audit(reader: Any, note: bytes, vkey: str, *, old: tuple[int, bytes] | None = None) -> int:
    """The size of a log that stands the other program's whole check; `old` is the size and root of an older checkpoint.

    Raises ValueError or its subclasses, or what the program itself raises, with the reason.
    """
    other = second_verifier()
    result = other.verify_checkpoint(other.parse_note(note), other.parse_vkey(vkey))
    if not result.ok:
        raise ValueError(result.error)
    other.audit_tiles(reader, result.size, result.root)
    if old is not None:
        size, root = old
        if size > result.size:
            raise ValueError(f"the log has {result.size} entries, fewer than {size}")
        proof = other.consistency_proof_from_tiles(reader, size, result.size)
        if not other.verify_consistency(size, result.size, root, result.root, proof):
            raise ValueError("the log is not consistent with the older checkpoint")
    return int(result.size)


def audit_files(files: Files, vkey: str, *, old: tuple[int, bytes] | None = None) -> int:
    """As `audit`, for published files in memory."""
    return audit(second_verifier().MemoryTileReader(files), files.get("checkpoint", b""), vkey, old=old)


def refused(check: Callable[[], int]) -> str:
    """Why the other program refuses a log."""
    other = second_verifier()
    with pytest.raises((ValueError, other.TileMissingError, other.TileVerificationError)) as caught:
        check()
    return str(caught.value)
