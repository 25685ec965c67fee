"""What a worker of searches does when it starts: the database reads what is searched into its memory."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from kombu import Queue

from core import database as databases
from search import tasks
from tests.search.shelf import Shelf


def read(superuser: psycopg.Connection, edition: int) -> int:
    row = superuser.execute(
        "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_all_tables WHERE relid = %s::regclass",
        [f"gallery.template_{edition}"],
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("queues", "warms"), [(["search", "default"], True), (["evaluation"], False)])
def test_a_worker_of_searches_warms_what_is_searched(
    shelf: Shelf, as_superuser: psycopg.Connection, queues: list[str], warms: bool
) -> None:
    shelf.enrol(shelf.manifest(20))
    databases.session().execute("SELECT pg_stat_force_next_flush()")
    databases.session().execute("SELECT 1")
    before = read(as_superuser, shelf.edition)
    consumer: Any = SimpleNamespace(queues=[Queue(name) for name in queues])
    tasks.warm_galleries(sender=SimpleNamespace(task_consumer=consumer))
    for thread in threading.enumerate():
        if thread.name == "warm galleries":
            thread.join(30)
    # The server counts when the connection that read has ended, a moment later.
    deadline = time.monotonic() + (20 if warms else 1)
    while read(as_superuser, shelf.edition) == before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (read(as_superuser, shelf.edition) > before) == warms
