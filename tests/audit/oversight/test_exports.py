"""An export checks itself on a machine with Python alone, and says when it was changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.log import journal, verifier_keys
from audit.oversight import evidence, exports, verifier_file


@pytest.fixture
def export(database: Any, pump: Any, tmp_path: Path) -> Path:
    for _ in range(300):
        journal.record_now("log:entries:viewed")
    pump()
    call_command("export_log", tmp_path / "log")
    return tmp_path / "log"


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """The program as its text says, isolated (-I), in an empty environment and far from the product's source."""
    done = subprocess.run(
        [sys.executable, "-I", verifier_file.NAME, *arguments],
        cwd=folder,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()[-1]


def test_an_export_holds_all_that_its_check_needs(export: Path) -> None:
    key = verifier_keys.published()[0]
    assert (export / exports.KEYS).read_text() == f"{key}\n"
    text = (export / exports.HOW_TO).read_text()
    assert evidence.fingerprint(key) in text
    assert hashlib.sha256((export / verifier_file.NAME).read_bytes()).hexdigest() in text
    assert os.access(export / verifier_file.NAME, os.X_OK)
    command = next(line.split() for line in text.splitlines() if line.strip().startswith("python3 -I"))
    status, last = run(export, *(word.strip("'") for word in command[3:]))
    assert status == 0
    assert last.startswith("OK size=300 root=")


def test_the_one_file_says_no_with_status_1(export: Path, tmp_path: Path) -> None:
    key = str(verifier_keys.published()[0])
    bundle = export / "tile" / "entries" / "000"
    data = bytearray(bundle.read_bytes())
    data[500] ^= 1
    bundle.write_bytes(data)
    status, last = run(export, ".", "--key", key)
    assert status == 1
    assert last.startswith("FAIL: ")
    shutil.rmtree(export / "tile")
    assert run(export, ".", "--key", key)[0] == 1


def test_the_one_file_has_the_same_bytes_every_time_and_nothing_needless(tmp_path: Path) -> None:
    verifier_file.write(tmp_path / "one.pyz")
    verifier_file.build.cache_clear()
    assert verifier_file.build() == (tmp_path / "one.pyz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.pyz") as archive:
        names = set(archive.namelist())
        assert names == {*verifier_file.MODULES, "__main__.py"}
        for name in names:
            source = archive.read(name).decode()
            assert "import django" not in source
            assert "from django" not in source
    program = "import sys; sys.path.insert(0, sys.argv[1]); import audit.log.verify; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "one.pyz")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = {name for name in done.stdout.split() if name.partition(".")[0] in ("audit", "core", "search")}
    assert {f"{name.replace('.', '/')}" for name in ours} == {
        name.removesuffix(".py").removesuffix("/__init__") for name in verifier_file.MODULES
    }


def test_an_export_before_the_first_signature_or_over_something_is_refused(
    database: Any, pump: Any, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="no signed checkpoint"):
        call_command("export_log", tmp_path / "log")
    journal.record_now("log:entries:viewed")
    pump()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_log", tmp_path / "full")


def test_a_frozen_log_can_still_be_exported(database: Any, pump: Any, as_role: Any, tmp_path: Path) -> None:
    journal.record_now("log:entries:viewed")
    pump()
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    call_command("export_log", tmp_path / "log")
    assert (tmp_path / "log" / exports.HOW_TO).is_file()
