from typing import Any, ClassVar

from django.db import migrations

from audit.log import registry
from core.database import render_sql


def fill_registry(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(render_sql("SET LOCAL ROLE @log_owner@"))
        registry.synchronise(cursor)
        cursor.execute("RESET ROLE")


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0022_reembedding")]
    operations: ClassVar[list[Any]] = [migrations.RunPython(fill_registry, migrations.RunPython.noop, elidable=False)]
