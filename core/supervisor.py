"""Several programs as children of one process: started, restarted when they die, stopped together, none left behind.

Every child has a session of its own, so a Ctrl-C in the terminal reaches this process alone, and on Linux every child is
told to stop by the kernel when this process is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.process import REFUSED

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
# A child that ran for so long and then died starts again at once.
STEADY_SECONDS: Final = 60.0
# How long children may finish what they are doing; jobs survive a kill.
GRACE_SECONDS: Final = 15.0
_POLL: Final = 0.2
_PR_SET_PDEATHSIG: Final = 1
_LARGEST_LOG: Final = 10 * 1024 * 1024
_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """One child: its command and what it adds to the environment. Those with a lower `stage` are stopped first."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stage: int = 0


class _Child:
    """One program with its current process, if any."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.pause = FIRST_PAUSE
        self.due: float | None = 0.0  # when to start it; None: not again

    def start(self) -> None:
        self.started = time.monotonic()
        self.due = None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.program.command),
                env={**os.environ, **self.program.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Safe here: this process has one thread.
                preexec_fn=_die_with(os.getpid()),
            )

    def ended(self) -> int | None:
        """The exit status once the process has ended; whatever it left in its session is ended first."""
        if self.process is None:
            return None
        seen = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if seen is None:
            return None
        # Before it is reaped, its number cannot belong to anybody else.
        self.signal_all(signal.SIGKILL)
        return self.process.wait()

    def signal_all(self, number: signal.Signals) -> None:
        """Signal the process and everything it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


def _die_with(parent: int) -> Callable[[], None] | None:
    if _libc is None:
        return None
    libc = _libc

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel


class Supervisor:
    """Runs `programs`; their output goes to files in `logs`. `say` gets a sentence for whoever watches."""

    def __init__(self, programs: Sequence[Program], logs: Path, say: Callable[[str], None]) -> None:
        self._say = say
        self._children = [_Child(program, logs / f"{program.name}.log") for program in programs]
        self._stop = threading.Event()
        for child in self._children:
            _rotate(child.log)

    def run(self, ready: Callable[[], bool] = lambda: True, announce: Callable[[], None] = lambda: None) -> None:
        """Runs the children until SIGTERM or SIGINT, then stops them; the second signal does not wait for them.

        `announce` is called once, as soon as `ready` says so.
        """
        before = {number: signal.signal(number, self._stopped) for number in (signal.SIGTERM, signal.SIGINT)}
        announced = False
        try:
            while not self._stop.is_set():
                for child in self._children:
                    self._look_after(child)
                if not announced and ready():
                    announced = True
                    announce()
                self._stop.wait(_POLL)
        finally:
            try:
                self._stop_all()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _stopped(self, *_: object) -> None:
        if self._stop.is_set():
            for child in self._children:
                child.signal_all(signal.SIGKILL)
        self._stop.set()

    def _look_after(self, child: _Child) -> None:
        status = child.ended()
        if status is not None:
            child.process = None
            self._plan(child, status)
        if child.due is not None and time.monotonic() >= child.due:
            child.start()

    def _plan(self, child: _Child, status: int) -> None:
        name = child.program.name
        if status == REFUSED:
            self._say(f"{name} has refused to go on and is not started again. It says why in {child.log}.")
            return
        now = time.monotonic()
        if now - child.started >= STEADY_SECONDS:
            child.pause = FIRST_PAUSE
        child.due = now + child.pause
        self._say(f"{name} ended with status {status}; it starts again in {child.pause:.0f} s. See {child.log}.")
        child.pause = min(child.pause * 2, LONGEST_PAUSE)

    def _stop_all(self) -> None:
        for stage in sorted({child.program.stage for child in self._children}):
            running = [child for child in self._children if child.program.stage == stage and child.process is not None]
            for child in running:
                assert child.process is not None
                # Not Popen.send_signal, which would reap a process that has just ended, and leave what it started.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.process.pid, signal.SIGTERM)
            until = time.monotonic() + GRACE_SECONDS
            while running and time.monotonic() < until:
                running = [child for child in running if child.ended() is None]
                time.sleep(_POLL / 4)
            for child in running:
                child.signal_all(signal.SIGKILL)
                assert child.process is not None
                child.process.wait()
                self._say(f"{child.program.name} did not stop within {GRACE_SECONDS:.0f} s and was killed.")


def _rotate(log: Path) -> None:
    """Keep one older file, so that logs do not grow for ever."""
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
