"""`manage.py create_gallery NAME --agency A --legal-basis L --retention-days D --as U`: creates a gallery, as the page does."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.acting import in_full, user_from_option
from core.exceptions import GlasscaseError
from core.models import Agency
from search import galleries
from search.vocabulary import GALLERY_BASES


class Command(BaseCommand):
    help = "Create a gallery without photos. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--agency", required=True, help="code of the agency that answers for it")
        parser.add_argument("--legal-basis", required=True, choices=sorted(GALLERY_BASES), help="why it may exist")
        parser.add_argument("--retention-days", required=True, type=int, help="how long photos are kept")
        parser.add_argument("--description", default="")
        parser.add_argument("--as", dest="user", required=True, help="username of the custodian")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "create_gallery")
        agency = Agency.objects.filter(code=options["agency"]).first()
        if agency is None:
            raise CommandError(f"There is no agency {options['agency']!r}.")
        try:
            gallery = galleries.create(
                by=by,
                agency=agency,
                name=options["name"],
                legal_basis=options["legal_basis"],
                retention_days=options["retention_days"],
                description=options["description"],
            )
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(json.dumps({"gallery": str(gallery.id), "name": gallery.name}))
