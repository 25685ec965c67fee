"""`manage.py register_edition GALLERY --model M --approver U --secret-file F`: a gallery's edition under a face model."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import in_full, secret_from_file, user_from_option
from core.exceptions import GlasscaseError
from core.faces.engines import UnusableModel
from search import face_models, galleries


class Command(BaseCommand):
    help = "Register a gallery edition under a face model, with an approval. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument(
            "--model", default=face_models.DEFAULT, help="name of the face model (default: %(default)s)"
        )
        parser.add_argument("--approver", required=True, help="username of who approves")
        parser.add_argument("--secret-file", required=True, help="file with the approver's secret")
        parser.add_argument("--switch", action="store_true", help="search this edition from now on (a second approval)")
        parser.add_argument(
            "--missing",
            type=int,
            default=0,
            help="with --switch: how many people will not be found any more, as the approver knows (default: %(default)s)",
        )
        parser.add_argument("--as", dest="user", help="username of the custodian; without it the operator")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "register_edition") if options["user"] else None
        secret = secret_from_file(options["secret_file"])
        try:
            gallery = galleries.find(options["gallery"])
            approver = people.named(options["approver"])
            model = face_models.register(face_models.engine(options["model"]))
            edition = galleries.register_edition(
                by=by, gallery=gallery, face_model=model, approver=approver, secret=secret
            )
            if options["switch"]:
                galleries.switch_edition(
                    by=by,
                    gallery=gallery,
                    edition=edition,
                    approver=approver,
                    secret=secret,
                    missing=options["missing"],
                )
        except (GlasscaseError, UnusableModel) as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(json.dumps({"gallery": str(gallery.id), "edition": edition, "model": model.hash}))
