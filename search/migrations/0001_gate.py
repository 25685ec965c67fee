from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0001_log")]
    operations: ClassVar[list[Any]] = sql_files(
        "search",
        [
            "gate/sql/010_policy.sql",
            "gate/sql/020_approval.sql",
            "gate/sql/030_gallery.sql",
            "gate/sql/040_search.sql",
            "gate/sql/050_vault.sql",
            "gate/sql/060_pins.sql",
        ],
    )
