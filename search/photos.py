"""Files of enrolled photos: the photo and the aligned crop that the face model saw, each sealed.

The key is derived (HKDF-SHA256) from two halves: one in PostgreSQL, which the gate gives for candidates of a reading
only, and one in the key store. Neither is enough; destroying the key store's half is the erasure.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from core import keystore, state
from core.exceptions import NotFound

HALF_BYTES: Final = 32
PHOTO: Final = "photo"
CROP: Final = "crop"


def path(template: uuid.UUID, kind: str) -> Path:
    """Where the sealed file lies: media/enrolled/<first two digits>/<template>.<kind>."""
    name = str(template)
    return state.directory("media") / "enrolled" / name[:2] / f"{name}.{kind}"


def new_half() -> bytes:
    """A new half of a key for PostgreSQL (32 random bytes)."""
    return secrets.token_bytes(HALF_BYTES)


def write(template: uuid.UUID, *, database_half: bytes, store_half: bytes, photo: bytes, crop: bytes) -> None:
    """Seal both files and put them on disk: durable when this returns, whole or not there at all."""
    for kind, clear in ((PHOTO, photo), (CROP, crop)):
        state.write_durably(
            path(template, kind), keystore.seal(database_half + store_half, _purpose(template, kind), clear)
        )


def read(template: uuid.UUID, database_half: bytes, kind: str = PHOTO) -> bytes:
    """The photo (JPEG) or the crop (PNG) of an enrolled template; `database_half` is what `gate.photo_key` gave.

    Raises NotFound when it was erased, keystore.Unsealable when the file or a half is not the one it was sealed with.
    """
    try:
        store_half = keystore.get(template)
        sealed = path(template, kind).read_bytes()
    except (keystore.KeyMissing, FileNotFoundError):
        raise NotFound("This photo was erased.") from None
    return keystore.unseal(database_half + store_half, _purpose(template, kind), sealed)


def erase(templates: Iterable[uuid.UUID]) -> None:
    """Destroy the key store's halves and delete the files; what is gone already is no error."""
    gone = list(templates)
    keystore.destroy_many(gone)
    for template in gone:
        for kind in (PHOTO, CROP):
            place = path(template, kind)
            place.unlink(missing_ok=True)
            state.draft_of(place).unlink(missing_ok=True)


def _purpose(template: uuid.UUID, kind: str) -> str:
    return f"enrolled {kind} {template}"
