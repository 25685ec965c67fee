"""The log against the roles that processes hold, and against the mistakes of those who own it."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable

import psycopg
import pytest

from audit.log import entries, sequencer
from tests.enforcement.refusals import denied
from tests.enforcement.world import World

Open = Callable[..., psycopg.Connection]
PROCESSES = ("app", "sequencer", "signer", "reader", "notifier", "registrar", "witness_client", "migrate")
EVIDENCE = ("log.entry", "log.leaf", "log.tile", "log.checkpoint", "log.event_type", "logwork.head", "logwork.pending")


@pytest.mark.parametrize("role", PROCESSES)
def test_no_role_of_a_process_changes_or_removes_evidence(world: World, as_role: Open, role: str) -> None:
    world.file()
    world.sign()
    connection = as_role(role)
    allowed = {
        ("sequencer", "DELETE FROM logwork.pending"),
        ("sequencer", "UPDATE logwork.head SET size = 1, root = root"),
    }
    for table in EVIDENCE:
        column = {"log.entry": "type", "log.event_type": "writer", "log.checkpoint": "note", "log.leaf": "idx"}.get(
            table
        )
        change = f"UPDATE {table} SET {column} = {column}" if column else f"UPDATE {table} SET size = 1, root = root"
        if table in ("log.tile", "logwork.pending"):
            change = f"UPDATE {table} SET {'n = n' if table == 'log.tile' else 'entry_id = entry_id'}"
        for statement in (change, f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE", f"DROP TABLE {table} CASCADE"):
            if (role, statement) in allowed:
                continue
            with denied():
                connection.execute(statement)
    assert world.count() > 0


def test_the_sequencer_can_only_move_the_head_forward(world: World, as_role: Open) -> None:
    world.file()
    world.sign()
    connection = as_role("sequencer")
    for statement in (
        "UPDATE logwork.head SET size = 0, root = root",
        "UPDATE logwork.head SET size = size, root = sha256('')",
    ):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement)
        assert caught.value.sqlstate == "GC403"
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO log.leaf SELECT 0, max(id) FROM log.entry")
    world.file()
    for statement in (
        "INSERT INTO log.leaf SELECT (SELECT size + 1 FROM logwork.head), max(id) FROM log.entry",
        "INSERT INTO log.leaf SELECT 5000000, max(id) FROM log.entry",
        "DELETE FROM logwork.pending",
        "UPDATE logwork.head SET size = 9000000000000",
        "UPDATE logwork.head SET size = size + 1, root = sha256('')",
    ):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement)
        assert caught.value.sqlstate == "GC403", statement
    assert sequencer.step(world.sequencer) > 0, "the honest sequencer goes on"


def test_the_signer_cannot_claim_more_than_the_tree_holds(world: World, as_role: Open) -> None:
    connection = as_role("signer")
    for size, root in ((10_000, b"\1" * 32), (world.count(), b"\1" * 32)):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, 'x')", [size, root])
        assert caught.value.sqlstate == "GC403"
    with denied():
        connection.execute(
            "INSERT INTO log.checkpoint (size, root, note, at) VALUES (1, sha256(''), 'x', '2020-01-01')"
        )


@pytest.mark.parametrize("role", ["app", "sequencer", "reader", "registrar", "notifier"])
def test_only_the_signer_records_checkpoints(world: World, as_role: Open, role: str) -> None:
    with denied():
        as_role(role).execute("INSERT INTO log.checkpoint (size, root, note) VALUES (0, sha256(''), 'x')")


def test_entries_come_in_by_the_writers_own_function_only(world: World, as_role: Open) -> None:
    body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body
    for role in PROCESSES:
        connection = as_role(role)
        with denied():
            connection.execute(
                "INSERT INTO log.entry (uid, type, at, body) VALUES (gen_random_uuid(), 'core:user:signed_in', 0, %s)",
                [body],
            )
        with denied():
            connection.execute("SELECT log.accept(%s, 'app')", [body])
        if role != "app":
            with denied():
                connection.execute("SELECT log.append(%s)", [body])


@pytest.mark.parametrize(
    "type_",
    [
        "search:probe:bound",
        "search:result:stored",
        "search:request:approved",
        "gate:policy:set",
        "gallery:batch:sealed",
    ],
)
def test_the_gates_own_entries_cannot_be_forged(mallory: psycopg.Connection, type_: str) -> None:
    for function in ("append_as_gate", "append_as_gallery", "append_as_vault"):
        with denied():
            mallory.execute(f"SELECT log.{function}(%s, '{{}}')", [type_])
    for body in (f'{{"type":"{type_}"}}', f'{{"type":"core:user:signed_in","type":"{type_}"}}'):
        with pytest.raises(psycopg.Error) as caught:
            mallory.execute("SELECT log.append(%s)", [body.encode()])
        assert caught.value.sqlstate in {"GC403", "GC422"}
    assert mallory.execute("SELECT count(*) FROM log.entry WHERE type = %s", [type_]).fetchone() == (0,)


@pytest.mark.parametrize("shift_ms", [-6000, 6000, -86_400_000])
def test_an_entry_cannot_be_dated_back_or_forward(
    mallory: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, shift_ms: int
) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + shift_ms * 1_000_000)
    body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body
    with pytest.raises(psycopg.Error) as caught:
        mallory.execute("SELECT log.append(%s)", [body])
    assert caught.value.sqlstate == "GC422"


def test_the_same_entry_is_not_taken_twice(mallory: psycopg.Connection) -> None:
    body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body
    mallory.execute("SELECT log.append(%s)", [body])
    with pytest.raises(psycopg.Error) as caught:
        mallory.execute("SELECT log.append(%s)", [body])
    assert caught.value.sqlstate == "GC409"


def test_settings_of_the_caller_do_not_change_the_bytes_of_an_entry(world: World, as_role: Open) -> None:
    connection = as_role("app")
    for setting in (
        "extra_float_digits = -15",
        "TimeZone = 'Asia/Kolkata'",
        "DateStyle = 'German'",
        "bytea_output = 'escape'",
        "IntervalStyle = 'sql_standard'",
        "standard_conforming_strings = off",
        "transform_null_equals = on",
        "escape_string_warning = off",
        "search_path = pg_temp, public",
    ):
        with contextlib.suppress(psycopg.errors.UndefinedObject):
            connection.execute(f"SET {setting}")
    filed = world.file()
    world.sign()
    world.bind(filed, connection)
    world.sign()
    world.execute(connection, filed)
    from audit.log import form

    for row in world.app.execute("SELECT body FROM log.entry").fetchall():
        assert form.problem(bytes(row[0])) is None
    assert world.logged("search:result:stored", filed.request)[0]["method"] == "exact"


def test_asynchronous_commit_does_not_make_evidence(world: World, as_role: Open) -> None:
    """Mallory's commit may be lost in a crash; the sequencer's is synchronous, and nothing counts before it."""
    connection = as_role("app")
    connection.execute("SET synchronous_commit = off")
    filed = world.file()
    view = entries.compose("search:candidates:viewed", request=filed.request, viewer=uuid.uuid4(), claim="c" * 64)
    connection.execute("SELECT log.append(%s)", [view.body])
    assert connection.execute("SELECT count(*) FROM logwork.pending").fetchone() != (0,)
    row = world.sequencer.execute("SHOW synchronous_commit").fetchone()
    assert row == ("on",)
    assert sequencer.step(world.sequencer) > 0


def test_a_frozen_log_takes_nothing_and_so_no_search_runs(world: World, as_role: Open) -> None:
    filed = world.file()
    world.sign()
    for role in ("app", "sequencer", "reader", "registrar"):
        with denied():
            as_role(role).execute("SELECT logwork.freeze('mallory')")
    as_role("signer").execute("SELECT logwork.freeze('a larger tree is known outside')")
    before = world.count()
    from search.gate.client import GateRefused

    with pytest.raises(GateRefused, match="frozen"):
        world.bind(filed)
    with pytest.raises(psycopg.Error) as caught:
        world.app.execute("SELECT log.append(%s)", [entries.compose("core:user:signed_in", user=uuid.uuid4()).body])
    assert caught.value.sqlstate == "GC503"
    assert world.count() == before


def test_a_frozen_log_takes_nothing_from_an_older_snapshot_or_an_open_transaction(world: World, as_role: Open) -> None:
    body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body
    old = as_role("app", autocommit=False)
    old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.execute("SELECT count(*) FROM log.entry")
    waiting = as_role("app", autocommit=False)
    waiting.execute("SELECT log.append(%s)", [entries.compose("core:user:signed_in", user=uuid.uuid4()).body])
    as_role("signer").execute("SELECT logwork.freeze('a larger tree is known outside')")
    with pytest.raises(psycopg.Error) as caught:
        old.execute("SELECT log.append(%s)", [body])
    assert caught.value.sqlstate == "GC403"
    waiting.commit()
    with pytest.raises(sequencer.Frozen):
        sequencer.step(world.sequencer)
    with pytest.raises(psycopg.Error) as refused:
        world.sequencer.execute("INSERT INTO log.leaf SELECT (SELECT size FROM logwork.head), max(id) FROM log.entry")
    assert refused.value.sqlstate == "GC403"


def test_owners_are_stopped_by_triggers_when_they_err(as_superuser: psycopg.Connection, world: World) -> None:
    world.file()
    for statement in (
        "UPDATE log.entry SET type = type",
        "DELETE FROM log.entry",
        "TRUNCATE log.entry CASCADE",
        "DROP TABLE log.entry CASCADE",
        "DROP SCHEMA log CASCADE",
        "ALTER TABLE log.entry DISABLE TRIGGER ALL",
        "DROP FUNCTION log.immutable() CASCADE",
    ):
        for replica in (False, True):
            as_superuser.execute(f"SET session_replication_role = {'replica' if replica else 'origin'}")
            with pytest.raises(psycopg.Error):
                as_superuser.execute(statement)
    as_superuser.execute("SET session_replication_role = origin")
    assert world.count() > 0


def test_log_tables_cannot_be_locked_against_the_sequencer_by_reading_roles(world: World, as_role: Open) -> None:
    for role in ("app", "reader"):
        connection = as_role(role, autocommit=False)
        with denied():
            connection.execute("SELECT * FROM logwork.head FOR UPDATE")
        connection.rollback()
        for table in EVIDENCE:
            with denied():
                connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            connection.rollback()
