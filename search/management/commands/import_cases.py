"""`manage.py import_cases CSV --as U`: imports cases row by row; a wrong row does not stop the others."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.acting import user_from_option
from core.exceptions import GlasscaseError
from search import cases


class Command(BaseCommand):
    help = "Import cases from a CSV file (number, offence, officers). The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("csv", type=Path)
        parser.add_argument("--as", dest="user", required=True, help="username of a supervisor")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "import_cases")
        try:
            with options["csv"].open(newline="", encoding="utf-8-sig") as file:
                rows = csv.DictReader(file)
                if not {"number", "offence"} <= set(rows.fieldnames or ()):
                    raise CommandError("The file needs a heading with the columns number and offence.")
                report = cases.import_cases(by=by, rows=rows)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CommandError(f"{options['csv']} cannot be read as CSV: {error}") from error
        except GlasscaseError as problem:
            raise CommandError(problem.sentence) from problem
        for row in report.rows:
            if row.outcome != "imported":
                self.stderr.write(f"row {row.line}: {row.number or 'no number'}: {row.sentence}")
        self.stdout.write(json.dumps(report.summary))
