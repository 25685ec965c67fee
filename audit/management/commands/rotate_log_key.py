from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.log import rotation, succession
from audit.oversight import evidence
from core import database, state


class Command(BaseCommand):
    help = (
        "Replace the log's signing key, where the signer keeps it. begin: a new key signs beside the old one; give it to "
        "the board and the courts on paper. finish: the new key signs alone and the old one is destroyed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("step", choices=["begin", "finish"])

    def handle(self, *args: Any, **options: Any) -> None:
        act = rotation.begin if options["step"] == "begin" else rotation.finish
        try:
            with database.connect("signer") as connection:
                files = succession.key_files(connection, state.directory("signer"), settings.GLASSCASE_LOG_ORIGIN)
                key = act(files, connection)
        except rotation.RotationRefusal as refusal:
            raise CommandError(str(refusal)) from refusal
        except psycopg.Error as error:
            raise CommandError(f"The log could not be written, so the key is as it was: {error}") from error
        self.stdout.write(str(key))
        self.stdout.write(f"fingerprint {evidence.fingerprint(key)}")
        self.stdout.write(
            "Both keys sign now. Give this line and the fingerprint to the board and the courts on paper; when all have it, "
            "run `manage.py rotate_log_key finish`."
            if options["step"] == "begin"
            else "This key alone signs now. Who has only the old one can verify nothing newer."
        )
