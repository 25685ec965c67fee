"""`manage.py add_shard NAME`: a further PostgreSQL server over which galleries may be spread. It may be repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import shard_name
from core import database, shard_file, shards, state
from core.environment import SettingError


class Command(BaseCommand):
    help = (
        "Add a server over which galleries may be spread: roles, schemas, and its name in its own log. Without --host an "
        "embedded one, to try it. The last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="small letters, digits and underscores; it stands in the name of its log")
        parser.add_argument("--host", default="", help="of a PostgreSQL with pgvector (embedded)")
        parser.add_argument("--port", type=int, default=5432)
        parser.add_argument("--sslmode", default="", help="verify-full, verify-ca or require for another machine")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.GLASSCASE_SHARD:
            raise CommandError("Unset GLASSCASE_SHARD: shards are added to the installation, not to a shard.")
        name = options["name"]
        try:
            shard_file.check_name(name)
            shard_file.check_transport(name, options["host"], options["sslmode"])
            if name not in shards.configured():
                _list(name, options)
            for command in ("init_database", "migrate"):
                self._as_the_shard(name, command)
            origin = shard_name.give(shards.named(name))
        except (SettingError, shard_name.OtherName) as problem:
            raise CommandError(str(problem)) from problem
        except shards.ShardMissing as missing:
            raise CommandError(missing.sentence) from missing
        self.stderr.write(
            f"Now start sequencer, signer and notifier of {name} (`manage.py serve` does), enrol every approver again, so that "
            "this gate knows their secrets, and adopt the evaluations again. Then `manage.py spread_gallery`."
        )
        self.stdout.write(json.dumps({"shard": name, "home": str(shards.named(name).home), "log": origin}))

    def _as_the_shard(self, name: str, command: str) -> None:
        environment = {
            **os.environ,
            "GLASSCASE_HOME": str(settings.GLASSCASE_HOME),
            "GLASSCASE_DB_NAME": shards.named(name).database or database.database_name(),
            "GLASSCASE_SHARD": name,
        }
        manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), command]
        done = subprocess.run(
            [*manage, "--verbosity", "0"], env=environment, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise CommandError(f"{command} of the shard {name} failed: {done.stderr.strip()}")


def _list(name: str, options: dict[str, Any]) -> None:
    """Add the shard to the list, behind what somebody may have written there."""
    file = shard_file.place(Path(settings.GLASSCASE_HOME))
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    said = {key: options[key] for key in ("host", "port", "sslmode") if options["host"] and options[key]}
    lines = [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in said.items())]
    state.write_durably(file, (before + ("\n" if before else "") + "\n".join(lines) + "\n").encode())
