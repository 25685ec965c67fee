from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit import evaluator_file


class Command(BaseCommand):
    help = "Write glasscase-evaluate as one file: it gives every number of a report again from its rerun.zip."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", default=Path(evaluator_file.NAME))

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        file.parent.mkdir(parents=True, exist_ok=True)
        evaluator_file.FILE.write(file)
        self.stdout.write(f"{evaluator_file.FILE.digest()}  {file}")
