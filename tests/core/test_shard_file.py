"""The list of shards: what may stand in it, and what a process that works for one of them takes for its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from core import shard_file
from core.environment import SettingError


def write(home: Path, text: str) -> None:
    place = shard_file.place(home)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")


def test_without_a_list_there_are_no_shards(tmp_path: Path) -> None:
    assert shard_file.read(tmp_path) == {}


def test_shards_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, '[south]\n[north]\nhost = "db-north"\nport = 5433\nsslmode = "verify-full"\n')
    found = shard_file.read(tmp_path)
    assert list(found) == ["north", "south"]
    assert found["north"] == shard_file.Shard("north", tmp_path / "shards" / "north", "db-north", 5433, "verify-full")
    assert found["south"].host == ""
    assert found["north"].origin("agency.example/log") == "agency.example/log/shard/north"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[main]\n", "no name for a shard"),
        ("[North]\n", "no name for a shard"),
        ("[n-1]\n", "no name for a shard"),
        ("[north]\npassword = 'x'\n", "may say"),
        ("[north]\nport = '5432'\n", "the port is a number"),
        ("[north]\nhost = 5\n", "the port is a number"),
        ("north = 1\n", "may say"),
        ("[north\n", "cannot be read"),
        ('[north]\nhost = "db-north"\n', "say how the way there is encrypted"),
        ('[north]\nhost = "10.0.0.5"\nsslmode = "prefer"\n', "say how the way there is encrypted"),
        ('[north]\nhost = "localhost.agency.example"\nsslmode = "disable"\n', "say how the way there is encrypted"),
        ("".join(f"[n{number}]\n" for number in range(32)), "32 servers at most"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused_with_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SettingError, match=said):
        shard_file.read(tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        *(f'host = "db-north"\nsslmode = "{mode}"' for mode in ("verify-full", "verify-ca", "require")),
        'host = "127.0.0.1"',
        'host = "::1"',
        'host = "localhost"',
        'host = "/run/postgresql"',
    ],
)
def test_the_way_to_a_shard_is_encrypted_or_on_this_machine(tmp_path: Path, said: str) -> None:
    write(tmp_path, f"[north]\n{said}\n")
    assert list(shard_file.read(tmp_path)) == ["north"]


def test_a_host_in_clear_is_refused_before_it_is_listed(settings: Any, tmp_path: Path) -> None:
    settings.GLASSCASE_HOME = tmp_path
    with pytest.raises(CommandError, match="encrypted"):
        call_command("add_shard", "north", host="db-north")
    assert not shard_file.place(tmp_path).exists()


def test_a_process_for_a_shard_takes_its_server_home_and_log_for_its_own(tmp_path: Path) -> None:
    write(tmp_path, '[north]\nhost = "db-north"\nport = 5433\nsslmode = "verify-full"\n')
    asked = (
        "from core import settings as s; print(s.GLASSCASE_HOME, s.GLASSCASE_DB_HOST, s.GLASSCASE_DB_PORT,"
        " s.GLASSCASE_LOG_ORIGIN, s.GLASSCASE_CHECKPOINT_ARCHIVE, s.GLASSCASE_LOG_VKEYS or '-')"
    )

    def process(shard: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "GLASSCASE_HOME": str(tmp_path),
            "GLASSCASE_DB_HOST": "db-main",
            "GLASSCASE_LOG_ORIGIN": "agency.example/log",
            "GLASSCASE_CHECKPOINT_ARCHIVE": "/archive",
            "GLASSCASE_LOG_VKEYS": "/published/vkeys",
            "GLASSCASE_SHARD": shard,
        }
        return subprocess.run(
            [sys.executable, "-c", asked],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    home = tmp_path / "shards" / "north"
    assert process("north").stdout.split() == [
        str(home),
        "db-north",
        "5433",
        "agency.example/log/shard/north",
        "/archive/shard/north",
        "-",
    ]
    assert process("").stdout.split()[1:2] == ["db-main"]
    assert "must be one of" in process("west").stderr
