"""Process logs say where a fault was, never what was in it."""

from __future__ import annotations

import io
import logging
from logging.config import dictConfig

import pytest

from core import logs


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> io.StringIO:
    made = logs.configuration(form=request.param, level="INFO")["formatters"]
    stream = io.StringIO()
    root = {"version": 1, "disable_existing_loggers": False, "formatters": made}
    handler = {"class": "logging.StreamHandler", "formatter": "line", "stream": stream}
    dictConfig(
        {**root, "handlers": {"here": handler}, "loggers": {"a.fault": {"handlers": ["here"], "propagate": False}}}
    )
    return stream


@pytest.mark.parametrize("written", ["console", "json"], indirect=True)
def test_a_fault_is_logged_without_what_its_message_quotes(written: io.StringIO) -> None:
    try:
        try:
            raise KeyError("Olivia Orr")
        except KeyError as error:
            raise ValueError("Key (number)=(2026-00147) already exists") from error
    except ValueError:
        logging.getLogger("a.fault").exception("Internal Server Error: %s", "/cases/")
    line = written.getvalue()
    assert "Olivia" not in line
    assert "2026-00147" not in line
    assert all(word in line for word in ("ValueError", "KeyError", "test_logs.py", "/cases/"))
    assert line.count("\n") == 1
