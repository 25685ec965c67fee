"""`manage.py acknowledge_licence MODEL --as U`: a custodian answers for a licence that is not permissive."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.acting import in_full, user_from_option
from core.exceptions import GlasscaseError
from core.faces.engines import UnusableModel
from search import face_models


class Command(BaseCommand):
    help = "Answer for the licence of a face model. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="name of the face model")
        parser.add_argument("--as", dest="user", required=True, help="username of the custodian")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "acknowledge_licence")
        try:
            loaded = face_models.engine(options["model"])
            self.stderr.write(loaded.identity().licence)
            model = face_models.acknowledge(by=by, face_model=face_models.register(loaded))
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(json.dumps({"model": model.hash, "name": model.name, "licence": model.licence_status}))
