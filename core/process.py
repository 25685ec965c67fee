"""Long-running processes of ours: one step after another until told to stop, whatever the database does meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog
from django.conf import settings

from core import database

log = structlog.get_logger(__name__)

# Exit status of a process that has refused to go on: starting it again would change nothing, or do harm.
REFUSED: Final = 3

_LONGEST_PAUSE = 10.0


def run(
    role: str, step: Callable[[psycopg.Connection], Any], *, pause: float, fatal: tuple[type[Exception], ...]
) -> None:
    """Calls `step` with an autocommit connection of `role` every `pause` seconds until SIGTERM or SIGINT.

    A step's true result means that there may be more to do at once. A lost database is waited for with growing pauses; an
    exception of `fatal` ends the process, because going on would do harm.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    wait = pause
    connection: psycopg.Connection | None = None
    while not stop.is_set():
        try:
            if connection is None or connection.closed:
                connection = database.connect(role)
            more = step(connection)
            _show_life()
            if more:
                continue
            wait = pause
        except fatal:
            raise
        except (psycopg.Error, OSError) as error:
            log.warning("step failed, trying again", role=role, problem=type(error).__name__, seconds=wait)
            if connection is not None:
                connection.close()
            connection = None
            wait = min(wait * 2, _LONGEST_PAUSE)
        stop.wait(wait)
    if connection is not None:
        connection.close()


def _show_life() -> None:
    """Touch the file that a health check looks at, where GLASSCASE_HEARTBEAT_FILE names one."""
    if settings.GLASSCASE_HEARTBEAT_FILE:
        Path(settings.GLASSCASE_HEARTBEAT_FILE).touch()
