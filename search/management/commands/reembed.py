"""`manage.py reembed GALLERY --model NEW`: the photos of the searched edition, read again by another face model."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import in_full, secret_from_file, user_from_option
from core.exceptions import GlasscaseError
from core.faces.engines import UnusableModel
from core.models import JobState
from search import enrolment, face_models, galleries, reembedding
from search.management.progress import follow, tell_left_out
from search.proposals import Signature


class Command(BaseCommand):
    help = (
        "Read the photos of the edition that is searched again by another face model, into that model's edition (register "
        "it first). Two people approve; going on with one that was interrupted needs nobody. Nothing is searched there "
        "before the switch: `manage.py switch_edition`. The last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("--model", required=True, help="name of the new face model")
        parser.add_argument("--approver", action="append", default=[], help="username; give it twice")
        parser.add_argument(
            "--secret-file", action="append", default=[], help="that approver's secret, in the same order"
        )
        parser.add_argument("--as", dest="user", help="username of the custodian; without it the operator")
        parser.add_argument("--workers", type=int, default=2, help="processes that compute (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["workers"] <= 64:
            raise CommandError("Give --workers a number from 1 to 64.")
        if len(options["approver"]) != len(options["secret_file"]):
            raise CommandError("Give a --secret-file for each --approver.")
        by = user_from_option(options["user"], "reembed") if options["user"] else None
        begun = time.monotonic()
        try:
            gallery = galleries.find(options["gallery"])
            run = reembedding.start(
                by=by,
                gallery=gallery,
                face_model=face_models.named(options["model"]),
                signatures=[
                    Signature(people.named(name), secret_from_file(file))
                    for name, file in zip(options["approver"], options["secret_file"], strict=True)
                ],
                send=False,
            )
            job = follow(run, unit="photo", quiet=options["verbosity"] == 0, workers=options["workers"])
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        run.refresh_from_db()
        found = enrolment.report(run)
        tell_left_out(self.stderr, found)
        if job.state != JobState.DONE:
            raise CommandError(job.problem or "The re-embedding was cancelled.")
        summary = {
            "enrolment": str(run.id),
            "gallery": str(gallery.id),
            "from_edition": run.from_edition,
            "edition": run.edition,
            **found.as_dict(),
            "people_missing": galleries.people_missing(gallery, run.edition),
            "seconds": round(time.monotonic() - begun, 2),
        }
        self.stdout.write(json.dumps(summary))
        if run.sealed_at is None:
            sys.exit(enrolment.NOTHING_ENROLLED)
