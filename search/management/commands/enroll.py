"""`manage.py enroll GALLERY --manifest CSV [--model M]`: enrols a manifest, with progress; goes on after a crash."""

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
from search import enrolment, face_models, galleries
from search.management.progress import follow, tell_left_out
from search.models import Gallery


class Command(BaseCommand):
    help = (
        "Enrol the photos of a manifest (CSV with the columns person_id and file; others are kept as attributes) into a "
        "gallery edition. The last line is one JSON object. Exit status: 0 done, 1 failed, 3 nothing was enrolled."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("--manifest", required=True, type=Path)
        parser.add_argument("--model", help="name of the face model (default: that of the edition which is searched)")
        parser.add_argument("--as", dest="user", help="username of the custodian; without it the operator")
        parser.add_argument("--workers", type=int, default=2, help="processes that compute (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["workers"] <= 64:
            raise CommandError("Give --workers a number from 1 to 64.")
        by = user_from_option(options["user"], "enroll") if options["user"] else None
        begun = time.monotonic()
        try:
            gallery = galleries.find(options["gallery"])
            run = enrolment.start(
                by=by,
                gallery=gallery,
                manifest=options["manifest"],
                face_model=_face_model(gallery, options["model"]),
                send=False,
            )
            before = enrolment.report(run)
            job = follow(run, unit="photo", quiet=options["verbosity"] == 0, workers=options["workers"])
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        run.refresh_from_db()
        found = enrolment.report(run)
        seconds = time.monotonic() - begun
        tell_left_out(self.stderr, found)
        if job.state != JobState.DONE:
            raise CommandError(job.problem or "The enrolment was cancelled.")
        self.stdout.write(
            json.dumps(
                {
                    "enrolment": str(run.id),
                    "gallery": str(gallery.id),
                    "edition": run.edition,
                    **found.as_dict(),
                    "seconds": round(seconds, 2),
                    "photos_per_second": round((before.waiting - found.waiting) / seconds, 2),
                }
            )
        )
        if run.sealed_at is None:
            sys.exit(enrolment.NOTHING_ENROLLED)


def _face_model(gallery: Gallery, name: str | None) -> face_models.FaceModel:
    """The face model that was named, else that of the gallery's current edition, else the default one."""
    current = galleries.current_edition(gallery)
    if name is None and current is not None:
        return face_models.by_hash(current.model)
    return face_models.register(face_models.engine(name or face_models.DEFAULT))
