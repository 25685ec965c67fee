from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0003_benchmark_sets")]
    operations: ClassVar[list[Any]] = [
        *sql_files("audit", ["log/sql/030_clearance.sql"]),
        *sql_files("search", ["gate/sql/060_pins.sql"]),
    ]
