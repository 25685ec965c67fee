"""`manage.py switch_edition GALLERY EDITION --approver U --secret-file F [--missing N]`: search another edition."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import in_full, secret_from_file, user_from_option
from core.exceptions import GlasscaseError
from search import galleries


class Command(BaseCommand):
    help = (
        "Search another edition of a gallery from now on, with an approval. Searches that are bound stay with theirs. The "
        "last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("edition", type=int)
        parser.add_argument("--approver", required=True, help="username of who approves")
        parser.add_argument("--secret-file", required=True, help="file with the approver's secret")
        parser.add_argument(
            "--missing",
            type=int,
            default=0,
            help="how many people will not be found any more, as the approver knows (default: %(default)s)",
        )
        parser.add_argument("--as", dest="user", help="username of the custodian; without it the operator")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "switch_edition") if options["user"] else None
        try:
            gallery = galleries.find(options["gallery"])
            galleries.switch_edition(
                by=by,
                gallery=gallery,
                edition=options["edition"],
                approver=people.named(options["approver"]),
                secret=secret_from_file(options["secret_file"]),
                missing=options["missing"],
            )
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        summary = {"gallery": str(gallery.id), "edition": options["edition"], "missing": options["missing"]}
        self.stdout.write(json.dumps(summary))
