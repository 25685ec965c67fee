"""The log over HTTP: who gets what, with which headers, how far, and that an outsider's program verifies it."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.test import Client

from audit.log import entries, journal, verifier_keys
from audit.log.tiles import ENTRIES, paths_for, tile_path
from audit.log.verify import main
from audit.oversight import bundles
from core import tokens
from tests.people import Cast

Pump = Callable[[], None]


@pytest.fixture(autouse=True)
def _nobody_was_served_yet() -> Iterator[None]:
    bundles._recorded.clear()
    yield
    bundles._recorded.clear()


def bearer(user: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.issue(by=user, name='verify')[1]}"}


def served(connection: psycopg.Connection) -> list[dict[str, Any]]:
    rows = connection.execute("SELECT body FROM log.entry WHERE type = 'log:bundle:served' ORDER BY id").fetchall()
    return [json.loads(bytes(body)) for (body,) in rows]


def grow(connection: psycopg.Connection, count: int) -> None:
    for _ in range(count):
        connection.execute("SELECT log.append(%s)", [entries.compose("log:entries:viewed").body])


def size(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT max(size) FROM log.checkpoint").fetchone()
    assert row is not None
    return int(row[0])


def test_nothing_is_served_before_the_first_key_and_the_first_checkpoint(cast: Cast, client: Client) -> None:
    head = bearer(cast.bea)
    paths = ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1")
    assert [client.get(f"/log/{path}", headers=head).status_code for path in paths] == [503] * 3
    call_command("log_key", stdout=io.StringIO())
    assert [client.get(f"/log/{path}", headers=head).status_code for path in paths] == [404] * 3


def test_headers_are_those_of_the_format(cast: Cast, client: Client, pump: Pump) -> None:
    pump()
    head = bearer(cast.axel)
    checkpoint = client.get("/log/checkpoint", headers=head)
    assert checkpoint.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["Cache-Control"] == "no-store"
    hashes = client.get("/log/tile/0/000.p/3", headers=head)
    assert hashes.headers["Content-Type"] == "application/octet-stream"
    assert hashes.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert len(hashes.content) == 3 * 32
    bundle = client.get("/log/tile/entries/000.p/3", headers={**head, "Accept": "text/html"})
    assert bundle.status_code == 200
    assert bundle.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_every_size_is_served_and_nothing_beyond_the_checkpoint(
    cast: Cast, client: Client, pump: Pump, mallory: psycopg.Connection
) -> None:
    pump()
    first = size(mallory)
    grow(mallory, 270 - first)
    pump()
    assert size(mallory) == 270
    grow(mallory, 10)  # not sequenced: not there
    head = bearer(cast.bea)
    for published in (first, 270):
        for tile in paths_for(published):
            assert client.get(f"/log/{tile.path}", headers=head).status_code == 200, tile.path
    beyond = [
        tile_path(0, 1, 15),
        tile_path(ENTRIES, 1, 15),
        tile_path(0, 1),
        tile_path(ENTRIES, 1),
        tile_path(1, 0, 2),
    ]
    for path in [
        *beyond,
        "tile/0/0",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/64/000",
        "tile/0/x000/000",
        "tile/0/../x",
    ]:
        assert client.get(f"/log/{path}", headers=head).status_code == 404, path


def test_hash_tiles_need_a_sign_in_unless_the_setting_opens_them(
    cast: Cast, client: Client, pump: Pump, settings: Any
) -> None:
    pump()
    assert client.get("/log/checkpoint").status_code == 401
    assert client.get("/log/tile/0/000.p/1").status_code == 401
    client.force_login(cast.olivia)
    assert client.get("/log/checkpoint").status_code == 200
    client.logout()
    settings.GLASSCASE_LOG_OPEN = True
    assert client.get("/log/checkpoint").status_code == 200
    tile = client.get("/log/tile/0/000.p/1")
    assert tile.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Vary" not in tile.headers
    assert client.get("/log/tile/entries/000.p/1").status_code == 401


def test_entries_are_for_the_board_and_auditors(cast: Cast, client: Client, pump: Pump, mallory: Any) -> None:
    pump()
    for code, user in cast.by_role.items():
        client.force_login(user)
        expected = 200 if code in ("board", "auditor") else 403
        assert client.get("/log/tile/entries/000.p/1").status_code == expected, code
    assert [(one["actor"], one["reader"]) for one in served(mallory)] == [
        (str(user.id), str(user.id)) for user in (cast.bea, cast.axel)
    ]
    revoked, text = tokens.issue(by=cast.bea, name="old")
    tokens.revoke(by=cast.bea, token=revoked)
    client.logout()
    assert client.get("/log/tile/entries/000.p/1", headers={"Authorization": f"Bearer {text}"}).status_code == 401
    assert len(served(mallory)) == 2


def test_bundles_are_logged_once_per_token_and_hour_by_all_processes_together(
    cast: Cast, client: Client, pump: Pump, mallory: psycopg.Connection
) -> None:
    pump()
    first, second = bearer(cast.bea), bearer(cast.bea)
    for head in (first, first, second):
        assert client.get("/log/tile/entries/000.p/1", headers=head).status_code == 200
    bundles._recorded.clear()  # another web process
    assert client.get("/log/tile/entries/000.p/1", headers=first).status_code == 200
    assert len(served(mallory)) == 2
    assert len({one["reader"] for one in served(mallory)}) == 2
    assert all(one["role"] == "board" for one in served(mallory))
    client.get("/log/tile/0/000.p/1", headers=bearer(cast.axel))
    assert len(served(mallory)) == 2, "hash tiles are not logged"


def test_no_entries_without_an_entry_except_when_the_log_is_frozen(
    cast: Cast, client: Client, pump: Pump, as_role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump()
    head = bearer(cast.bea)

    def unavailable(*_: Any, **__: Any) -> None:
        raise journal.LogUnavailable("The log cannot be written now.")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "record_now", unavailable)
        assert client.get("/log/tile/entries/000.p/1", headers=head).status_code == 503
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    assert client.get("/log/tile/entries/000.p/1", headers=head).status_code == 200


@pytest.fixture
def address(database: Any) -> Iterator[str]:
    """A web server of its own process, as it runs in earnest."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "core.wsgi:application",
        "--bind",
        f"127.0.0.1:{port}",
        "--no-control-socket",
    ]
    with subprocess.Popen(command, env=database.environment, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/log"
        finally:
            server.terminate()


def test_the_verifier_checks_the_served_log(
    cast: Cast, pump: Pump, mallory: psycopg.Connection, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    grow(mallory, 600)
    pump()
    key = str(verifier_keys.published()[0])
    token = tokens.issue(by=cast.axel, name="verify")[1]
    assert main([address, "--key", key, "--token", token]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"OK size={size(mallory)} root=")
    assert len(served(mallory)) == 1
    assert main([address, "--key", key, "--token", "gct_" + "x" * 43]) == 1
    assert "needs a valid --token" in capsys.readouterr().out
    assert main([address, "--key", key, "--token", tokens.issue(by=cast.olivia, name="mine")[1]]) == 1
