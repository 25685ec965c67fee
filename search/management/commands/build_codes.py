"""`manage.py build_codes GALLERY`: codes for searches in two stages, with progress; goes on after a crash."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from core.acting import in_full
from core.exceptions import Conflict, GlasscaseError
from search import codes, galleries


class Command(BaseCommand):
    help = (
        "Let the database compute the codes that searches in two stages need, for the edition that is searched. Workers do "
        "it by themselves where such searches are allowed. The last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("--edition", type=int, help="another edition, before the gallery is switched to it")

    def handle(self, *args: Any, **options: Any) -> None:
        begun = time.monotonic()
        try:
            gallery = galleries.find(options["gallery"])
            edition = next(
                (
                    one
                    for one in galleries.editions(gallery)
                    if (one.is_current if options["edition"] is None else one.edition == options["edition"])
                ),
                None,
            )
            if edition is None:
                raise Conflict("This gallery has no such edition. Register one first: `manage.py register_edition`.")
            with tqdm(unit="page", file=sys.stderr, disable=True if options["verbosity"] == 0 else None) as bar:

                def told(done: int, whole: int) -> None:
                    bar.total, bar.n = whole, done
                    bar.refresh()

                codes.build(edition.edition, told)
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(
            json.dumps(
                {
                    "gallery": str(gallery.id),
                    "edition": edition.edition,
                    "templates": edition.templates,
                    "seconds": round(time.monotonic() - begun, 2),
                }
            )
        )
