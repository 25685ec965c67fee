"""Process logs: one line per event on standard error, as JSON or for people.

They say what the process does, never what an officer wrote: no names, case numbers, justifications or photos.
"""

from __future__ import annotations

import logging.config
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog


def places(error: BaseException) -> list[str]:
    """Where an error came from, causes first: without messages and values, which may be about a person."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    cause = error.__cause__ or error.__context__
    return frames if cause is None else [*places(cause), type(cause).__name__, *frames]


def _explain(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put an exception's type and places into the line, never its message: PostgreSQL's quote whole rows."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if error is None and given:
        error = sys.exc_info()[1]
    if error is not None:
        event.setdefault("error", type(error).__name__)
        event["traceback"] = places(error)
    return event


def configuration(*, form: str, level: str) -> dict[str, Any]:
    """Return the logging configuration for `form` ("console" or "json") and a level's name."""
    steps = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": steps,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _explain, ending],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"level": level},
            # Its records hold the whole request; the response says what is needed.
            "django.request": {"level": "ERROR"},
            "axes": {"level": "ERROR"},
            # It tells about the first start of its font cache, in the middle of an evaluation.
            "matplotlib": {"level": "WARNING"},
        },
    }


def configure(settings: dict[str, Any]) -> None:
    """Apply the configuration to logging and to structlog (Django calls this once, at set-up)."""
    logging.config.dictConfig(settings)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *settings["formatters"]["line"]["foreign_pre_chain"],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
