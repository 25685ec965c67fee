"""`manage.py backup_keys DIR`: backs the key store up for a few days, and removes the backups that have ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.log.journal import LogUnavailable
from core import key_backups


class Command(BaseCommand):
    help = (
        "Write all keys into a new file in DIR, readable by its owner only, and remove the files in DIR that have ended "
        "(GLASSCASE_KEY_BACKUP_DAYS). Run it daily; DIR belongs on another disk than the database and its backups."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = key_backups.make(options["directory"])
        except (OSError, LogUnavailable) as problem:
            raise CommandError(f"The keys were not backed up: {problem}") from problem
        self.stdout.write(f"{made.keys} keys in {made.path}, to be gone by {made.ends:%Y-%m-%d %H:%M} UTC")
