"""Django's PostgreSQL backend, with the address and password of the role looked up when a connection is opened.

So a command that never touches the database starts nothing, one that does finds the embedded server running, and the
first `init_database` can write the passwords that the same process then uses.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from core import database


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects as the role named by USER (with its prefix) to the database NAME."""

    def get_connection_params(self) -> dict[str, Any]:
        found = database.parameters(database.short_role(self.settings_dict["USER"]), self.settings_dict["NAME"])
        return {**super().get_connection_params(), **found}
