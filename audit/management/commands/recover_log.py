from __future__ import annotations

import json
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.log import recovery, verifier_keys
from audit.log.checkpoint import NoteError, VerifierKey
from audit.log.sources import Unreadable, open_source
from audit.log.tiles import MalformedTile, Missing
from core import database


class Command(BaseCommand):
    help = (
        "Put the entries that a restored database has lost back at their indices, from an export, mirror or standby of the "
        "log, and let the frozen log go on. Needs the password of the migrate role."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="place", required=True, help="directory, zip file or http(s) address of the copy"
        )
        parser.add_argument("--token", help="token for reading the entries from an http(s) address")
        parser.add_argument(
            "--key", action="append", default=[], help="the log's verifier key, when its file is lost too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys = [VerifierKey.parse(line) for line in options["key"]] or verifier_keys.published()
            source = open_source(options["place"], token=options["token"])
            with database.connect("migrate") as connection:
                done = recovery.recover(connection, source, keys, owner=database.role_name("log_owner"))
        except (recovery.RecoveryRefusal, verifier_keys.NoVerifierKey, NoteError, Unreadable) as problem:
            raise CommandError(str(problem)) from problem
        except (Missing, MalformedTile) as problem:
            raise CommandError(f"The copy changed while it was read: {problem}. Nothing was changed here.") from problem
        except psycopg.Error as problem:
            raise CommandError(f"The database refused, and nothing was changed: {problem}") from problem
        count = done.size - done.first
        self.stdout.write(
            f"{count} entries are back, and {done.waiting} that waited follow them. The log is not frozen any more."
        )
        if count:
            self.stdout.write(
                "Rows of other tables that belonged to these entries are not back. Look at what was lost besides the log:"
            )
        for type_, number in sorted(done.types.items()):
            self.stdout.write(f"  {number:>6}  {type_}")
        self.stdout.write("Start sequencer and signer again; the signer compares before anything more is recorded.")
        self.stdout.write(json.dumps({"first": done.first, "size": done.size, "waiting": done.waiting}))
