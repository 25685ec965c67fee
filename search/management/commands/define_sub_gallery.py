"""`manage.py define_sub_gallery GALLERY NAME --match COLUMN:VALUE … --approver U --secret-file F`: a part of a gallery."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import in_full, secret_from_file, user_from_option
from core.exceptions import GlasscaseError
from search import galleries, sub_galleries


class Command(BaseCommand):
    help = (
        "Define a sub-gallery by what manifests say of photos, with an approval. It holds who is enrolled from then on. "
        "The last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("name", help="small letters, digits, hyphens, dots and underscores")
        parser.add_argument(
            "--match",
            dest="matches",
            action="append",
            required=True,
            metavar="COLUMN:VALUE",
            help="a manifest column and a value; several of one column: any of them; of several columns: one of each",
        )
        parser.add_argument("--approver", required=True, help="username of who approves")
        parser.add_argument("--secret-file", required=True, help="file with the approver's secret")
        parser.add_argument("--as", dest="user", help="username of the custodian; without it the operator")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "define_sub_gallery") if options["user"] else None
        secret = secret_from_file(options["secret_file"])
        try:
            gallery = galleries.find(options["gallery"])
            made = sub_galleries.define(
                by=by,
                gallery=gallery,
                name=options["name"],
                matches=options["matches"],
                approver=people.named(options["approver"]),
                secret=secret,
            )
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(
            json.dumps({"gallery": str(gallery.id), "sub_gallery": made.name, "matches": list(made.matches)})
        )
