from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0015_cosignatures")]
    operations: ClassVar[list[Any]] = [
        *sql_files("audit", ["log/sql/080_tiles.sql"]),
        *sql_files("search", ["gate/sql/060_pins.sql"]),
    ]
