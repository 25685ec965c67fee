"""Templates: who holds the app role's password can add to an open batch, and read nothing."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector

from search.gate import client, params
from tests.enforcement.refusals import denied, refused
from tests.enforcement.world import DIMENSION, World, digest, unit

Open = Callable[..., psycopg.Connection]

READS = (
    "SELECT * FROM gallery.template",
    "SELECT embedding FROM gallery.template",
    "SELECT count(*) FROM gallery.template",
    "SELECT template FROM gallery.template",
    "SELECT t FROM gallery.template t",
    "SELECT ctid, xmin FROM gallery.template",
    "SELECT * FROM gallery.template_{edition}",
    "SELECT 1 FROM gallery.template ORDER BY embedding <#> '[1]'",
    "EXPLAIN SELECT embedding FROM gallery.template",
    "COPY gallery.template TO STDOUT",
    "COPY gallery.template_{edition} (embedding) TO STDOUT",
    "TABLE gallery.photo_half",
    "SELECT half FROM gallery.photo_half",
    "SELECT * FROM gallery.batch",
    "SELECT * FROM gate.bound",
    "SELECT * FROM gate.outcome",
    "SELECT packed FROM gate.replay",
    "UPDATE gallery.template SET batch = 0",
    "DELETE FROM gallery.template",
    "TRUNCATE gallery.template",
    "INSERT INTO gallery.template_{edition} SELECT * FROM gallery.template",
    "INSERT INTO gallery.removed VALUES ({edition}, gen_random_uuid(), 1)",
    "SELECT * FROM gallery.scan({edition}, '{{1}}', 1, '[1]', 1, 1, NULL)",
    "SELECT gallery.half_of({edition}, gen_random_uuid())",
    "SELECT gallery.exists_still({edition}, gen_random_uuid())",
    "SELECT gate.unpack(decode('0000', 'hex'))",
    "SELECT * FROM pg_catalog.pg_statistic",
    "SELECT * FROM vault.sealed",
    "CREATE TABLE public.mine (t halfvec)",
    "CREATE TEMP TABLE mine (t int)",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER t AFTER INSERT ON gallery.template EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE TRIGGER t AFTER INSERT ON public.core_user EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE gallery.template DISABLE TRIGGER ALL",
    "SET ROLE {prefix}gallery_owner",
    "SET ROLE {prefix}gate_owner",
    "SET ROLE {prefix}log_owner",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_replication_role = replica",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "LOAD 'auto_explain'",
    "SELECT lo_create(0)",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
)


@pytest.mark.parametrize("statement", READS)
@pytest.mark.parametrize("role", ["app", "reader"])
def test_no_statement_reads_or_touches_what_the_owners_keep(
    world: World, as_role: Open, settings: object, statement: str, role: str
) -> None:
    text = statement.format(edition=world.edition, prefix=getattr(settings, "GLASSCASE_ROLE_PREFIX"))  # noqa: B009
    connection = as_role(role)
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(text)
    assert caught.value.sqlstate is not None
    assert caught.value.sqlstate.startswith("42") or caught.value.sqlstate.startswith("58")
    assert str(HalfVector(world.faces[0]).to_text())[:20] not in str(caught.value)


def test_statistics_do_not_keep_embeddings(world: World, as_superuser: psycopg.Connection) -> None:
    """Copies in the planner's statistics would outlive an expungement."""
    world.executed()
    for table in ("gallery.template", f"gallery.template_{world.edition}", "gate.bound", "gate.outcome"):
        as_superuser.execute(f"ANALYZE {table}")
    kept = as_superuser.execute(
        "SELECT DISTINCT tablename, attname FROM pg_stats WHERE schemaname IN ('gallery', 'gate', 'vault')"
        " AND attname IN ('embedding', 'template', 'person', 'probe', 'packed', 'salt', 'salt_micro', 'half')"
        " AND tablename <> 'removed'"
    ).fetchall()
    assert kept == []
    known = as_superuser.execute(
        "SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [f"gallery.template_{world.edition}"]
    ).fetchone()
    assert known == (300,), "sealing told the planner the size of the partition"


def test_statistics_do_not_show_embeddings(world: World, as_role: Open, as_superuser: psycopg.Connection) -> None:
    as_superuser.execute("ANALYZE gallery.template")
    rows = as_role("app").execute("SELECT * FROM pg_stats WHERE schemaname IN ('gallery', 'gate')").fetchall()
    assert rows == []


def test_an_insert_does_not_give_rows_back(world: World, mallory: psycopg.Connection) -> None:
    client.open_batch(mallory, world.edition, secrets.token_bytes(32))
    values = [world.edition, 2, world.rows[0][0], uuid.uuid4(), HalfVector(world.faces[0]).to_text()]
    for ending in (
        "RETURNING embedding",
        "RETURNING template",
        "ON CONFLICT (edition, template) DO UPDATE SET batch = 9",
    ):
        with denied():
            mallory.execute(f"INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s) {ending}", values)


@pytest.mark.parametrize("batch", [0, 1, 2, 77])
def test_nothing_is_added_outside_an_open_batch(world: World, mallory: psycopg.Connection, batch: int) -> None:
    with pytest.raises(psycopg.Error) as caught:
        mallory.execute(
            "INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)",
            [world.edition, batch, uuid.uuid4(), uuid.uuid4(), HalfVector(world.faces[0]).to_text()],
        )
    assert caught.value.sqlstate == "GC403"


