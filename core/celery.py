"""The Celery application: `celery -A core.celery worker`, `celery -A core.celery beat`.

Tasks are thin: they take opaque ids, call a service and return nothing. Write `@app.task(...)` with this `app`.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init
from django.conf import settings
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")

# The scheme of `settings.DATABASE_BROKER_URL`; loaded only where that is the broker.
TRANSPORT_ALIASES["glasscase"] = "core.broker:Transport"

app = Celery("glasscase")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = [Queue(name, Exchange(name), routing_key=name) for name in settings.GLASSCASE_QUEUES]
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Let Django's configuration of logging stand; a receiver of this signal is all that Celery asks for."""


@worker_process_init.connect
def _start_clean(**_: Any) -> None:
    """A pool process must not talk over the sockets that it inherited from the worker."""
    if settings.BROKER_IS_DATABASE:
        from core import broker

        broker.forget_connections()
