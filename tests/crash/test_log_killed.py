"""The log's processes killed, and everything outside them failed, at each step of append, sequence, sign, archive, record.

After each fault the next round has to find its way, and the account has to be right: no entry lost, no fork.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.log import entries, signer
from core import process as process_module
from core.embedded import Server
from tests import kits, run
from tests.crash.log_world import ORIGIN, Acts, Log, killed

ROOT = Path(__file__).resolve().parents[2]
MOST_ACTS = 60


@pytest.fixture
def log(database: kits.Clone) -> Log:
    made = Log(database.home)
    made.append()
    made.settle()
    return made


def prepare(log: Log, step: str) -> None:
    """What the step will find to do."""
    if step != "append":
        log.append()
    if step == "sign":
        log.sequence()


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["append", "sequence", "sign"])
def test_a_process_killed_at_any_of_its_acts_loses_nothing_and_forks_nothing(log: Log, step: str, after: bool) -> None:
    sizes = [log.account()]
    acts = 0
    for at in range(1, MOST_ACTS):
        prepare(log, step)
        if not killed(getattr(log, step), at, after=after):
            break
        acts = at
        log.append()
        log.settle()
        sizes.append(log.account())
    assert acts >= {"append": 1, "sequence": 8, "sign": 8}[step], "the faults did not reach the step"
    assert sizes == sorted(set(sizes)), "each round grew"


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["failed", "failed but happened"])
@pytest.mark.parametrize("step", ["sequence", "sign"])
def test_a_call_that_fails_or_only_seems_to_fail_is_made_up_for_by_the_next_step(
    log: Log, step: str, after: bool
) -> None:
    """As its process does: the same signer goes on after the fault, with a new connection."""

    def fail(sql: bool) -> None:
        raise psycopg.OperationalError("the connection is gone") if sql else OSError("no space left on device")

    log.account()
    faults = 0
    with signer.open_signer(log.place, ORIGIN) as one:
        for at in range(1, MOST_ACTS):
            prepare(log, step)
            one._compared = None  # due: archive and clearance are part of the step
            acts = Acts(at, fail, after=after)
            try:
                with acts.watching():
                    if step == "sign":
                        log.step_of(one, acts)
                    else:
                        log.sequence(acts)
            except (psycopg.OperationalError, OSError):
                faults += 1
            never = Acts(0, fail)
            log.append()
            log.step_of(one, never)
            log.sequence()
            log.step_of(one, never)
            log.account()
            if acts.done < at:
                break
    assert faults >= 8


@pytest.fixture
def installation() -> Iterator[tuple[Server, dict[str, str]]]:
    """A database of its own on the disk, with fsync: it is stopped without warning."""
    home = Path(tempfile.mkdtemp(prefix="gcc-", dir="/tmp"))
    home.chmod(0o711)
    server = Server(home, buffers_mb=run.BUFFERS_MB)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLASSCASE_")}
    environment = {
        **kept,
        "GLASSCASE_HOME": str(home),
        "GLASSCASE_HTTPS": "false",
        "GLASSCASE_DB_SHARED_BUFFERS_MB": str(run.BUFFERS_MB),
        "GLASSCASE_LOG_ORIGIN": ORIGIN,
        "DJANGO_SETTINGS_MODULE": "core.settings",
    }
    try:
        for command in (["init_database"], ["migrate", "--verbosity", "0"]):
            manage(environment, *command).wait(120)
        yield server, environment
    finally:
        data = (home / "pg").resolve()
        if data.exists():
            server.stop(immediately=True)
        if (home / "pg").is_symlink():
            shutil.rmtree(data.parent, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def manage(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class Clients:
    """People who append all the time, whatever happens, and remember what was answered."""

    def __init__(self, conninfo: str, count: int) -> None:
        self.answered: list[uuid.UUID] = []
        self._conninfo = conninfo
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(self._conninfo, autocommit=True) as app:
                while not self._stop.is_set():
                    entry = entries.compose("core:user:signed_in", user=uuid.uuid4())
                    app.execute("SELECT log.append(%s)", [entry.body])
                    self.answered.append(entry.id)
                    self._stop.wait(0.005)
            self._stop.wait(0.05)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)


@pytest.mark.slow
def test_a_database_stopped_without_warning_under_load_keeps_every_answered_entry(
    installation: tuple[Server, dict[str, str]], settings: Any
) -> None:
    server, environment = installation
    settings.GLASSCASE_HOME = server.home
    log = Log(server.home, "glasscase")
    conninfo = subprocess.run(
        [sys.executable, "manage.py", "dsn", "--role", "app"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    stopped_at_each_statement(server, log)
    names = ("sequencer", "sequencer", "signer")
    running = [manage({**environment, "GLASSCASE_DB_ROLE": name}, name) for name in names]
    clients = Clients(conninfo, 4)
    try:
        rounds = itertools.cycle((0, 2, 1))
        for number in range(4):
            grown(log, clients)
            if number % 2:
                server.stop(immediately=True)
                server.start()
            else:
                victim = next(rounds)
                running[victim].send_signal(signal.SIGKILL)
                running[victim].wait(20)
                running[victim] = manage({**environment, "GLASSCASE_DB_ROLE": names[victim]}, names[victim])
        grown(log, clients)
    finally:
        clients.stop()
        for process in running:
            process.send_signal(signal.SIGTERM)
        ended = [process.wait(30) for process in running]
    assert process_module.REFUSED not in ended, "nobody refused to go on"
    log.settle()
    log.appended += clients.answered
    assert log.account() >= len(clients.answered) > 100


def stopped_at_each_statement(server: Server, log: Log) -> None:
    """The server is stopped without a checkpoint before everything that a step writes, and before its last commit."""
    log.append()
    log.settle()
    log.account()

    def stop(_: bool) -> None:
        server.stop(immediately=True)

    def stopped(step: str, at: int, *, after: bool) -> bool:
        prepare(log, step)
        acts = Acts(at, stop, after=after, writes=True)
        with contextlib.suppress(psycopg.OperationalError):
            getattr(log, step)(acts)
        server.start()
        log.append()
        log.settle()
        log.account()
        return acts.done >= at

    for step, writes in (("append", 1), ("sequence", 4), ("sign", 2)):
        done = 0
        while stopped(step, done + 1, after=False):
            done += 1
        assert done >= writes, "the faults did not reach the step"
        assert stopped(step, done, after=True)


def grown(log: Log, clients: Clients) -> None:
    """Waits until entries that were answered from now on are signed."""
    goal, end = len(clients.answered) + 20, time.monotonic() + 60
    while len(clients.answered) < goal:
        assert time.monotonic() < end, "nothing is answered"
        time.sleep(0.02)
    wanted = clients.answered[goal - 1]
    while True:
        with contextlib.suppress(psycopg.Error), log.connect("reader") as own:
            row = own.execute(
                "SELECT p.index < (SELECT max(size) FROM log.checkpoint) FROM log.place p JOIN log.entry e ON e.id = p.entry_id"
                " WHERE e.uid = %s",
                [wanted],
            ).fetchone()
            if row is not None and row[0]:
                return
        assert time.monotonic() < end, "nothing is signed"
        time.sleep(0.05)
