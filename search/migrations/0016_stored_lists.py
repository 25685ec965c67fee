from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("search", "0015_warm")]
    operations: ClassVar[list[Any]] = sql_files("search", ["gate/sql/190_stored_lists.sql"])
