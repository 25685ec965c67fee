"""`manage.py build_codes GALLERY`: codes for searches in two stages, with progress; goes on after a crash."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from core.acting import in_full
from core.exceptions import GlasscaseError
from core.shard_file import MAIN
from search import codes, galleries


class Command(BaseCommand):
    help = (
        "Let the database compute the codes that searches in two stages need, for the edition that is searched, on every "
        "server over which the gallery is spread. Workers do it by themselves where such searches are allowed. The last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("--edition", type=int, help="another edition, before the gallery is switched to it")

    def handle(self, *args: Any, **options: Any) -> None:
        begun = time.monotonic()
        try:
            gallery = galleries.find(options["gallery"])
            with tqdm(unit="page", file=sys.stderr, disable=True if options["verbosity"] == 0 else None) as bar:

                def told(done: int, whole: int) -> None:
                    bar.total, bar.n = whole, done
                    bar.refresh()

                coded = codes.build(gallery, told, edition=options["edition"])
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(
            json.dumps(
                {
                    "gallery": str(gallery.id),
                    "edition": coded[MAIN].edition,
                    "templates": sum(one.templates for one in coded.values()),
                    "servers": {name: one.edition for name, one in coded.items()},
                    "seconds": round(time.monotonic() - begun, 2),
                }
            )
        )
