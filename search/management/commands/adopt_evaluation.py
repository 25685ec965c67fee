from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import evaluations
from core import people
from core.acting import user_from_option
from core.exceptions import GlasscaseError
from search.thresholds import Signature, adopt


class Command(BaseCommand):
    help = (
        "Adopt an evaluation's verdict and threshold for its face model: an administrator proposes, two approvers sign."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("evaluation", type=uuid.UUID)
        parser.add_argument("--as", dest="user", required=True, help="username of the administrator")
        parser.add_argument("--approver", action="append", default=[], help="username; give it twice")
        parser.add_argument(
            "--secret-file", action="append", type=Path, default=[], help="that approver's secret, in the same order"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if len(options["approver"]) != 2 or len(options["secret_file"]) != 2:
            raise CommandError("Give --approver and --secret-file twice: two different people have to sign.")
        by = user_from_option(options["user"], "adopt_evaluation")
        try:
            signatures = [
                Signature(people.named(name), file.read_text(encoding="utf-8"))
                for name, file in zip(options["approver"], options["secret_file"], strict=True)
            ]
            found = adopt(by=by, evaluation=evaluations.published(options["evaluation"]), signatures=signatures)
        except GlasscaseError as problem:
            raise CommandError(problem.sentence) from problem
        except OSError as problem:
            raise CommandError(f"The secret file cannot be read: {problem}.") from problem
        summary = {"evaluation": str(found.id), "verdict": found.verdict, "threshold": found.threshold}
        self.stdout.write(json.dumps(summary))
