"""`manage.py migrate`: Django's, run as the migrate role, followed by the table grants of `core.grants`."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from core import grants
from core.database import acting_as


class Command(migrate.Command):
    help = "Bring the database to the current state, as the migrate role, and grant the app role what it needs."

    def handle(self, *args: Any, **options: Any) -> None:
        with acting_as("migrate"):
            super().handle(*args, **options)
            if options["plan"] or options["check_unapplied"]:
                return
            for table in grants.apply():
                self.stderr.write(f"No privileges on {table}: list it in core/grants.py.")
