"""Backups of the key store, with an end of their own: a destroyed key is gone for good when the last backup with it is.

A backup's name says when it ends. Whatever was backed up outlives its erasure by GLASSCASE_KEY_BACKUP_DAYS at most; entries of
erasures say until when (`backups_until`). Never put the key store into the backups of the database.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.log import journal
from core import keystore

_NAME: Final = re.compile(r"keys-until-(\d{8}T\d{6}Z)\.sqlite3")
_FORM: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Backup:
    """A file with all keys, to be gone at `ends`."""

    path: Path
    keys: int
    ends: datetime


def gone_by() -> int:
    """When the last backup that may hold a key destroyed now is gone, in milliseconds since 1970."""
    return round((timezone.now() + timedelta(days=settings.GLASSCASE_KEY_BACKUP_DAYS)).timestamp() * 1000)


def make(directory: Path) -> Backup:
    """Writes a backup into `directory` and removes those that have ended; the entry is committed with it.

    Raises FileExistsError for a second one in the same second, OSError when the directory cannot be written.
    """
    prune(directory)
    ends = (timezone.now() + timedelta(days=settings.GLASSCASE_KEY_BACKUP_DAYS)).replace(microsecond=0)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"keys-until-{ends.astimezone(UTC):{_FORM}}.sqlite3"
    with transaction.atomic(durable=True):
        keys = keystore.backup(path)
        journal.record("core:keys:backed_up", keys=keys, expires=round(ends.timestamp() * 1000), role="operator")
    return Backup(path, keys, ends)


def prune(directory: Path) -> list[Path]:
    """Overwrites and removes the backups in `directory` that have ended; returns them."""
    gone = []
    for path in sorted(directory.glob("keys-until-*.sqlite3")):
        found = _NAME.fullmatch(path.name)
        if found and datetime.strptime(found[1], _FORM).replace(tzinfo=UTC) <= timezone.now():
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            gone.append(path)
    return gone
