"""Maintenance of the database is in the log before it happens."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import maintenance
from tests.core.log_entries import entries


def test_planned_work_is_announced_as_an_entry(database: Any) -> None:
    call_command("announce_maintenance", "rebuild_index", stdout=io.StringIO())
    (said,) = entries("log:database:maintained")
    assert (said["reason"], said["migrations"], said["role"]) == ("rebuild_index", 0, "operator")


def test_a_reason_that_is_no_code_is_refused(database: Any) -> None:
    with pytest.raises(CommandError, match="reason"):
        call_command("announce_maintenance", "Rebuild the index!", stdout=io.StringIO())
    assert entries("log:database:maintained") == []


def test_a_frozen_log_takes_no_announcement_and_says_so(database: Any, as_role: Any) -> None:
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    with pytest.raises(CommandError, match="it is frozen"):
        call_command("announce_maintenance", "rebuild_index", stdout=io.StringIO())


def test_migrations_are_announced_before_they_are_applied(database: Any, as_superuser: Any) -> None:
    from core.management.commands.migrate import Command

    as_superuser.execute(
        "DELETE FROM django_migrations m WHERE m.app = 'audit'"
        " AND m.name = (SELECT max(n.name) FROM django_migrations n WHERE n.app = 'audit')"
    )
    Command()._announce()
    (said,) = entries("log:database:maintained")
    assert said["migrations"] > 0
    assert "reason" not in said


def test_a_database_that_is_up_to_date_is_not_announced(database: Any) -> None:
    from core.management.commands.migrate import Command

    Command()._announce()
    assert entries("log:database:maintained") == []
    assert maintenance.announce(migrations=1)
