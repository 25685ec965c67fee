"""`manage.py stop_database`: stop the embedded PostgreSQL that other commands have left running."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core import database


class Command(BaseCommand):
    help = "Stop the embedded PostgreSQL of this GLASSCASE_HOME."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not database.is_embedded():
            raise CommandError("GLASSCASE_DB_HOST names a real server; it is not ours to stop.")
        self.stdout.write("Stopped." if database.server().stop() else "It was not running.")