@pytest.mark.parametrize(
    "vector",
    [
        np.full(64, 0.125),
        np.ones(DIMENSION) * 60_000 / np.sqrt(DIMENSION),
        np.zeros(DIMENSION),
        np.eye(1, DIMENSION)[0] * 1.02,
    ],
    ids=["wrong dimension", "huge", "zero", "a little too long"],
)
def test_a_template_that_would_spoil_every_search_is_refused(world: World, vector: np.ndarray) -> None:
    batch = client.open_batch(world.app, world.edition, secrets.token_bytes(32))
    with pytest.raises(psycopg.errors.CheckViolation):
        world.insert(batch, [(uuid.uuid4(), uuid.uuid4(), vector)])
    world.executed()  # the gallery is searched as before


def test_a_row_slipped_into_an_open_batch_keeps_it_from_being_sealed(world: World, as_role: Open) -> None:
    secret = secrets.token_bytes(32)
    batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    honest = [(uuid.uuid4(), uuid.uuid4(), unit(np.ones(DIMENSION)))]
    world.insert(batch, honest)
    mallory = as_role("app")
    mallory.execute(
        "INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)",
        [world.edition, batch, uuid.uuid4(), uuid.uuid4(), HalfVector(world.faces[3]).to_text()],
    )
    with refused("digest"):
        client.seal_batch(
            world.app, edition=world.edition, batch=batch, secret=secret, templates=1, digest=digest(honest)
        )
    with refused("digest"):
        client.seal_batch(
            world.app, edition=world.edition, batch=batch, secret=secret, templates=2, digest=digest(honest)
        )
    for guess in (b"", secrets.token_bytes(32), hashlib.sha256(secret).digest()):
        with refused("claim"):
            client.seal_batch(
                mallory, edition=world.edition, batch=batch, secret=guess, templates=2, digest=digest(honest)
            )
        with refused("claim"):
            client.discard_batch(mallory, world.edition, batch, guess)
    filed = world.executed(world.faces[3])
    found = world.candidates(world.app, world.view(filed.request)).candidates
    assert [candidate.template for candidate in found] == [world.rows[3][0]]
    client.discard_batch(world.app, world.edition, batch, secret)
    assert world.logged("gallery:batch:discarded")[0]["templates"] == 2


def test_a_sealed_batch_takes_no_late_row_from_a_transaction_that_began_before(world: World, as_role: Open) -> None:
    secret = secrets.token_bytes(32)
    batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    late = as_role("app", autocommit=False)
    values = [world.edition, batch, uuid.uuid4(), uuid.uuid4(), HalfVector(world.faces[3]).to_text()]
    late.execute("INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)", values)
    world.app.execute("SET statement_timeout = '300ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):  # waits for the row's transaction instead of sealing without it
        client.seal_batch(world.app, edition=world.edition, batch=batch, secret=secret, templates=0, digest=digest([]))
    late.rollback()
    assert client.seal_batch(
        world.app, edition=world.edition, batch=batch, secret=secret, templates=0, digest=digest([])
    )
    with pytest.raises(psycopg.Error) as caught:
        late.execute("INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)", values)
    assert caught.value.sqlstate == "GC403"
    late.rollback()


def test_unsealed_and_removed_templates_are_not_found(world: World) -> None:
    secret = secrets.token_bytes(32)
    rng = np.random.default_rng(9)
    fresh = [(uuid.uuid4(), uuid.uuid4(), unit(rng.standard_normal(DIMENSION)))]
    batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    world.insert(batch, fresh)
    hidden = world.executed(fresh[0][2])
    assert world.candidates(world.app, world.view(hidden.request)).candidates == ()
    client.seal_batch(world.app, edition=world.edition, batch=batch, secret=secret, templates=1, digest=digest(fresh))
    shown = world.executed(fresh[0][2])
    assert len(world.candidates(world.app, world.view(shown.request)).candidates) == 1
    values = params.remove(edition=world.edition, templates=[fresh[0][0]])
    [proposal] = world.propose("gallery:remove", values, world.sam)
    assert client.remove(world.app, edition=world.edition, templates=[fresh[0][0]], proposal=proposal) == 1
    gone = world.executed(fresh[0][2])
    assert world.candidates(world.app, world.view(gone.request)).candidates == ()
    # The first search keeps what it found; its replay is on its own version.
    [proposal] = world.propose("gate:replay", params.replay(request=shown.request), world.sam)
    client.replay(world.app, shown.request, proposal)
    assert world.logged("search:result:replayed", shown.request)[0]["comparison"] == "same"


def test_the_key_of_a_photo_is_given_for_opened_candidates_only(world: World, mallory: psycopg.Connection) -> None:
    half = secrets.token_bytes(32)
    for template in (world.rows[7][0], world.rows[8][0]):
        mallory.execute("INSERT INTO gallery.photo_half VALUES (%s, %s, %s)", [world.edition, template, half])
    filed = world.executed(world.faces[7])
    view = world.view(filed.request)
    with refused("view"):
        world.photo_key(mallory, view, world.rows[7][0])
    world.candidates(mallory, view)
    assert world.photo_key(mallory, view, world.rows[7][0]) == half
    with refused("photo"):
        world.photo_key(mallory, view, world.rows[8][0])


@pytest.mark.parametrize(
    "setting",
    [
        "enable_seqscan = off",
        "max_parallel_workers_per_gather = 0",
        "max_parallel_workers = 0",
        "enable_partition_pruning = off",
        "plan_cache_mode = force_generic_plan",
        "hnsw.ef_search = 1",
        "work_mem = '64kB'",
        "jit = on",
    ],
)
def test_planner_settings_of_the_caller_do_not_change_what_is_found(world: World, as_role: Open, setting: str) -> None:
    connection = as_role("app")
    connection.execute(f"SET {setting}")
    filed = world.bound(world.faces[11])
    world.execute(connection, filed)
    world.sign()
    found = world.candidates(world.app, world.view(filed.request)).candidates
    assert [candidate.template for candidate in found] == [world.rows[11][0]]
