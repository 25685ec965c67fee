"""Writes catalogue.txt from a migrated database: run after a wanted change, and read the difference before committing it.

python -m tests.enforcement.write_catalogue
"""

from __future__ import annotations

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")
    django.setup()
    from django.conf import settings

    from core.database import connect_superuser, database_name
    from tests.enforcement.test_the_catalogue_is_as_committed import COMMITTED, catalogue

    with connect_superuser(database_name()) as superuser:
        COMMITTED.write_text("\n".join(catalogue(superuser, settings.GLASSCASE_ROLE_PREFIX)) + "\n", encoding="utf-8")
