"""An export checks itself on a machine with Python alone, and says when it was changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.log import journal, verifier_keys
from audit.oversight import evidence, exports, verifier_file, verifier_package


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


def test_the_package_installs_alone_and_brings_the_command(export: Path, tmp_path: Path) -> None:
    verifier_package.write(tmp_path / verifier_package.NAME)
    verifier_package.build.cache_clear()
    assert verifier_package.build() == (tmp_path / verifier_package.NAME).read_bytes()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*install, "--target", tmp_path / "alone", tmp_path / verifier_package.NAME], check=True)
    assert sorted(path.name for path in (tmp_path / "alone").iterdir() if path.suffix != ".dist-info") == [
        "audit",
        "bin",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            tmp_path / "alone" / "bin" / "glasscase-verify",
            export,
            "--key",
            str(verifier_keys.published()[0]),
        ],
        env={"PATH": os.defpath, "PYTHONPATH": str(tmp_path / "alone")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("OK size=300 root=")


def test_a_version_of_the_package_is_that_of_the_product() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == verifier_package.VERSION


def test_the_command_prints_what_belongs_on_paper(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verifier", tmp_path / "some" / "one.pyz")
    printed = capsys.readouterr().out
    key = verifier_keys.published()[0]
    assert f"{key}\n  fingerprint {evidence.fingerprint(key)}\n" in printed
    for file in ("one.pyz", verifier_package.NAME):
        assert hashlib.sha256((tmp_path / "some" / file).read_bytes()).hexdigest() in printed


def test_a_zip_file_holds_what_the_directory_holds_and_is_checked_as_it_is(export: Path, tmp_path: Path) -> None:
    call_command("export_log", tmp_path / "copies" / "log.zip")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["log.zip"], "no draft is left"
    with zipfile.ZipFile(tmp_path / "copies" / "log.zip") as archive:
        assert archive.namelist()[-1] == "checkpoint"
        unpacked = tmp_path / "unpacked"
        archive.extractall(unpacked)
    tiles = {
        path.relative_to(export) for path in (export / "tile").rglob("*") if path.is_file() and ".p" not in str(path)
    }
    assert tiles
    for path in tiles:
        assert (unpacked / path).read_bytes() == (export / path).read_bytes()
    assert {path.name for path in unpacked.iterdir()} == {path.name for path in export.iterdir()}
    status, last = run(export, str(tmp_path / "copies" / "log.zip"), "--key", str(verifier_keys.published()[0]))
    assert (status, last.split(" ")[0]) == (0, "OK")
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_log", tmp_path / "copies" / "log.zip")


def test_an_export_before_the_first_signature_or_over_something_is_refused(
    database: Any, pump: Any, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="no signed checkpoint"):
        call_command("export_log", tmp_path / "log")
    with pytest.raises(CommandError, match="no signed checkpoint"):
        call_command("export_log", tmp_path / "log.zip")
    assert not list(tmp_path.glob("*.zip*"))
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
