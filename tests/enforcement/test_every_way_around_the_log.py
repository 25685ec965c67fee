"""A table of attempts on the log: by every role, by its owner, by a superuser. It says which of them the database stops, and which
only the tree shows; and whatever only the tree shows, the check of an export really refuses.

Every attempt runs in a transaction of its own that is taken back, on the same log.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest

from audit.log import entries, storage, verifier_keys
from audit.log.check import Earlier, Refused, check_log
from audit.log.checkpoint import open_checkpoint
from audit.log.sequencer import TreeMismatch, step
from audit.log.signer import SignerRefusal
from tests.enforcement.world import World

Open = Callable[..., psycopg.Connection]

_NEW_GUARD = (
    "CREATE OR REPLACE FUNCTION log.immutable() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
)
_HARMLESS = "CREATE FUNCTION log.harmless() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
_BODY = entries.compose("core:user:signed_in", user=uuid.uuid4()).body.decode()
_ENTRY = (
    "INSERT INTO log.entry (uid, type, at, body) VALUES (gen_random_uuid(), 'core:user:signed_in', 0, "
    f"convert_to('{_BODY}', 'UTF8'))"
)

# What no process may do, whatever its role.
NOBODY = (
    "SET session_replication_role = replica",
    "SET event_triggers = off",
    "SET ROLE @log_owner@",
    "SET SESSION AUTHORIZATION @log_owner@",
    "ALTER TABLE log.entry DISABLE TRIGGER immutable_row",
    "ALTER TABLE log.entry OWNER TO CURRENT_USER",
    "ALTER TABLE log.entry RENAME TO gone",
    "DROP TRIGGER immutable_row ON log.entry",
    "DROP EVENT TRIGGER glasscase_refuse_drop",
    "ALTER EVENT TRIGGER glasscase_refuse_alter DISABLE",
    _NEW_GUARD,
    _HARMLESS,
    "ALTER FUNCTION log.append(bytea) RESET ALL",
    "CREATE TRIGGER mine BEFORE INSERT ON log.entry FOR EACH ROW EXECUTE FUNCTION log.immutable()",
    "CREATE RULE hide AS ON SELECT TO log.entry DO INSTEAD SELECT * FROM log.entry",
    "CREATE RULE hide AS ON INSERT TO log.leaf DO INSTEAD NOTHING",
    "CREATE POLICY hide ON log.entry USING (false)",
    "CREATE TABLE log.beside (id bigint)",
    "CREATE TABLE public.child () INHERITS (log.entry)",
    "CREATE TEMP TABLE entry (id bigint)",
    "SELECT setval('log.entry_id_seq', 1)",
    "SELECT nextval('log.entry_id_seq')",
    _ENTRY,
    "INSERT INTO logwork.pending (entry_id) SELECT max(id) FROM log.entry",
    "MERGE INTO log.entry e USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "UPDATE log.event_type SET writer = 'app' WHERE type = 'search:result:stored'",
    "INSERT INTO log.event_type (type, writer, fields, required, commits) VALUES ('a:b:c', 'app', '{}', '{}', '{}')",
    "DELETE FROM log.event_type",
    "SELECT log.accept('x', 'gate_owner')",
    "SELECT log.compose('search:result:stored', '{}')",
    "UPDATE logwork.head SET size = size - 1",
    "INSERT INTO logwork.frozen (reason) VALUES ('x')",
    "DELETE FROM logwork.frozen",
    "DELETE FROM logwork.clearance",
    "INSERT INTO log.checkpoint (size, root, note, at) VALUES (1, sha256(''), 'x', '2020-01-01')",
    "SELECT * FROM log.entry FOR UPDATE",
    "SELECT * FROM log.leaf FOR SHARE",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_switch_wal()",
    "GRANT @log_owner@ TO @app@",
)
PROCESSES = ("app", "sequencer", "signer", "witness_client", "notifier", "registrar", "reader")

# What its own work would let a role try; the database refuses it all the same.
BY_ROLE: dict[str, tuple[str, ...]] = {
    "sequencer": (
        "INSERT INTO log.leaf (idx, entry_id) SELECT size, 9000000000 FROM logwork.head",  # a leaf that is no entry
        "INSERT INTO log.leaf (idx, entry_id) SELECT h.size, l.entry_id FROM logwork.head h, log.leaf l WHERE l.idx = 0",
        "INSERT INTO log.leaf (idx, entry_id) SELECT size + 1, (SELECT max(entry_id) FROM logwork.pending) FROM logwork.head",
        "INSERT INTO log.leaf (idx, entry_id) VALUES (-1, (SELECT max(entry_id) FROM logwork.pending))",
        "DELETE FROM logwork.pending",
        "UPDATE logwork.head SET size = size + 1",
        "UPDATE logwork.head SET root = sha256('')",
        "UPDATE logwork.head SET one = false",
        "INSERT INTO logwork.head VALUES (false, 0, sha256(''))",
        "UPDATE logwork.step SET root = sha256('')",
        "INSERT INTO logwork.step SELECT size, sha256('') FROM logwork.head",
        "INSERT INTO log.tile VALUES (9, 0, decode(repeat('00', 8192), 'hex'), sha256(''))",
        "INSERT INTO log.tile VALUES (0, 0, 'short', sha256(''))",
        "INSERT INTO log.checkpoint (size, root, note) SELECT size, root, 'x' FROM logwork.head",
        "SELECT logwork.freeze('x')",
        f"SELECT log.append(convert_to('{_BODY}', 'UTF8'))",
    ),
    "signer": (
        "INSERT INTO log.checkpoint (size, root, note) SELECT size, root, 'x' FROM logwork.head",
        "INSERT INTO log.checkpoint (size, root, note) SELECT size + 1, root, 'x' FROM logwork.head",
        "UPDATE log.checkpoint SET note = 'x'",
        "DELETE FROM log.checkpoint",
        "INSERT INTO log.leaf (idx, entry_id) SELECT size, 1 FROM logwork.head",
        "DELETE FROM logwork.pending",
        f"SELECT log.append(convert_to('{_BODY}', 'UTF8'))",
        f"SELECT log.append_as_signer(convert_to('{_BODY}', 'UTF8'))",  # an entry of another writer's type
    ),
    "witness_client": (
        "INSERT INTO log.checkpoint (size, root, note) SELECT size, root, note FROM log.checkpoint",
        "UPDATE log.checkpoint SET note = note",
        f"SELECT log.append(convert_to('{_BODY}', 'UTF8'))",
    ),
    "reader": (
        f"SELECT log.append(convert_to('{_BODY}', 'UTF8'))",
        "INSERT INTO log.checkpoint (size, root, note) SELECT size, root, note FROM log.checkpoint",
        "INSERT INTO log.leaf (idx, entry_id) VALUES (0, 1)",
        "SELECT logwork.freeze('x')",
    ),
}

# By mistake: a migration, or a superuser at a prompt. Triggers and event triggers stop these, in a replica's session too.
MISTAKES = (
    "UPDATE log.entry SET type = type",
    "DELETE FROM log.entry",
    "TRUNCATE log.entry CASCADE",
    "DROP TABLE log.entry CASCADE",
    "UPDATE log.leaf SET entry_id = entry_id",
    "DELETE FROM log.leaf",
    "TRUNCATE log.leaf",
    "UPDATE log.checkpoint SET note = note",
    "DELETE FROM log.checkpoint",
    "TRUNCATE log.checkpoint",
    "TRUNCATE log.tile",
    "TRUNCATE logwork.step",
    "TRUNCATE logwork.head",
    "DELETE FROM log.event_type",
    "TRUNCATE log.event_type",
    "DELETE FROM logwork.head",
    "UPDATE logwork.head SET size = 0, root = sha256('')",
    "DELETE FROM logwork.pending",
    "INSERT INTO log.leaf (idx, entry_id) SELECT size, 9000000000 FROM logwork.head",
    "INSERT INTO log.checkpoint (size, root, note) SELECT size + 1, root, 'x' FROM logwork.head",
    "ALTER TABLE log.entry DISABLE TRIGGER ALL",
    "ALTER TABLE log.entry DROP COLUMN leaf_hash",
    "ALTER TABLE log.entry ADD COLUMN note text",
    "ALTER TABLE log.entry SET SCHEMA public",
    "ALTER TABLE log.entry RENAME TO old",
    "ALTER TABLE logwork.head ENABLE REPLICA TRIGGER forward",
    "DROP TRIGGER immutable_row ON log.entry",
    "ALTER TRIGGER immutable_row ON log.entry RENAME TO other",
    "CREATE TRIGGER a BEFORE INSERT ON log.entry FOR EACH ROW EXECUTE FUNCTION log.immutable()",
    "CREATE RULE hide AS ON INSERT TO log.leaf DO INSTEAD NOTHING",
    "CREATE POLICY hide ON log.entry USING (false)",
    _NEW_GUARD,
    _HARMLESS,
    "ALTER FUNCTION log.append(bytea) SECURITY INVOKER",
    "DROP FUNCTION log.immutable() CASCADE",
    "DROP SCHEMA log CASCADE",
    "DROP SCHEMA logwork CASCADE",
)

_BARE = "ALTER TABLE {} DISABLE TRIGGER ALL"
_FORGED = "convert_to(replace(convert_from(body, 'UTF8'), '\"v\":1', '\"v\":2'), 'UTF8')"

# On purpose: a superuser with the event triggers off takes the triggers off as well, and edits. Statements, and what shows it.
ONLY_THE_TREE: dict[str, tuple[tuple[str, ...], str]] = {
    "an entry changed (its leaf hash follows by itself)": (
        (
            _BARE.format("log.entry"),
            f"UPDATE log.entry SET body = {_FORGED} WHERE id = (SELECT entry_id FROM log.leaf WHERE idx = 3)",
        ),
        "root",
    ),
    "an entry deleted": (
        (_BARE.format("log.entry"), "DELETE FROM log.entry WHERE id = (SELECT entry_id FROM log.leaf WHERE idx = 3)"),
        "unreadable",
    ),
    "entry and leaf deleted": (
        (
            _BARE.format("log.entry"),
            _BARE.format("log.leaf"),
            "DELETE FROM log.entry WHERE id = (SELECT entry_id FROM log.leaf WHERE idx = 3)",
            "DELETE FROM log.leaf WHERE idx = 3",
        ),
        "unreadable",
    ),
    "an entry taken out and the ones after it moved up": (
        (
            _BARE.format("log.leaf"),
            "DELETE FROM log.leaf WHERE idx = 3",
            "UPDATE log.leaf SET idx = idx + 1000000 WHERE idx > 3",
            "UPDATE log.leaf SET idx = idx - 1000001 WHERE idx > 1000000",
        ),
        "unreadable",
    ),
    "two entries swapped": (
        (
            _BARE.format("log.leaf"),
            "UPDATE log.leaf SET idx = idx + 1000000 WHERE idx IN (3, 4)",
            "UPDATE log.leaf SET idx = 1000007 - idx WHERE idx > 999999",
        ),
        "root",
    ),
    "one entry in the place of another": (
        (
            _BARE.format("log.leaf"),
            "ALTER TABLE log.leaf DROP CONSTRAINT leaf_entry_id_key",
            "UPDATE log.leaf SET entry_id = (SELECT entry_id FROM log.leaf WHERE idx = 4) WHERE idx = 3",
        ),
        "root",
    ),
    "the newest checkpoint's root changed": (
        (
            _BARE.format("log.checkpoint"),
            "UPDATE log.checkpoint SET note = replace(note, split_part(note, chr(10), 3), encode(sha256('x'), 'base64')),"
            " root = sha256('x') WHERE size = (SELECT max(size) FROM log.checkpoint)",
        ),
        "rollback",  # passed over, as no key signed it: the log ends where an earlier checkpoint does
    ),
    "the newest checkpoint taken away": (
        (
            _BARE.format("log.checkpoint"),
            "DELETE FROM log.checkpoint WHERE size = (SELECT max(size) FROM log.checkpoint)",
        ),
        "rollback",
    ),
    "all checkpoints taken away": ((_BARE.format("log.checkpoint"), "DELETE FROM log.checkpoint"), "uncovered"),
    "the log cut back to an older checkpoint": (
        (
            _BARE.format("log.checkpoint"),
            _BARE.format("log.leaf"),
            "DELETE FROM log.checkpoint WHERE size = (SELECT max(size) FROM log.checkpoint)",
            "DELETE FROM log.leaf WHERE idx >= (SELECT max(size) FROM log.checkpoint)",
        ),
        "rollback",
    ),
}


@pytest.fixture
def signed(world: World, as_role: Open) -> tuple[World, Earlier]:
    """A log with two checkpoints and an entry that waits, and the newest checkpoint as somebody outside kept it."""
    world.file()
    world.sign()
    world.file()
    world.sign()
    latest = storage.latest_checkpoint(as_role("reader"))
    assert latest is not None
    kept = open_checkpoint(latest[1], verifier_keys.published()).checkpoint
    world.app.execute("SELECT log.append(%s)", [entries.compose("core:user:signed_in", user=uuid.uuid4()).body])
    return world, Earlier("the checkpoint that was kept", kept)


@contextlib.contextmanager
def taken_back(connection: psycopg.Connection) -> Iterator[None]:
    """A transaction whose effects do not stay, settings of the session among them."""
    with connection.transaction(force_rollback=True):
        yield


def _filled_in(statement: str) -> str:
    from core.database import render_sql

    return render_sql(statement)


def _passed(connection: psycopg.Connection, attempts: Sequence[str]) -> list[str]:
    """The attempts that nothing refused."""
    through = []
    for statement in attempts:
        with contextlib.suppress(psycopg.Error), taken_back(connection):
            connection.execute(_filled_in(statement))
            through.append(statement)
    return through


def _shown(connection: psycopg.Connection, kept: Earlier) -> str:
    """How an export of the log as `connection` sees it now is refused; an empty string when it stands the check."""
    keys = verifier_keys.published()
    try:
        _, files = storage.published_files(connection)
        check_log(dict(files).__getitem__, keys, earlier=[kept])
    except storage.NotCovered:
        return "uncovered"
    except LookupError:
        return "unreadable"
    except Refused as refused:
        return refused.category
    return ""


@pytest.mark.parametrize("role", PROCESSES)
def test_the_database_stops_every_process(signed: tuple[World, Earlier], as_role: Open, role: str) -> None:
    assert _passed(as_role(role), (*NOBODY, *BY_ROLE.get(role, ()))) == []


def test_the_database_stops_a_migration_that_errs(signed: tuple[World, Earlier], as_role: Open) -> None:
    connection = as_role("migrate")
    assert _passed(connection, ["SET ROLE @log_owner@"]) == ["SET ROLE @log_owner@"], "it may be the owner"
    connection.execute(_filled_in("SET ROLE @log_owner@"))
    assert _passed(connection, MISTAKES) == []
    assert _passed(connection, ("SET event_triggers = off", "SET session_replication_role = replica")) == []


@pytest.mark.parametrize("session", ["origin", "replica", "local"])
def test_the_database_stops_a_superuser_who_errs(
    signed: tuple[World, Earlier], as_superuser: psycopg.Connection, session: str
) -> None:
    as_superuser.execute(f"SET session_replication_role = {session}")
    assert _passed(as_superuser, MISTAKES) == []
    # Without the event triggers the tables still guard their rows.
    as_superuser.execute("SET event_triggers = off")
    rows = [statement for statement in MISTAKES if statement.startswith(("UPDATE", "DELETE", "TRUNCATE", "INSERT"))]
    assert len(rows) > 15
    assert _passed(as_superuser, rows) == []


@pytest.mark.parametrize("name", ONLY_THE_TREE)
def test_what_a_superuser_does_on_purpose_the_tree_shows(
    signed: tuple[World, Earlier], as_superuser: psycopg.Connection, name: str
) -> None:
    statements, shown = ONLY_THE_TREE[name]
    assert _shown(as_superuser, signed[1]) == ""
    with taken_back(as_superuser):
        as_superuser.execute("SET LOCAL event_triggers = off")
        for statement in statements:
            as_superuser.execute(statement)
        as_superuser.execute("SET LOCAL event_triggers = on")
        assert _shown(as_superuser, signed[1]) == shown
    assert _shown(as_superuser, signed[1]) == "", "nothing of it stays"


def test_an_owner_who_says_that_it_means_it_is_shown_by_the_tree(signed: tuple[World, Earlier], as_role: Open) -> None:
    owner = as_role("migrate")
    owner.execute(_filled_in("SET ROLE @log_owner@"))
    with taken_back(owner):
        owner.execute("SET LOCAL glasscase.maintenance = 'on'")
        owner.execute(_NEW_GUARD)
        owner.execute(f"UPDATE log.entry SET body = {_FORGED} WHERE id = (SELECT entry_id FROM log.leaf WHERE idx = 0)")
        assert _shown(owner, signed[1]) == "root"
    assert _shown(as_role("reader"), signed[1]) == ""


def test_a_sequencer_that_lies_about_the_root_gets_no_signature(signed: tuple[World, Earlier], as_role: Open) -> None:
    """SQL does not hash the tree: a false root is taken by the database, and refused by the next step and by the signer."""
    world, kept = signed
    lying = as_role("sequencer")
    with lying.transaction():
        lying.execute("INSERT INTO logwork.step SELECT size + 1, sha256('false') FROM logwork.head")
        lying.execute(
            "INSERT INTO log.leaf SELECT h.size, min(p.entry_id) FROM logwork.head h, logwork.pending p GROUP BY 1"
        )
        lying.execute("DELETE FROM logwork.pending p USING log.leaf l WHERE l.entry_id = p.entry_id")
        lying.execute("UPDATE logwork.head SET size = size + 1, root = sha256('false')")
    world.app.execute("SELECT log.append(%s)", [entries.compose("core:user:signed_in", user=uuid.uuid4()).body])
    with pytest.raises(TreeMismatch):
        step(world.sequencer)
    with pytest.raises((TreeMismatch, SignerRefusal)):
        world.sign()
    assert _shown(as_role("reader"), kept) == "", "what was signed before stands"


def test_a_sequencer_cannot_store_a_false_tile(signed: tuple[World, Earlier], as_role: Open) -> None:
    world, kept = signed
    false = hashlib.sha256(b"false").digest()
    with pytest.raises(psycopg.Error, match="A full tile holds"):
        as_role("sequencer").execute("INSERT INTO log.tile VALUES (0, 0, %s, %s)", [false * 256, false])
    with world.app.transaction(), world.app.cursor() as cursor:
        cursor.executemany(
            "SELECT log.append(%s)",
            [[entries.compose("core:user:signed_in", user=uuid.uuid4()).body] for _ in range(256)],
        )
    assert step(world.sequencer) >= 256
    world.sign()
    assert _shown(as_role("reader"), kept) == ""


def test_a_note_under_another_key_is_taken_by_the_database_and_shown_to_nobody(
    signed: tuple[World, Earlier], as_role: Open
) -> None:
    _, kept = signed
    reader = as_role("reader")
    before = storage.latest_checkpoint(reader)
    assert before is not None
    head, _, signature = before[1].decode().rpartition(" ")
    forged = f"{head} {signature[:8]}{'A' * (len(signature) - 11)}==\n"
    as_role("signer").execute(
        "INSERT INTO log.checkpoint (size, root, note) SELECT size, root, %s FROM logwork.head", [forged]
    )
    assert storage.latest_checkpoint(reader) == before
    assert _shown(reader, kept) == ""


def test_there_are_more_than_thirty_attempts() -> None:
    tried = {*NOBODY, *MISTAKES, *(each for attempts in BY_ROLE.values() for each in attempts), *ONLY_THE_TREE}
    assert len(tried) > 90
    assert json.loads(_BODY)["type"] == "core:user:signed_in"
