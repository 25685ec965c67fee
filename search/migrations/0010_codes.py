from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("search", "0009_imported_templates"),
        ("audit", "0020_codes"),
    ]
    operations: ClassVar[list[Any]] = sql_files(
        "search", ["gate/sql/120_codes.sql", "gate/sql/130_two_stages.sql", "gate/sql/060_pins.sql"]
    )
