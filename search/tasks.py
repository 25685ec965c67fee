"""Celery's periodic tasks of searching: each is a call."""

from __future__ import annotations

from core.celery import app
from search import codes, erasure, life, removal


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
