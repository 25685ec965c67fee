"""`manage.py import_templates GALLERY --embeddings FILE.npz --model M`: templates that somebody else computed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.acting import in_full, user_from_option
from core.exceptions import GlasscaseError
from core.faces.engines import UnusableModel
from core.models import JobState
from search import enrolment, face_models, galleries, template_import
from search.management.progress import follow, tell_left_out


class Command(BaseCommand):
    help = (
        "Import templates that somebody else computed (.npz: embeddings as unit vectors, person_id, any other columns as "
        "attributes) into a gallery edition. That they come from the face model is your word, and the log says so. The "
        "last line is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("--embeddings", required=True, type=Path)
        parser.add_argument("--model", required=True, help="name or hash of the face model that computed them")
        parser.add_argument("--as", dest="user", help="username of the custodian; without it the operator")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "import_templates") if options["user"] else None
        begun = time.monotonic()
        try:
            gallery = galleries.find(options["gallery"])
            run = template_import.start(
                by=by,
                gallery=gallery,
                embeddings=options["embeddings"],
                face_model=face_models.named(options["model"]),
                send=False,
            )
            job = follow(run, unit="template", quiet=options["verbosity"] == 0)
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        run.refresh_from_db()
        found = enrolment.report(run)
        tell_left_out(self.stderr, found)
        if job.state != JobState.DONE:
            raise CommandError(job.problem or "The import was cancelled.")
        counts = found.as_dict()
        self.stdout.write(
            json.dumps(
                {
                    "enrolment": str(run.id),
                    "gallery": str(gallery.id),
                    "edition": run.edition,
                    "templates": counts.pop("photos"),
                    "imported": counts.pop("enrolled"),
                    **counts,
                    "seconds": round(time.monotonic() - begun, 2),
                }
            )
        )
        if run.sealed_at is None:
            sys.exit(enrolment.NOTHING_ENROLLED)
