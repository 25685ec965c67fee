from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("search", "0005_passkeys"), ("audit", "0011_erasure")]
    operations: ClassVar[list[Any]] = [*sql_files("search", ["gate/sql/080_erasure.sql", "gate/sql/060_pins.sql"])]
