"""The benchmarks run: their numbers are nobody's promise and are not looked at here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import ROOT


@pytest.mark.slow
def test_the_bench_of_the_log_writes_results_and_a_page_about_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "log", "--quick", "--out", str(tmp_path)],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(kept["benches"]) == {"log"}
    assert json.loads(done.stdout.splitlines()[-1]) == {"log": kept["benches"]["log"]["result"]}
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "## The log" in page
    assert "A quick run" in page
