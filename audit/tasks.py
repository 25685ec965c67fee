"""Celery's periodic tasks of measuring: each is a call."""

from __future__ import annotations

from core.celery import app


@app.task(name="audit.repeat_evaluations")
def repeat_evaluations() -> None:
    """Start the evaluations that are to be done again this month."""
    from audit import repetitions

    repetitions.start_due()
