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
from core.models import JobState, User
from core.shard_file import MAIN
from search import enrolment, face_models, galleries, shards, template_file, template_import
from search.management.progress import follow, tell_left_out
from search.models import Enrolment, FaceModel, Gallery


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
            runs = _start(by, gallery, options["embeddings"], face_models.named(options["model"]))
            for run in runs:
                job = follow(run, unit="template", quiet=options["verbosity"] == 0)
                if job.state != JobState.DONE:
                    tell_left_out(self.stderr, enrolment.report(run))
                    raise CommandError(job.problem or "The import was cancelled.")
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        for run in runs:
            run.refresh_from_db()
            tell_left_out(self.stderr, enrolment.report(run))
        said = {"gallery": str(gallery.id), **_counts(runs[0]), "seconds": round(time.monotonic() - begun, 2)}
        if gallery.shards:
            said["shards"] = [{"shard": run.shard or MAIN, **_counts(run)} for run in runs]
        self.stdout.write(json.dumps(said))
        if all(run.sealed_at is None for run in runs):
            sys.exit(enrolment.NOTHING_ENROLLED)


def _start(by: User | None, gallery: Gallery, embeddings: Path, model: FaceModel) -> list[Enrolment]:
    """An import for each server of the gallery; of several, the file is read and checked once."""
    checked = template_file.read(embeddings, model.dimension) if gallery.shards else None
    return [
        template_import.start(
            by=by, gallery=gallery, embeddings=embeddings, face_model=model, shard=shard, checked=checked, send=False
        )
        for shard in shards.parts(gallery)
    ]


def _counts(run: Enrolment) -> dict[str, Any]:
    counts = enrolment.report(run).as_dict()
    named = {"templates": counts.pop("photos"), "imported": counts.pop("enrolled")}
    return {"enrolment": str(run.id), "edition": run.edition, **named, **counts}
