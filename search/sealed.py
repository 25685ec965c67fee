"""What is personal in a search request, sealed under the request's key: words and faces in its row, its files beside.

Destroying the key (`core.keystore.destroy`) erases all of it, in backups too.
"""

from __future__ import annotations

import json
import os
import secrets
import uuid
from pathlib import Path
from typing import Any, Final

from audit.log.commitments import Opening
from core import keystore, state
from core.exceptions import NotFound
from search.models import SearchRequest

_FIELDS: Final = "request"
_FILE: Final = "file"


def read(request: SearchRequest) -> dict[str, Any]:
    """The sealed values of a request; empty before the first were written. Raises NotFound when its key was destroyed."""
    if not request.sealed:
        return {}
    values: dict[str, Any] = unseal(request, _FIELDS, request.sealed)
    return values


def write(request: SearchRequest, values: dict[str, Any]) -> None:
    """Seals `values` (JSON) into the row, which the caller has locked and saves."""
    request.sealed = seal(request, _FIELDS, values)


def seal(request: SearchRequest, kind: str, values: Any) -> bytes:
    """`values` (JSON) sealed under the request's key, for a column of a row that belongs to the request."""
    clear = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return keystore.seal(keystore.create(request.id), kind, clear)


def unseal(request: SearchRequest, kind: str, column: bytes | memoryview) -> Any:
    """The values of such a column. Raises NotFound when the request's key was destroyed."""
    try:
        return json.loads(keystore.unseal(keystore.get(request.id), kind, bytes(column)))
    except keystore.KeyMissing:
        raise NotFound("What this request held has been erased.") from None


def opening(values: dict[str, Any], field: str, value: Any) -> Opening:
    """The opening of a commitment that several entries of a request share: made once, kept in `values`.

    Another value than the kept one gets a salt of its own.
    """
    kept = values.setdefault("openings", {}).get(field)
    if kept is not None and kept["value"] == value:
        return Opening(field, bytes.fromhex(kept["salt"]), value)
    made = Opening.of(field, value)
    values["openings"][field] = {"salt": made.salt.hex(), "value": value}
    return made


def probe_path(request: SearchRequest) -> Path:
    return state.directory("media/probes") / str(request.id)


def crop_path(request: SearchRequest) -> Path:
    """The aligned crop of the chosen face, as the face model saw it."""
    return state.directory("media/probes") / f"{request.id}.crop"


def attachment_path(attachment: uuid.UUID) -> Path:
    return state.directory("media/attachments") / str(attachment)


def write_file(request: SearchRequest, path: Path, clear: bytes) -> None:
    """Writes a file sealed under the request's key (photos: their own): whole, and on disk when this returns."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(keystore.seal(keystore.create(_file_record(request, path)), _FILE, clear))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_file(request: SearchRequest, path: Path) -> bytes:
    """The clear bytes of a file of the request. Raises NotFound when it, or its key, is gone."""
    try:
        data = path.read_bytes()
        try:
            return keystore.unseal(keystore.get(_file_record(request, path)), _FILE, data)
        except (keystore.KeyMissing, keystore.Unsealable):
            # Photos of older versions were sealed under the request's key.
            return keystore.unseal(keystore.get(request.id), _FILE, data)
    except (FileNotFoundError, keystore.KeyMissing):
        raise NotFound("This file is not kept any more.") from None


def photo_record(request: SearchRequest) -> uuid.UUID:
    """Where the key store keeps the key of the photo and its crop: they are erased earlier than what was typed."""
    return uuid.uuid5(request.id, "photo")


def _file_record(request: SearchRequest, path: Path) -> uuid.UUID:
    return photo_record(request) if path in (probe_path(request), crop_path(request)) else request.id
