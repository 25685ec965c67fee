"""`make check`: run every checker, report all failures together, change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MANAGE = [sys.executable, "manage.py"]

CHECKS: dict[str, list[str]] = {
    "lint": [str(BIN / "ruff"), "check", "."],
    "format": [str(BIN / "ruff"), "format", "--check", "."],
    "types": [str(BIN / "mypy"), "core", "search", "audit", "scripts", "manage.py"],
    "deployment": [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"],
    "migrations": [*MANAGE, "makemigrations", "--check", "--dry-run", "--skip-checks"],
    "generated pages": [sys.executable, "scripts/generated.py", "--check"],
}


def environment(home: str) -> dict[str, str]:
    """Return an environment in which no command touches the installation's own state, nor any database."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GLASSCASE_")}
    nowhere = {"GLASSCASE_DB_HOST": "127.0.0.1", "GLASSCASE_DB_PORT": "1", "GLASSCASE_DB_PASSWORD": "unused"}
    # makemigrations warns that it could not ask a database whether its history is consistent: none is meant.
    return {**inherited, **nowhere, "GLASSCASE_HOME": home, "PYTHONWARNINGS": "ignore::RuntimeWarning"}


def main() -> int:
    """Run all checks; return the number that failed."""
    failed = []
    with tempfile.TemporaryDirectory() as home:
        for name, command in CHECKS.items():
            started = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False)
            print(
                f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name} ({time.monotonic() - started:.1f} s)",
                flush=True,
            )
            if done.returncode != 0:
                failed.append(name)
                print(f"{done.stdout}{done.stderr}".rstrip(), flush=True)
    print(f"Failed: {', '.join(failed)}." if failed else "All checks passed.")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
