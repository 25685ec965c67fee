from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("core", "0001_initial")]
    operations: ClassVar[list[Any]] = sql_files("core", ["sql/010_broker.sql"])
