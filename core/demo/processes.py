"""The product's own commands, run as a person would run them, and the processes that have to run beside them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings


class StepFailed(RuntimeError):
    """A command of the demonstration did not do what it has to do."""


@dataclass(frozen=True)
class Outcome:
    """Exit status, the JSON object on the last line of the output (if it is one), and that last line."""

    status: int
    said: dict[str, Any]
    last: str


def _last_line(text: str) -> tuple[dict[str, Any], str]:
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    with contextlib.suppress(ValueError):
        value = json.loads(last)
        if isinstance(value, dict):
            return value, last
    return {}, last


def _run(arguments: list[str], expect: tuple[int, ...]) -> Outcome:
    # Progress bars go to the terminal; what a command says last is read here.
    ended = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR, check=False)
    said, last = _last_line(ended.stdout)
    if ended.returncode not in expect:
        raise StepFailed(f"{' '.join(arguments[1:4])} ended with status {ended.returncode}: {last}")
    return Outcome(ended.returncode, said, last)


def manage(*arguments: str | Path, expect: tuple[int, ...] = (0,)) -> Outcome:
    """Runs `manage.py …`. Raises StepFailed for an exit status that is not expected."""
    return _run([sys.executable, str(settings.BASE_DIR / "manage.py"), *map(str, arguments)], expect)


def verify(*arguments: str | Path, expect: tuple[int, ...] = (0,)) -> Outcome:
    """Runs `glasscase-verify …`, which needs neither Django nor the database."""
    return _run([sys.executable, "-m", "audit.log.verify", *map(str, arguments)], expect)


@contextlib.contextmanager
def running(*commands: str) -> Iterator[None]:
    """Runs `manage.py COMMAND` for each command beside the block, and stops them at its end."""
    log = Path(settings.GLASSCASE_HOME) / "logs"
    log.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for command in commands:
            output = stack.enter_context((log / f"demo-{command}.log").open("ab"))
            child = subprocess.Popen(
                [sys.executable, str(settings.BASE_DIR / "manage.py"), command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=settings.BASE_DIR,
            )
            stack.callback(child.wait, 20)
            stack.callback(child.terminate)
        yield
