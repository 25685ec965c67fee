"""`manage.py spread_gallery GALLERY --over NAME … --approver U --secret-file F`: over which servers a new gallery is spread."""

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
        "Fix over which servers a gallery is spread, before its first edition and for good: the main one and the named shards. "
        "The last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("--over", nargs="+", required=True, metavar="SHARD", help="beside the main server")
        parser.add_argument("--approver", required=True, help="username of who approves")
        parser.add_argument("--secret-file", required=True, help="file with the approver's secret")
        parser.add_argument("--as", dest="user", help="username of the custodian; without it the operator")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "spread_gallery") if options["user"] else None
        secret = secret_from_file(options["secret_file"])
        try:
            gallery = galleries.spread(
                by=by,
                gallery=galleries.find(options["gallery"]),
                over=options["over"],
                approver=people.named(options["approver"]),
                secret=secret,
            )
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(json.dumps({"gallery": str(gallery.id), "shards": gallery.shards}))
