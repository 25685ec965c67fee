"""The database as Celery's broker: no other server is needed to start.

A transport of kombu's with three changes: it connects as the app role with the password looked up when needed, it polls
often enough for a person who waits, and it serves queues in the order in which they are declared, so that an officer's
search is taken before an evaluation. It does not redeliver after a crash and offers no remote control: the job table
is the truth, and its reconciler enqueues again what was lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import psycopg
from django.conf import settings
from kombu.transport import sqlalchemy
from kombu.utils.scheduling import FairCycle
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SADeprecationWarning
from sqlalchemy.orm import configure_mappers

from core import database

POLL_SECONDS = 0.1


class InOrder(FairCycle):
    """Asks the queues in the order of `settings.GLASSCASE_QUEUES`, from the first one every time."""

    def get(self, callback: Callable[..., Any], **options: Any) -> Any:
        for queue in sorted(self.resources, key=settings.GLASSCASE_QUEUES.index):
            try:
                return self.fun(queue, callback, **options)
            except self.predicate:
                continue
        raise self.predicate()


class Channel(sqlalchemy.Channel):
    def _engine_from_config(self) -> Engine:
        with warnings.catch_warnings():
            # kombu's tables still use a loader that SQLAlchemy will drop one day; nothing here can change that.
            warnings.simplefilter("ignore", SADeprecationWarning)
            configure_mappers()
        return create_engine("postgresql+psycopg://", creator=lambda: connect(), pool_size=2, pool_pre_ping=True)

    def _put(self, queue: Any, payload: Any, **_: Any) -> None:  # type: ignore[override]  # as kombu names them
        try:
            super()._put(queue, payload)
        except Exception:
            # The session of a lost connection stays unusable, and the process keeps its channel for years.
            if self._session is not None:
                self._session.close()
            self._session = None
            raise

    def _reset_cycle(self) -> None:
        self._cycle = InOrder(self._get_and_deliver, self._active_queues, sqlalchemy.Empty)


class Transport(sqlalchemy.Transport):
    Channel = Channel
    # As a transport option it would be handed to SQLAlchemy, which refuses it.
    polling_interval = POLL_SECONDS


def connect() -> psycopg.Connection:
    """Open a connection for the transport: role app, names looked up in the schema `broker` alone."""
    found = database.parameters("app")
    found["options"] = f"{found.get('options', '')} -c search_path=broker"
    return psycopg.connect(**found, application_name="glasscase broker")


def forget_connections() -> None:
    """Drop what a forked process inherited from its parent, without closing the parent's connections."""
    for engine, _ in sqlalchemy.Channel._engines.values():
        engine.dispose(close=False)
    sqlalchemy.Channel._engines.clear()


def close_connections() -> None:
    """Close this process's connections to the broker; the next message opens new ones."""
    for engine, _ in sqlalchemy.Channel._engines.values():
        engine.dispose()


def prune(seconds: int = 3600) -> int:
    """Delete messages that were delivered more than `seconds` ago (the transport keeps them); return how many."""
    with database.connect("app") as connection:
        deleted = connection.execute(
            # The transport writes this time at delivery, in the clock and zone of its process, which is UTC.
            "DELETE FROM broker.kombu_message WHERE NOT visible "
            "AND timestamp < (clock_timestamp() AT TIME ZONE 'UTC') - make_interval(secs => %s)",
            (seconds,),
        )
        return deleted.rowcount
