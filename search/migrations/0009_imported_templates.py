from typing import Any, ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("search", "0008_scan"),
        ("audit", "0019_imported_templates"),
    ]
    operations: ClassVar[list[Any]] = [
        migrations.AddField(
            model_name="enrolledphoto",
            name="has_photo",
            field=models.BooleanField(db_default=True, default=True),
        ),
        migrations.AddField(
            model_name="enrolment",
            name="expunged",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="enrolment",
            name="imported",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="enrolment",
            name="rows",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="enrolment",
            name="source",
            field=models.CharField(
                choices=[("photos", "Photos"), ("templates", "Imported templates")], default="photos", max_length=10
            ),
        ),
    ]
