from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit.oversight import witness_file


class Command(BaseCommand):
    help = "Write glasscase-witness as one file, for the oversight board's own machine (docs/witnesses.md)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", default=Path(witness_file.NAME))

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        file.parent.mkdir(parents=True, exist_ok=True)
        witness_file.write(file)
        self.stdout.write(f"{witness_file.digest()}  {file}")
