"""`manage.py legal_hold place|lift ID`: keep everything of a search, a case or a person from being erased, in every server."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import in_full, secret_from_file
from core.exceptions import GlasscaseError
from search import legal_holds, shards
from search.proposals import Signature


class Command(BaseCommand):
    help = (
        "Place a legal hold on a search, a case or an enrolled person, or lift it with two approvals. "
        "The last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=("place", "lift"))
        parser.add_argument("subject", type=uuid.UUID, help="id of the request, the case or the person")
        parser.add_argument("--approver", action="append", default=[], help="username; twice, to lift")
        parser.add_argument("--secret-file", action="append", default=[], help="secrets, in the same order")

    def handle(self, *args: Any, **options: Any) -> None:
        names, files = options["approver"], options["secret_file"]
        if options["act"] == "lift" and not len(names) == len(files) == 2:
            raise CommandError("Give --approver and --secret-file twice: two different people have to sign.")
        try:
            if options["act"] == "place":
                legal_holds.place(options["subject"], at=shards.configured())
                servers = [shards.MAIN, *shards.configured()]
            else:
                signatures = [
                    Signature(people.named(name), secret_from_file(file))
                    for name, file in zip(names, files, strict=True)
                ]
                servers = legal_holds.lift(by=None, subject=options["subject"], signatures=signatures)
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(json.dumps({"subject": str(options["subject"]), "act": options["act"], "servers": servers}))
