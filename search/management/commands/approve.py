"""`manage.py approve REQUEST --as U --secret-file F`: approves a search, as the page does."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.acting import user_from_option
from core.exceptions import GlasscaseError
from search import approvals
from search.models import SearchRequest


class Command(BaseCommand):
    help = "Approve a search request in an approver's name. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("request", type=uuid.UUID)
        parser.add_argument("--as", dest="user", required=True, help="username of the approver")
        parser.add_argument("--secret-file", type=Path, required=True, help="file with the approval secret")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "approve")
        request = SearchRequest.objects.filter(pk=options["request"]).first()
        if request is None:
            raise CommandError("There is no such search request.")
        try:
            secret = options["secret_file"].read_text(encoding="utf-8").strip()
            request = approvals.approve(by=by, request=request, secret=secret, channel="cli")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['secret_file']} cannot be read: {error}") from error
        except GlasscaseError as problem:
            raise CommandError(problem.sentence) from problem
        self.stdout.write(json.dumps({"request": str(request.id), "state": request.state}))
