"""`glasscase-witness.pyz`: the same bytes every time, only what it needs, and it starts far from the source."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from django.core.management import call_command

from audit.oversight import witness_file


def test_the_one_file_starts_with_python_alone(tmp_path: Path) -> None:
    call_command("witness", tmp_path / "out" / "witness.pyz")
    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "out/witness.pyz", "--state", "state", "--key", "key"),
            *("--name", "w.example", "--show-key"),
        ],
        cwd=tmp_path,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("w.example+")
    assert (tmp_path / "key").exists()


def test_the_one_file_has_the_same_bytes_every_time_and_nothing_needless(tmp_path: Path) -> None:
    witness_file.write(tmp_path / "one.pyz")
    witness_file.build.cache_clear()
    assert witness_file.build() == (tmp_path / "one.pyz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.pyz") as archive:
        assert set(archive.namelist()) == {*witness_file.MODULES, "__main__.py"}
    program = "import sys; sys.path.insert(0, sys.argv[1]); import audit.log.witness_server; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "one.pyz")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = {name for name in done.stdout.split() if name.partition(".")[0] in ("audit", "core", "search")}
    assert {name.replace(".", "/") for name in ours} == {
        name.removesuffix(".py").removesuffix("/__init__") for name in witness_file.MODULES
    }
