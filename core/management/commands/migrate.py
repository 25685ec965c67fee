"""`manage.py migrate`: Django's, run as the migrate role, followed by the table grants of `core.grants`."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from audit import maintenance
from core import grants
from core.database import acting_as


class Command(migrate.Command):
    help = "Bring the database to the current state, as the migrate role, and grant the app role what it needs."

    def handle(self, *args: Any, **options: Any) -> None:
        with acting_as("migrate"):
            if not (options["plan"] or options["check_unapplied"]):
                self._announce()
            super().handle(*args, **options)
            if options["plan"] or options["check_unapplied"]:
                return
            for table in grants.apply():
                self.stderr.write(f"No privileges on {table}: list it in core/grants.py.")

    def _announce(self) -> None:
        """The entry before anything is changed. Without a log yet, or a frozen one, the database is migrated all the same."""
        executor = MigrationExecutor(connection)
        planned = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if planned:
            try:
                maintenance.announce(migrations=planned)
            except maintenance.NotRecorded as problem:
                self.stderr.write(str(problem))
