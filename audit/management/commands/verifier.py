from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit.oversight import verifier_file


class Command(BaseCommand):
    help = "Write glasscase-verify as one file, for a machine that has Python and nothing else."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", default=Path(verifier_file.NAME))

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        file.parent.mkdir(parents=True, exist_ok=True)
        verifier_file.write(file)
        self.stdout.write(f"{verifier_file.digest()}  {file}")
