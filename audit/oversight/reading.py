"""Reading the log over Django's own connection with the functions of `audit.log`, which take psycopg's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection


@contextmanager
def log_connection() -> Iterator[psycopg.Connection]:
    """The connection of this request or command; what the driver raises comes out as Django's errors."""
    with connection.wrap_database_errors, connection.cursor() as cursor:
        yield cursor.connection
