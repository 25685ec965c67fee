"""Pages of docs/ that are made from code: `--write` makes them again, `--check` compares and changes nothing.

Each is the output of one `manage.py` command. A page that does not exist yet is not compared.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Page -> the command that prints it.
PAGES: dict[str, list[str]] = {
    "docs/reference/events.md": ["events_reference"],
    "docs/reference/two-stage.md": ["two_stage_reference"],
    "docs/openapi.yaml": ["spectacular", "--validate", "--fail-on-warn"],
}


def printed(command: list[str], home: str) -> str:
    """Return what `manage.py command` prints, run with a state directory of its own."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**os.environ, "GLASSCASE_HOME": home},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"manage.py {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(mode: str) -> int:
    """Write or compare every page; return 1 when one differs."""
    differing = 0
    with tempfile.TemporaryDirectory() as home:
        for name, command in PAGES.items():
            page = ROOT / name
            if mode == "--write":
                page.parent.mkdir(parents=True, exist_ok=True)
                page.write_text(printed(command, home), encoding="utf-8")
            elif page.exists():
                before, after = page.read_text(encoding="utf-8"), printed(command, home)
                if before != after:
                    differing = 1
                    lines = difflib.unified_diff(
                        before.splitlines(), after.splitlines(), name, "from code", lineterm=""
                    )
                    print("\n".join(list(lines)[:40]))
                    print(f"{name} is not what the code says: run `make docs` and commit it.")
    return differing


if __name__ == "__main__":
    if sys.argv[1:] not in (["--write"], ["--check"]):
        sys.exit("usage: generated.py --write | --check")
    sys.exit(main(sys.argv[1]))
