"""Celery's periodic tasks of searching: each is a call."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import structlog
from celery.signals import worker_ready

from core.celery import app
from search import codes, erasure, galleries, life, removal

_log = structlog.get_logger(__name__)


@worker_ready.connect
def warm_galleries(sender: Any, **_: Any) -> None:
    """A worker of searches has started, perhaps after the database was: the first search shall not wait for the disk."""
    if any(queue.name == "search" for queue in sender.task_consumer.queues):
        threading.Thread(target=_warm, name="warm galleries", daemon=True).start()


def _warm() -> None:
    try:
        galleries.warm()
    except psycopg.Error:
        _log.warning("galleries were not warmed", exc_info=True)


@app.task(name="search.expire_requests")
def expire_requests() -> None:
    """End the requests that waited too long."""
    life.expire_old()


@app.task(name="search.resume_searches")
def resume_searches() -> None:
    """Queue the searches again that nothing works on."""
    life.resume()


@app.task(name="search.seal_overdue")
def seal_overdue() -> None:
    """Seal the results of emergencies that nobody approved in time."""
    life.seal_overdue()


@app.task(name="search.finish_erasures")
def finish_erasures() -> None:
    """Erase what a killed process left half done."""
    removal.finish_erasures()
    erasure.finish()


@app.task(name="search.erase_due")
def erase_due() -> None:
    """Erase what was kept as long as it may be."""
    erasure.erase_due()


@app.task(name="search.build_codes")
def build_codes() -> None:
    """Queue the codes that searches in two stages wait for."""
    codes.queue()
