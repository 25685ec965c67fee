from typing import Any, ClassVar

from django.db import migrations, models

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("search", "0010_codes"),
        ("audit", "0021_sub_galleries"),
    ]
    operations: ClassVar[list[Any]] = [
        migrations.AddField(
            model_name="searchrequest",
            name="sub_gallery",
            field=models.CharField(blank=True, default="", max_length=60),
        ),
        *sql_files("search", ["gate/sql/140_sub_galleries.sql", "gate/sql/060_pins.sql"]),
    ]
