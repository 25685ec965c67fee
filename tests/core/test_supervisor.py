"""Children that die are started again, those that refuse are not, and none outlives the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUPERVISING = """
    import sys
    from pathlib import Path
    from core import supervisor
    supervisor.FIRST_PAUSE, supervisor.GRACE_SECONDS = 0.3, 1.5
    folder = Path(sys.argv[1])
    programs = [
        supervisor.Program(name, [sys.executable, "-c", (folder / name).read_text()], {"FOLDER": str(folder)}, stage)
        for stage, name in enumerate(sys.argv[2:])
    ]
    def say(sentence):
        print(sentence, flush=True)
    supervisor.Supervisor(programs, folder, say).run(announce=lambda: say("ready"))
    say("stopped")
"""
# Writes its process number, then sleeps; `NAME` is replaced.
STEADY = """
import os, pathlib, time
place = pathlib.Path(os.environ["FOLDER"])
with (place / "NAME.pids").open("a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(60)
"""


def start(folder: Path, **scripts: str) -> subprocess.Popen[str]:
    for name, script in scripts.items():
        (folder / name).write_text(script.replace("NAME", name))
    command = [sys.executable, "-c", textwrap.dedent(SUPERVISING), str(folder), *scripts]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def pids(folder: Path, name: str) -> list[int]:
    file = folder / f"{name}.pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_every_child_and_a_death_starts_one_again(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, one=STEADY, two=STEADY) as running:
        until(lambda: bool(pids(tmp_path, "one") and pids(tmp_path, "two")))
        os.kill(pids(tmp_path, "one")[0], signal.SIGKILL)
        until(lambda: len(pids(tmp_path, "one")) == 2)
        running.send_signal(number)
        said = running.communicate(timeout=15)[0]
    assert running.returncode == 0
    assert "one ended with status -9; it starts again" in said
    assert said.splitlines()[0] == "ready"
    assert said.splitlines()[-1] == "stopped"
    assert all(is_gone(pid) for pid in pids(tmp_path, "one") + pids(tmp_path, "two"))
    assert len(pids(tmp_path, "two")) == 1


def test_a_child_that_refuses_is_not_started_again(tmp_path: Path) -> None:
    with start(tmp_path, refusing=STEADY.replace("time.sleep(60)", "raise SystemExit(3)"), other=STEADY) as running:
        until(lambda: bool(pids(tmp_path, "refusing")))
        time.sleep(1.5)
        running.terminate()
        said = running.communicate(timeout=15)[0]
    assert len(pids(tmp_path, "refusing")) == 1
    assert "refusing has refused to go on and is not started again" in said


def test_the_pauses_between_starts_grow(tmp_path: Path) -> None:
    with start(tmp_path, broken=STEADY.replace("time.sleep(60)", "raise SystemExit(1)")) as running:
        until(lambda: len(pids(tmp_path, "broken")) == 3)
        running.terminate()
        said = running.communicate(timeout=15)[0]
    assert "starts again in 0 s" in said
    assert "starts again in 1 s" in said


def test_a_child_that_does_not_stop_is_killed_with_what_it_started(tmp_path: Path) -> None:
    stubborn = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"])
(pathlib.Path(os.environ["FOLDER"]) / "NAME.pids").write_text(f"{os.getpid()}\\n{inner.pid}\\n")
time.sleep(60)
"""
    with start(tmp_path, stubborn=stubborn) as running:
        until(lambda: len(pids(tmp_path, "stubborn")) == 2)
        running.terminate()
        said = running.communicate(timeout=15)[0]
    assert "stubborn did not stop" in said
    assert all(is_gone(pid) for pid in pids(tmp_path, "stubborn"))


def test_what_a_dead_child_left_behind_is_ended(tmp_path: Path) -> None:
    leaving = """
import os, pathlib, subprocess, sys, time
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with (pathlib.Path(os.environ["FOLDER"]) / "NAME.pids").open("a") as file:
    file.write(f"{inner.pid}\\n")
"""
    with start(tmp_path, leaving=leaving) as running:
        until(lambda: len(pids(tmp_path, "leaving")) == 2)
        assert is_gone(pids(tmp_path, "leaving")[0])
        running.terminate()
        running.communicate(timeout=15)
    assert all(is_gone(pid) for pid in pids(tmp_path, "leaving"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_children_stop_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with start(tmp_path, one=STEADY) as running:
        until(lambda: bool(pids(tmp_path, "one")))
        running.kill()
        running.communicate(timeout=15)
    until(lambda: all(is_gone(pid) for pid in pids(tmp_path, "one")))
