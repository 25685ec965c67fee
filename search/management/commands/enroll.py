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
from core.shard_file import MAIN
from search import enrolment, face_models, galleries, shards
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
            model = _face_model(gallery, options["model"])
            runs = [
                enrolment.start(
                    by=by, gallery=gallery, manifest=options["manifest"], face_model=model, shard=shard, send=False
                )
                for shard in shards.parts(gallery)
            ]
            waiting = sum(enrolment.report(run).waiting for run in runs)
            for run in runs:
                job = follow(run, unit="photo", quiet=options["verbosity"] == 0, workers=options["workers"])
                if job.state != JobState.DONE:
                    tell_left_out(self.stderr, enrolment.report(run))
                    raise CommandError(job.problem or "The enrolment was cancelled.")
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        for run in runs:
            run.refresh_from_db()
        found = [enrolment.report(run) for run in runs]
        seconds = time.monotonic() - begun
        for one in found:
            tell_left_out(self.stderr, one)
        said = {
            "enrolment": str(runs[0].id),
            "gallery": str(gallery.id),
            "edition": runs[0].edition,
            **found[0].as_dict(),
            "seconds": round(seconds, 2),
            "photos_per_second": round((waiting - sum(one.waiting for one in found)) / seconds, 2),
        }
        if gallery.shards:
            said["shards"] = [
                {"shard": run.shard or MAIN, "enrolment": str(run.id), "edition": run.edition, **one.as_dict()}
                for run, one in zip(runs, found, strict=True)
            ]
        self.stdout.write(json.dumps(said))
        if all(run.sealed_at is None for run in runs):
            sys.exit(enrolment.NOTHING_ENROLLED)


def _face_model(gallery: Gallery, name: str | None) -> face_models.FaceModel:
    """The face model that was named, else that of the gallery's current edition, else the default one."""
    current = galleries.current_edition(gallery)
    if name is None and current is not None:
        return face_models.by_hash(current.model)
    return face_models.register(face_models.engine(name or face_models.DEFAULT))
