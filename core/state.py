"""Where a running Glasscase keeps its files: directories and secrets below `settings.GLASSCASE_HOME`."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from django.conf import settings


def directory(name: str) -> Path:
    """Return the state directory `name` below the home, made if missing, readable by its owner only."""
    place = Path(settings.GLASSCASE_HOME) / name
    _make_private(place)
    return place


def _make_private(place: Path) -> None:
    """Make a directory and those above it that are missing, each readable by its owner only."""
    for missing in reversed([above for above in (place, *place.parents) if not above.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def draft_of(place: Path) -> Path:
    """Return where `write_durably` puts what is to become `place`; a killed process may leave it behind."""
    return place.with_name(f".{place.name}.draft")


def write_durably(place: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put `content` in the place of a file: on disk with its name when this returns, whole or not there at all.

    One process at a time may write one file.
    """
    _make_private(place.parent)
    draft = draft_of(place)
    draft.unlink(missing_ok=True)
    _write_new(draft, content, mode)
    draft.replace(place)
    flush_directory(place.parent)


def create_durably(place: Path, content: bytes, *, mode: int = 0o400) -> None:
    """Make a file that nobody overwrites: on disk with its name when this returns. Raises FileExistsError.

    A process that is killed meanwhile may leave a part of it.
    """
    made = [above for above in place.parents if not above.exists()]
    _make_private(place.parent)
    _write_new(place, content, mode)
    for above in {place.parent, *(new.parent for new in made)}:
        flush_directory(above)


def _write_new(place: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def flush_directory(place: Path) -> None:
    """Put the names in a directory on disk: a file whose name is lost in a power cut is lost."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def models_dir() -> Path | None:
    """Return the directory with this installation's own face models, beside the embedded one, if there is one."""
    place: Path = settings.GLASSCASE_MODELS_DIR
    return place if place.is_dir() else None


def kept_secret(place: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """Return the secret in the file `place`; the first caller makes it (mode 0600, its directory 0700).

    Several processes may ask at once: the file appears with its whole content or not at all, and all get the same.
    """
    try:
        return place.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    _make_private(place.parent)
    draft = place.with_name(f".{place.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, place)  # unlike a rename, a link never replaces what another process has just made
    finally:
        draft.unlink()
    return place.read_text(encoding="ascii").strip()
