from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0004_clearance"), ("search", "0001_gate")]
    operations: ClassVar[list[Any]] = [
        *sql_files("audit", ["log/sql/040_quick_append.sql"]),
        *sql_files("search", ["gate/sql/060_pins.sql"]),  # CREATE OR REPLACE takes the pins off
    ]
