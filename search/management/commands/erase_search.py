"""`manage.py erase_search REQUEST --approver U --secret-file F [--as U]`: erases a search by order."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import secret_from_file, user_from_option
from core.refusals import command_sentences
from search import erasure
from search.models import SearchRequest


class Command(BaseCommand):
    help = "Erase a search that has ended: photo, embedding, candidates, what was typed, and their keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("request", type=uuid.UUID)
        parser.add_argument("--approver", required=True, help="username of who approves")
        parser.add_argument("--secret-file", required=True, help="file with the approver's secret")
        parser.add_argument("--as", dest="user", help="username of counsel; else the operator")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "erase_search") if options["user"] else None
        secret = secret_from_file(options["secret_file"])
        request = SearchRequest.objects.filter(pk=options["request"]).first()
        if request is None:
            raise CommandError("There is no such search request.")
        with command_sentences():
            erasure.erase(by=by, request=request, approver=people.named(options["approver"]), secret=secret)
        self.stdout.write(f"The search {request.pk} is erased.")
