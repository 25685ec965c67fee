from __future__ import annotations

import json
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.log import recovery, succession, verifier_keys
from core import database
from core.models import User

_APPROVALS = 2


class Command(BaseCommand):
    help = (
        "Close the frozen log for ever, keep serving it, and begin a new one whose entry 0 says what was lost. Only when the "
        "lost entries are nowhere: see recover_log. Needs the password of the migrate role."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cause", required=True, choices=succession.CAUSES)
        parser.add_argument(
            "--approved-by",
            required=True,
            action="append",
            metavar="USERNAME",
            help="who decided it; two people at least",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = sorted(set(options["approved_by"]))
        people = {user.username: user.pk for user in User.objects.filter(username__in=names, is_active=True)}
        if missing := [name for name in names if name not in people]:
            raise CommandError(f"There is no active account {', '.join(missing)}.")
        if len(people) < _APPROVALS:
            raise CommandError("Two people have to approve that a log is closed: give --approved-by twice.")
        try:
            keys = verifier_keys.published()
            with database.connect("migrate") as connection:
                made = succession.succeed(
                    connection,
                    keys,
                    owner=database.role_name("log_owner"),
                    first=settings.GLASSCASE_LOG_ORIGIN,
                    cause=options["cause"],
                    approved_by=[people[name] for name in names],
                )
        except (recovery.RecoveryRefusal, verifier_keys.NoVerifierKey) as problem:
            raise CommandError(str(problem)) from problem
        except psycopg.Error as problem:
            raise CommandError(f"The database refused, and nothing was changed: {problem}") from problem
        name = succession.origin_name(settings.GLASSCASE_LOG_ORIGIN, made.number)
        self.stdout.write(
            f"The log is {name} now. Of the earlier one {made.last.size:,} entries can be verified, {made.signed[0]:,} were "
            f"signed, and {made.lost:,} can no longer be shown."
        )
        self.stdout.write(
            "Start sequencer and signer; the signer makes a new key and never signs the earlier log again. Give the new key "
            "(manage.py log_key) to the board and the courts on paper, with the reason."
        )
        self.stdout.write(
            json.dumps({"log": name, "verifiable": made.last.size, "signed": made.signed[0], "lost": made.lost})
        )
