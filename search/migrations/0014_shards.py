from typing import Any, ClassVar

import django.contrib.postgres.fields
from django.db import migrations, models

from core.database import sql_files

STATES = [
    ("draft", "Draft"),
    ("held", "Held for counsel"),
    ("awaiting_approval", "Waiting for approval"),
    ("ready", "Ready to run"),
    ("running", "Running"),
    ("incomplete", "Incomplete: a server is missing"),
    ("done", "Result logged"),
    ("refused", "Refused"),
    ("rejected", "Turned down"),
    ("withdrawn", "Withdrawn"),
    ("expired", "Expired"),
    ("failed", "Failed"),
]


def names(length: int) -> Any:
    return django.contrib.postgres.fields.ArrayField(
        base_field=models.CharField(max_length=length), default=list, size=None
    )


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("search", "0013_reembedding"), ("audit", "0023_shards")]
    operations: ClassVar[list[Any]] = [
        *sql_files("search", ["gate/sql/170_shards.sql", "gate/sql/060_pins.sql"]),
        migrations.AddField("enrolledphoto", "shard", models.CharField(blank=True, max_length=31)),
        migrations.AddField("enrolment", "shard", models.CharField(blank=True, max_length=31)),
        migrations.AddField("gallery", "shards", names(31)),
        migrations.AddField("searchrequest", "shards", names(80)),
        migrations.AlterField(
            "searchrequest", "state", models.CharField(choices=STATES, default="draft", max_length=20)
        ),
    ]
