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


def say_what_failed(apps: Any, schema_editor: Any) -> None:
    """Evaluations that had been started, were not published and have no job that goes on had failed."""
    jobs = apps.get_model("core", "Job").objects.filter(kind="evaluation", state__in=("queued", "running"))
    unfinished = apps.get_model("audit", "Evaluation").objects.filter(published_at=None)
    unfinished.exclude(id__in=jobs.values("subject")).update(stopped_as="failed", problem="It was not finished.")


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0002_broker"),
        ("audit", "0002_evaluation"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="kind",
            field=models.CharField(
                choices=[("photos", "Photos"), ("embeddings", "Embeddings"), ("scores", "Scores of pairs")],
                default="photos",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="problem",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="resumed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="evaluation",
            name="stopped_as",
            field=models.CharField(
                blank=True,
                choices=[("paused", "Paused"), ("failed", "Failed"), ("cancelled", "Cancelled")],
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="BenchmarkSet",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.SlugField(max_length=60, unique=True)),
                ("layout", models.CharField(max_length=20)),
                (
                    "kind",
                    models.CharField(
                        choices=[("photos", "Photos"), ("embeddings", "Embeddings"), ("scores", "Scores of pairs")],
                        max_length=12,
                    ),
                ),
                ("source", models.CharField(max_length=1000)),
                ("folder", models.CharField(max_length=1000)),
                ("sha256", models.CharField(max_length=64)),
                ("columns", models.JSONField(default=list)),
                ("people", models.PositiveIntegerField()),
                ("items", models.PositiveBigIntegerField()),
                ("pairs", models.PositiveIntegerField(default=0)),
                ("left_out", models.PositiveIntegerField()),
                ("notes", models.JSONField(default=list)),
                ("label_source", models.CharField(max_length=40)),
                ("licence", models.CharField(max_length=300)),
                ("citation", models.CharField(max_length=500)),
                ("added_at", models.DateTimeField()),
                (
                    "added_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="evaluation",
            name="benchmark_set",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="evaluations",
                to="audit.benchmarkset",
            ),
        ),
        migrations.CreateModel(
            name="EvaluationChunk",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("stage", models.CharField(max_length=20)),
                ("number", models.PositiveIntegerField()),
                ("first", models.PositiveIntegerField()),
                ("last", models.PositiveIntegerField()),
                ("items", models.PositiveBigIntegerField()),
                ("runs", models.PositiveIntegerField(default=0)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "evaluation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="chunks", to="audit.evaluation"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("evaluation", "stage", "number"), name="one_chunk_of_a_number")
                ],
            },
        ),
        migrations.RunPython(widen_registry, elidable=False),
        migrations.RunPython(say_what_failed, migrations.RunPython.noop, elidable=False),
    ]
