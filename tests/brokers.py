"""A Redis of a test's own: started on a free port of loopback, made the broker of this process, stopped."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kombu import pools


@contextmanager
def redis(program: str, folder: Path) -> Iterator[str]:
    """A redis-server as docker-compose.yml starts it, keeping nothing on disk; gives the URL with its password."""
    import redis as client

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = secrets.token_hex(16)
    options = ["--save", "", "--appendonly", "no", "--dir", str(folder), "--requirepass", password]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port), *options], stdout=log, stderr=log
        )
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    try:
        with client.Redis.from_url(url) as asking:
            until = time.monotonic() + 20
            while True:
                try:
                    asking.ping()
                    break
                except client.ConnectionError:
                    assert time.monotonic() < until, (folder / "redis.log").read_text()
                    time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def sending_to(url: str) -> Iterator[None]:
    """What this process enqueues goes to the broker at this URL."""
    from core.celery import app

    before = app.conf.broker_url
    _switch(app, url)
    try:
        yield
    finally:
        _switch(app, before)


def _switch(app: Any, url: str) -> None:
    app.conf.broker_url = url
    pools.reset()  # they are of the process and would keep connections to the one before
    app._pool = None
    app.amqp._producer_pool = None
