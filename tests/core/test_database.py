from __future__ import annotations

import pytest


def test_django_is_the_app_role_on_a_clone(database):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        assert cursor.fetchone() == ("glasscase_app", database.name)


def test_a_row_committed_in_one_test(database):
    from core.models import User

    User.objects.create_user("olivia")
    assert User.objects.count() == 1


def test_is_not_there_in_the_next(database):
    from core.models import User

    assert User.objects.count() == 0


@pytest.mark.parametrize(
    "role", ["migrate", "app", "sequencer", "signer", "witness_client", "notifier", "registrar", "reader"]
)
def test_every_login_role_has_a_password_that_works(as_role, role):
    assert as_role(role).execute("SELECT session_user").fetchone() == (f"glasscase_{role}",)
