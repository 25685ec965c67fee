from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("search", "0004_evaluation_editions"),
        ("audit", "0010_passkeys"),
    ]
    operations: ClassVar[list[Any]] = [*sql_files("search", ["gate/sql/070_passkeys.sql", "gate/sql/060_pins.sql"])]
