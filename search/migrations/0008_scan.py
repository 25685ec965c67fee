from typing import Any, ClassVar

from django.db import migrations

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("search", "0007_witness_quorum")]
    operations: ClassVar[list[Any]] = sql_files(
        "search", ["gate/sql/100_scan.sql", "gate/sql/060_pins.sql", "gate/sql/110_evaluation_scan.sql"]
    )
