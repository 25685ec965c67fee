"""`manage.py remove GALLERY (--template T | --person P) --approver U --secret-file F --as U`: takes photos out."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import in_full, secret_from_file, user_from_option
from core.exceptions import GlasscaseError
from search import galleries, removal


class Command(BaseCommand):
    help = "Take photos out of every further search and erase their files. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        chosen = parser.add_mutually_exclusive_group(required=True)
        chosen.add_argument("--template", action="append", type=uuid.UUID, help="id of a photo; may be repeated")
        chosen.add_argument("--person", help="person_id: all photos of this person")
        chosen.add_argument("--overdue", action="store_true", help="all photos older than the retention rule allows")
        parser.add_argument("--approver", required=True, help="username of who approves")
        parser.add_argument("--secret-file", required=True, help="file with the approver's secret")
        parser.add_argument("--as", dest="user", required=True, help="username of the custodian")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "remove")
        secret = secret_from_file(options["secret_file"])
        try:
            gallery = galleries.find(options["gallery"])
            templates = options["template"]
            if options["person"]:
                templates = gallery.photos.filter(person_ref=options["person"]).values_list("template", flat=True)
            elif options["overdue"]:
                templates = galleries.overdue(gallery).values_list("template", flat=True)
            gone = removal.remove(
                by=by, gallery=gallery, templates=templates, approver=people.named(options["approver"]), secret=secret
            )
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(json.dumps({"gallery": str(gallery.id), "removed": gone}))
