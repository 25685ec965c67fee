"""Periodic housekeeping of the platform itself."""

from __future__ import annotations

from core import broker
from core.celery import app


@app.task(name="core.prune_broker")
def prune_broker() -> None:
    """Delete delivered messages, where the database is the broker."""
    broker.prune()
