"""`manage.py enroll GALLERY --manifest CSV [--model M]`: enrols a manifest, with progress; goes on after a crash."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from core.acting import in_full, user_from_option
from core.exceptions import GlasscaseError
from core.faces.engines import UnusableModel
from core.models import Job, JobState
from search import enrolment, face_models, galleries
from search.models import Gallery

NOTHING_ENROLLED = 3


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
            job = self._work(run, options["workers"], quiet=options["verbosity"] == 0)
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        run.refresh_from_db()
        found = enrolment.report(run)
        seconds = time.monotonic() - begun
        for one in found.left_out[:20]:
            self.stderr.write(f"Row {one.row}, {one.file}: {one.sentence}")
        if len(found.left_out) > 20:
            self.stderr.write(f"… and {len(found.left_out) - 20} more that were left out.")
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
            sys.exit(NOTHING_ENROLLED)

    def _work(self, run: enrolment.Enrolment, workers: int, *, quiet: bool) -> Job:
        # None: a bar on a terminal, nothing in a file.
        with tqdm(unit="photo", file=sys.stderr, disable=True if quiet else None) as bar:

            def told(done: int, total: int, stage: str) -> None:
                bar.total, bar.n = total, done
                bar.set_description_str(stage)

            def waiting(job: Job) -> None:
                told(job.done, job.total or 0, "another worker has it")

            return enrolment.run_here(run, processes=workers, told=told, waiting=waiting)


def _face_model(gallery: Gallery, name: str | None) -> face_models.FaceModel:
    """The face model that was named, else that of the gallery's current edition, else the default one."""
    current = galleries.current_edition(gallery)
    if name is None and current is not None:
        return face_models.by_hash(current.model)
    return face_models.register(face_models.engine(name or face_models.DEFAULT))
