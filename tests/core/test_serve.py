"""`manage.py serve`: everything runs, a page and the signed log come out, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.log import journal
from core.management.commands.serve import programs

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "manage.py", "serve"]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


def get(port: int, path: str) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def belonging_to(home: Path) -> dict[int, str]:
    """The processes whose environment names this home, with their command lines: everything that serve started."""
    found = {}
    for place in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if place.name.isdecimal() and f"GLASSCASE_HOME={home}\0".encode() in (place / "environ").read_bytes():
                found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def test_a_busy_port_is_a_sentence(database: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        number = str(busy.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "--port", number],
            cwd=ROOT,
            env=database.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {number} on 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_is_signed_until_everything_else_has_stopped() -> None:
    stages = {program.name: program.stage for program in programs(8000, demo=False)}
    assert set(stages) == {
        "web",
        "worker",
        "enrolment-worker",
        "evaluation-worker",
        "beat",
        "notifier",
        "sequencer",
        "signer",
    }
    assert stages["web"] == stages["worker"] == 0
    assert min(stages["sequencer"], stages["signer"]) > stages["notifier"] > stages["web"]
    demo = {program.name: program.environment for program in programs(8000, demo=True)}
    assert demo["web"].items() >= {"GLASSCASE_HTTPS": "false", "GLASSCASE_DEMO": "true"}.items()
    assert demo["signer"]["GLASSCASE_DB_ROLE"] == "signer"


@pytest.mark.slow
def test_everything_starts_serves_and_stops_without_orphans(
    database: Any, port: int, mallory: psycopg.Connection
) -> None:
    (database.home / "demo").mkdir()
    (database.home / "demo" / "sign-ins.json").write_text(
        json.dumps([{"username": "bea", "password": "a heron stands", "role": "Oversight board"}])
    )
    journal.record_now("log:entries:viewed")
    before = set(belonging_to(database.home))
    environment = {**database.environment, "GLASSCASE_LOG_OPEN": "true"}
    with subprocess.Popen(
        [*COMMAND, "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if "bea" in line:
                break
        assert f"http://127.0.0.1:{port}/" in "".join(said)
        assert "a heron stands" in said[-1]
        status, page = get(port, "/account/login/")
        assert (status, b"<form" in page) == (200, True)
        assert b"generated people" in page
        until = time.monotonic() + 30
        while get(port, "/log/checkpoint")[0] != 200 and time.monotonic() < until:
            time.sleep(0.2)
        assert get(port, "/log/checkpoint")[1].startswith(b"glasscase.invalid/log\n")
        signing = next(pid for pid, command in belonging_to(database.home).items() if "manage.py signer" in command)
        os.kill(signing, signal.SIGKILL)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            again = [pid for pid, command in belonging_to(database.home).items() if "manage.py signer" in command]
            if again and again != [signing]:
                break
            time.sleep(0.2)
        assert again
        assert again != [signing]
        names = " ".join(belonging_to(database.home).values())
        for part in ("gunicorn", "-Q search,default", "-Q enrolment", "-Q evaluation", "beat", "sequencer", "notifier"):
            assert part in names, part
        running.send_signal(signal.SIGINT)
        assert "Stopped." in running.communicate(timeout=90)[0]
    assert running.returncode == 0
    assert set(belonging_to(database.home)) - before == set()
