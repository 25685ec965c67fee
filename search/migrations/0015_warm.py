from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("search", "0014_shards")]
    operations: ClassVar[list[Any]] = sql_files("search", ["gate/sql/180_warm.sql", "gate/sql/060_pins.sql"])
