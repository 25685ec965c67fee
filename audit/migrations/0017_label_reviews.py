import uuid
from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from audit.log import registry
from core.database import render_sql


def widen_registry(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(render_sql("SET LOCAL ROLE @log_owner@"))
        registry.synchronise(cursor)
        cursor.execute("RESET ROLE")


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0016_tiles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="excluded",
            field=models.JSONField(default=list),
        ),
        migrations.CreateModel(
            name="LabelReview",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("first_image", models.PositiveIntegerField()),
                ("second_image", models.PositiveIntegerField()),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("different", "Different people"),
                            ("same", "Same person: the label is wrong"),
                            ("unclear", "Cannot tell"),
                        ],
                        max_length=12,
                    ),
                ),
                ("reviewed_at", models.DateTimeField()),
                (
                    "evaluation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="label_reviews",
                        to="audit.evaluation",
                    ),
                ),
                (
                    "reviewed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("first_image__lt", models.F("second_image"))),
                        name="two_images_in_order",
                    )
                ],
            },
        ),
        migrations.RunPython(widen_registry, migrations.RunPython.noop, elidable=False),
    ]
