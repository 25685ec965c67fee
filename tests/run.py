"""One test run: its environment, chosen before any setting is read, its home directory, and the end of both.

Importing this module sets Django up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import django
from django.conf import settings

from core.embedded import Server, memory_bytes

_PREFIX = "gct-"
# Sockets have short names only, so homes are made here and not below pytest's own temporary directory. In memory where
# there is enough of it: a database is cloned ten times as fast there as on many disks.
_MEMORY, _DISK = Path("/dev/shm"), Path("/tmp")
_ENOUGH_MEMORY = 4 * 1024**3
_KEPT = {"GLASSCASE_FACES", "GLASSCASE_REQUIRE_BROWSER", "GLASSCASE_REQUIRE_REDIS", "GLASSCASE_TEST_HOME"}
BUFFERS_MB = 128


def _parent() -> Path:
    memory = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ENOUGH_MEMORY
    return _MEMORY if memory and memory_bytes() >= 2 * _ENOUGH_MEMORY else _DISK


def _choose_environment() -> Path:
    """Point the product at a home for this run and return it: the first process makes it, xdist's workers inherit."""
    for name in list(os.environ):
        if (name.startswith("GLASSCASE_") and name not in _KEPT) or name == "CELERY_BROKER_URL":
            del os.environ[name]
    if "GLASSCASE_TEST_HOME" not in os.environ:
        home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_parent()))
        home.chmod(0o711)  # as root, the server runs as a user of its own
        (home / "owner.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
        os.environ["GLASSCASE_TEST_HOME"] = str(home)
    home = Path(os.environ["GLASSCASE_TEST_HOME"])
    os.environ.update(
        GLASSCASE_HOME=str(home),
        GLASSCASE_HTTPS="false",
        GLASSCASE_DB_SHARED_BUFFERS_MB=str(BUFFERS_MB),
        GLASSCASE_DB_NAME="template",
        DJANGO_SETTINGS_MODULE="core.settings",
    )
    return home


def server(home: Path) -> Server:
    """Return the embedded server of a test home: small, and fast rather than safe against a crash of the machine."""
    return Server(home, buffers_mb=BUFFERS_MB, durable=False)


def remove(home: Path) -> None:
    """Stop the server of a test home, if any, and delete both."""
    data = (home / "pg").resolve()
    if data.exists():
        server(home).stop(immediately=True)
    if (home / "pg").is_symlink():
        shutil.rmtree(data.parent)
    shutil.rmtree(home)


def sweep() -> None:
    """Remove what killed test runs of this user have left: their servers would run for ever."""
    for home in (home for parent in (_MEMORY, _DISK) for home in parent.glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError, ValueError):
            if home.stat().st_uid != os.geteuid():
                continue
            owner = int((home / "owner.pid").read_text(encoding="ascii"))
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                remove(home)


HOME = _choose_environment()
django.setup()
# Every test client makes the middleware anew, which would list all static files each time: look for them when asked.
settings.WHITENOISE_AUTOREFRESH = True
