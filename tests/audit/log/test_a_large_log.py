"""A log of more than 70,000 entries through the product itself: appended, sequenced in uneven steps, signed, exported, and checked
by `glasscase-verify` and by a verifier that others wrote, against checkpoints that were kept on the way."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command

from audit.log import sequencer, storage, verifier_keys
from audit.log.checkpoint import open_checkpoint
from tests import kits
from tests.audit.log.logs import entry
from tests.audit.log.second_verifier import audit, second_verifier

REPOSITORY = Path(__file__).parents[3]
ENTRIES = 70_000


@pytest.mark.slow
def test_an_export_of_70000_entries_stands_two_checks(
    database: kits.Clone,
    as_role: Callable[..., psycopg.Connection],
    pump: Callable[[], None],
    tmp_path: Path,
) -> None:
    app, sequencing, reader = as_role("app"), as_role("sequencer"), as_role("reader")
    choose = random.Random(70_000)
    kept: list[bytes] = []
    done = 0
    while done < ENTRIES:
        bodies = [
            entry(
                0,
                at=time.time_ns() // 1_000_000,
                id=str(uuid.uuid4()),
                nonce=f"{number:032x}",
                first=number,
                last=number,
            )
            for number in range(done, min(ENTRIES, done + 1000))
        ]
        with app.transaction():
            app.execute("SELECT count(log.append(body)) FROM unnest(%s::bytea[]) AS b (body)", [bodies])
        done += len(bodies)
        if len(kept) < 3 and done % 20_000 == 0:
            pump()
            latest = storage.latest_checkpoint(reader)
            assert latest is not None
            kept.append(latest[1])
        while sequencer.step(sequencing, limit=choose.choice([1, 255, 256, 257, 1000])) and choose.random() < 0.7:
            pass
    pump()

    call_command("export_log", tmp_path / "log")
    call_command("export_log", tmp_path / "log.zip")
    keys = verifier_keys.published()
    arguments: list[str | Path] = []
    for number, note in enumerate(kept):
        (tmp_path / f"old{number}").write_bytes(note)
        arguments += ["--old", tmp_path / f"old{number}"]
    for place in ("log", "log.zip"):
        ran = subprocess.run(
            [sys.executable, "-m", "audit.log.verify", tmp_path / place, "--key", str(keys[-1]), *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
        assert int(ran.stdout.splitlines()[-1].split()[1].removeprefix("size=")) >= ENTRIES
    with zipfile.ZipFile(tmp_path / "log.zip") as archive:
        assert "tile/2/000.p/1" in archive.namelist(), "three levels of tiles"

    tiles = second_verifier().FileSystemTileReader(tmp_path / "log")
    note = (tmp_path / "log" / "checkpoint").read_bytes()
    for old in kept:
        checkpoint = open_checkpoint(old, keys).checkpoint
        assert audit(tiles, note, str(keys[-1]), old=(checkpoint.size, checkpoint.root)) >= ENTRIES
    # One byte of one entry, deep in it.
    bundle = tmp_path / "log" / "tile" / "entries" / "137"
    data = bytearray(bundle.read_bytes())
    data[5000] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(second_verifier().TileVerificationError):
        audit(tiles, note, str(keys[-1]))
