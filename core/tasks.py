"""Celery's tasks of the platform itself: each is a call."""

from __future__ import annotations

import uuid

from core import broker, jobs
from core.celery import app


@app.task(name="core.prune_broker")
def prune_broker() -> None:
    """Delete delivered messages, where the database is the broker."""
    broker.prune()


@app.task(name="core.jobs.run")
def run_job(job_id: str) -> None:
    """Run one job of the job table, if it still waits."""
    jobs.run(uuid.UUID(job_id))


@app.task(name="core.jobs.reconcile")
def reconcile_jobs() -> None:
    """Queue again what dead workers left."""
    jobs.reconcile()
