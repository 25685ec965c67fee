"""`manage.py dsn --role app`: the connection string of a role, for tests of what that role cannot do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import database


class Command(BaseCommand):
    help = "Print the connection string of the app or reader role, password included (embedded mode only)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--role", required=True, choices=("app", "reader"))

    def handle(self, *args: Any, **options: Any) -> None:
        if not database.is_embedded():
            raise CommandError("The database is a real server: its passwords are where you put them.")
        self.stdout.write(database.dsn(options["role"]))
