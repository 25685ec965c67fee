"""Process logs: one line per event on standard error, as JSON or for people.

They say what the process does, never what an officer wrote: no names, case numbers, justifications or photos.
"""

from __future__ import annotations

import logging.config
from typing import Any

import structlog


def configuration(*, form: str, level: str) -> dict[str, Any]:
    """Return the logging configuration for `form` ("console" or "json") and a level's name."""
    steps = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending = (
        # Without the values of local variables, which the renderers show unless told otherwise.
        [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": steps,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
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
