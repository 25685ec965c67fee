"""`manage.py init_database`: the superuser's part of setting up, to be repeated at will."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from psycopg import OperationalError

from core import database, initialise
from core.roles import LOGIN_ROLES


class Command(BaseCommand):
    help = "Make roles, passwords, database, extension, schemas and guards (as superuser; may be repeated)."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        name = database.database_name()
        try:
            with database.connect_superuser() as connection:
                passwords = {role: database.new_password(role) for role in LOGIN_ROLES}
                initialise.prepare_roles(connection, passwords)
                made = initialise.make_database(connection, name)
                initialise.restrict_database(connection, name)
                if database.is_embedded():
                    initialise.close_other_databases(connection)
            with database.connect_superuser(name) as connection:
                initialise.prepare_database(connection)
        except OperationalError as problem:
            raise CommandError(f"No connection as superuser: {problem}") from None
        self.stdout.write(f"Database {name} {'made' if made else 'was there'}; {len(LOGIN_ROLES)} roles ready.")
