"""`manage.py replay REQUEST --approver U --secret-file F`: runs a search again and says how the lists compare."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.acting import user_from_option
from core.exceptions import GlasscaseError
from search import readings
from search.models import SearchRequest


class Command(BaseCommand):
    help = "Run a search again from its bound embedding. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("request", type=uuid.UUID)
        parser.add_argument("--approver", required=True, help="username of the approver")
        parser.add_argument("--secret-file", type=Path, required=True, help="file with the approval secret")

    def handle(self, *args: Any, **options: Any) -> None:
        approver = user_from_option(options["approver"], "replay")
        request = SearchRequest.objects.filter(pk=options["request"]).first()
        if request is None:
            raise CommandError("There is no such search request.")
        try:
            secret = options["secret_file"].read_text(encoding="utf-8").strip()
            found = readings.replay(by=approver, request=request, approver=approver, secret=secret)
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['secret_file']} cannot be read: {error}") from error
        except GlasscaseError as problem:
            raise CommandError(problem.sentence) from problem
        self.stdout.write(json.dumps({**asdict(found), "request": str(request.id), "entry": str(found.entry)}))
