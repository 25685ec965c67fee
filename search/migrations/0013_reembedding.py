from typing import Any, ClassVar

from django.db import migrations, models

from core.database import sql_files


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("search", "0012_code_of"),
        ("audit", "0022_reembedding"),
    ]
    operations: ClassVar[list[Any]] = [
        *sql_files("search", ["gate/sql/160_reembedding.sql", "gate/sql/060_pins.sql"]),
        migrations.AddField(
            model_name="enrolment",
            name="from_edition",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="enrolmentitem",
            name="origin",
            field=models.UUIDField(db_index=True, null=True),
        ),
        migrations.AddField(
            model_name="enrolmentitem",
            name="slice",
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name="enrolment",
            name="source",
            field=models.CharField(
                choices=[
                    ("photos", "Photos"),
                    ("templates", "Imported templates"),
                    ("reembedded", "Photos of another edition"),
                ],
                default="photos",
                max_length=10,
            ),
        ),
    ]
