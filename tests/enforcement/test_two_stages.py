"""Searches in two stages: off until two people allow them, and codes are nobody's but the database's."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector

from search import cut
from search.gate import client, params
from tests.enforcement.coded import (
    HIGH,
    at,
    build,
    codes,
    enrol,
    expunge,
    found,
    lose,
    pack,
    people,
    planes,
    replay,
    result,
)
from tests.enforcement.own_gallery import OwnGallery, rows_of
from tests.enforcement.refusals import refused
from tests.enforcement.world import DIMENSION, PEOPLE, World

Open = Callable[..., psycopg.Connection]


def test_every_search_is_exact_until_two_people_allow_two_stages_and_codes_are_complete(world: World) -> None:
    rng = np.random.default_rng(5)
    probe = at(0.8, world.faces[3], rng)
    build(world.app, world.edition)
    assert result(world, probe)["method"] == "exact"
    world.set_policy("two_stage_from", PEOPLE + 1)
    assert result(world, probe)["method"] == "exact"
    world.set_policy("two_stage_from", PEOPLE)
    said = result(world, probe)
    assert (said["method"], said["bits"], said["loss_one_in"]) == ("two_stage", cut.BITS, 1_000_000)
    assert said["cut"] >= cut.cut(HIGH / 1e6, DIMENSION)
    assert found(world, probe) == [world.rows[3][0]]
    enrol(world, people(5, seed=1))
    assert "cut" not in result(world, probe)
    build(world.app, world.edition)
    assert result(world, probe)["method"] == "two_stage"
    world.set_policy("two_stage_from", 0)
    assert result(world, probe)["method"] == "exact"


def test_one_person_alone_does_not_allow_two_stages(world: World) -> None:
    values = params.set_policy(setting="two_stage_from", value=1)
    with refused("proposals"):
        client.set_policy(
            world.app,
            setting="two_stage_from",
            value=1,
            proposals=world.propose("gate:set_policy", values, world.sam),
        )


def test_where_the_cut_leaves_too_many_the_search_is_exact(allowed: World) -> None:
    said = result(allowed, allowed.faces[7], threshold=400_000)
    assert said["method"] == "exact"
    assert "loss_one_in" not in said


def test_a_replay_does_as_the_first_search_did_and_asks_the_exact_scan_as_well(allowed: World) -> None:
    probe = at(0.8, allowed.faces[3], np.random.default_rng(6))
    two = allowed.executed(probe, threshold=HIGH)
    said = replay(allowed, two.request)
    assert (said["comparison"], said["lost"]) == ("same", 0)
    allowed.set_policy("two_stage_from", 0)
    assert replay(allowed, two.request)["lost"] == 0
    exact = allowed.executed(probe, threshold=HIGH)
    assert "lost" not in replay(allowed, exact.request)
    expunge(allowed, allowed.rows[3][1])
    said = replay(allowed, two.request)
    assert (said["comparison"], said["expunged"], said["lost"]) == ("same_except_expunged", 1, 0)


def test_a_replay_tells_what_the_first_stage_lost(allowed: World, as_superuser: psycopg.Connection) -> None:
    """A lost code is what bad luck with the planes would be."""
    probe = at(0.8, allowed.faces[3], np.random.default_rng(6))
    lose(as_superuser, allowed, allowed.rows[3][0])
    filed = allowed.executed(probe, threshold=HIGH)
    said = replay(allowed, filed.request)
    assert (said["comparison"], said["lost"]) == ("same", 1)


def test_codes_go_with_their_templates_in_the_same_transaction(
    allowed: World, as_role: Open, as_superuser: psycopg.Connection
) -> None:
    template, person, _ = allowed.rows[3]
    [proposal] = allowed.propose("gallery:expunge", params.expunge(person=person), allowed.sam)
    connection = as_role("app", autocommit=False)
    client.expunge(connection, person=person, proposal=proposal)
    connection.rollback()
    assert template in codes(as_superuser, allowed)
    client.expunge(connection, person=person, proposal=proposal)
    connection.commit()
    assert codes(as_superuser, allowed) == {row[0] for row in allowed.rows} - {template}


def test_removed_and_unsealed_templates_are_not_found_in_two_stages(
    allowed: World, as_superuser: psycopg.Connection
) -> None:
    probe = at(0.8, allowed.faces[3], np.random.default_rng(6))
    before = allowed.executed(probe, threshold=HIGH)
    secret = secrets.token_bytes(32)
    twin = [(uuid.uuid4(), uuid.uuid4(), probe)]
    batch = client.open_batch(allowed.app, allowed.edition, hashlib.sha256(secret).digest())
    allowed.insert(batch, twin)
    build(allowed.app, allowed.edition)
    assert codes(as_superuser, allowed) == {row[0] for row in allowed.rows}
    assert found(allowed, probe) == [allowed.rows[3][0]]
    client.discard_batch(allowed.app, allowed.edition, batch, secret)
    values = params.remove(edition=allowed.edition, templates=[allowed.rows[3][0]])
    [proposal] = allowed.propose("gallery:remove", values, allowed.sam)
    client.remove(allowed.app, edition=allowed.edition, templates=[allowed.rows[3][0]], proposal=proposal)
    assert result(allowed, probe)["method"] == "two_stage"
    assert found(allowed, probe) == []
    assert replay(allowed, before.request)["comparison"] == "same"


def test_a_person_who_is_expunged_between_two_slices_gets_no_code(
    world: World, as_superuser: psycopg.Connection
) -> None:
    client.build_codes(world.app, world.edition, 1)  # draws
    done, whole = client.build_codes(world.app, world.edition, 1)
    assert 0 < done < whole - 1, "there is more than one slice"
    [coded, *_], [waiting, *_] = (
        [row for row in world.rows if (row[0] in codes(as_superuser, world)) is is_coded] for is_coded in (True, False)
    )
    for _, person, _ in (coded, waiting):
        expunge(world, person)
    late = people(3, seed=2)
    enrol(world, late)
    build(world.app, world.edition, pages=1)
    rest = {row[0] for row in world.rows} - {coded[0], waiting[0]}
    assert codes(as_superuser, world) == rest, "what was sealed meanwhile waits for the next pass"
    build(world.app, world.edition, pages=1)
    assert codes(as_superuser, world) == rest | {row[0] for row in late}
    assert client.uncoded(world.app) == {}
    built = world.logged("gallery:codes:built")
    assert [(one["batches"], one["templates"]) for one in built] == [(1, PEOPLE - 2), (1, PEOPLE + 1)]


def test_a_partition_that_is_written_anew_meanwhile_is_coded_from_the_start(
    world: World, as_superuser: psycopg.Connection
) -> None:
    for _ in range(2):
        client.build_codes(world.app, world.edition, 1)
    as_superuser.execute(f"VACUUM FULL gallery.template_{world.edition}")
    build(world.app, world.edition, pages=1)
    assert codes(as_superuser, world) == {row[0] for row in world.rows}


def test_codes_that_went_missing_are_noticed_when_the_next_batch_is_coded(
    allowed: World, as_superuser: psycopg.Connection
) -> None:
    lose(as_superuser, allowed, allowed.rows[3][0])
    late = people(3, seed=2)
    enrol(allowed, late)
    build(allowed.app, allowed.edition)
    assert codes(as_superuser, allowed) == {row[0] for row in [*allowed.rows, *late]}


STATEMENTS = (
    "TABLE gallery.plane",
    "TABLE gallery.code",
    "TABLE gallery.code_{edition}",
    "TABLE gallery.coded",
    "TABLE gallery.codebook",
    "SELECT count(*) FROM gallery.code",
    "COPY gallery.code_{edition} TO STDOUT",
    "TABLE gallery.code_of_template",
    "INSERT INTO gallery.code (edition, code_1, templates) SELECT {edition}, repeat('1', 1280)::bit(1280), ARRAY[gen_random_uuid()]",
    "INSERT INTO gallery.code_{edition} (edition, templates) SELECT {edition}, '{{}}'",
    "INSERT INTO gallery.plane VALUES ({edition}, 1, '[1]')",
    "INSERT INTO gallery.coded VALUES ({edition}, 2)",
    "UPDATE gallery.plane SET plane = '[1]'",
    "UPDATE gallery.code SET code_1 = ~code_1",
    "UPDATE gallery.codebook SET longest = 9",
    "DELETE FROM gallery.code",
    "TRUNCATE gallery.code",
    "DROP TABLE gallery.code_{edition}",
    "SELECT gallery.draw_planes({edition}, 128)",
    "SELECT gallery.packing({edition}, 'x')",
    "SELECT gallery.drop_codes({edition})",
    "SELECT gallery.code_of({edition}, '[1]')",
    "SELECT gallery.cut_of({edition}, '[1]', 1, 0.5)",
    "SELECT gallery.shortlist({edition}, '[1]', 1280)",
    "SELECT gallery.within_cut({edition}, repeat('1', 1280)::bit varying, 1280)",
    "SELECT gallery.rerank({edition}, '{{1}}', 1, '[1]', 1, 1, NULL, '{{}}', 1)",
    "SELECT * FROM gallery.second_stage({edition}, 400, 1000)",
    "SELECT gallery.is_coded({edition}, '{{1}}')",
    "UPDATE gate.setting SET value = 1",
    "SELECT cut FROM gate.outcome",
)


@pytest.mark.parametrize("role", ["app", "reader"])
def test_nobody_reads_or_writes_codes_or_chooses_planes(allowed: World, as_role: Open, role: str) -> None:
    connection = as_role(role)
    for statement in STATEMENTS:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement.format(edition=allowed.edition))
        assert caught.value.sqlstate == "42501", statement


def test_a_seed_does_not_choose_the_planes(
    world: World, mallory: psycopg.Connection, as_superuser: psycopg.Connection
) -> None:
    editions = [world.new_edition(uuid.uuid4(), world.model) for _ in range(2)]
    for edition in editions:
        mallory.execute("SELECT setseed(0.5)")
        client.build_codes(mallory, edition, 1)
    both = [planes(as_superuser, edition) for edition in editions]
    for one in both:
        assert one.shape == (cut.BITS, DIMENSION)
        assert abs(one.mean()) < 0.015
        assert abs(one.std() - 1) < 0.015
    assert abs((both[0] * both[1]).mean()) < 0.015, "two draws have nothing to do with each other"
    drawn = world.logged("gallery:codes:drawn")
    assert [one["edition"] for one in drawn] == editions
    assert drawn[0]["digest"] != drawn[1]["digest"]


def test_an_interrupted_slice_shows_no_plane(world: World, mallory: psycopg.Connection) -> None:
    client.build_codes(mallory, world.edition, 1)
    mallory.execute("SET statement_timeout = '15ms'")
    with pytest.raises(psycopg.errors.QueryCanceled) as caught:
        build(mallory, world.edition, pages=1)
    said = str(caught.value) + str(caught.value.diag.context)
    assert not re.search(r"\[[^\]]*[.,]", said.replace("ARRAY[", "")), "a vector is numbers between commas"


@pytest.mark.parametrize("pages", [0, -1, 10_001])
def test_a_slice_has_a_size(world: World, mallory: psycopg.Connection, pages: int) -> None:
    with refused("pages"):
        client.build_codes(mallory, world.edition, pages)
    with refused("edition"):
        client.build_codes(mallory, 999, 1)


def test_the_first_stage_keeps_its_plan_whatever_the_caller_sets(
    allowed: World, as_role: Open, as_superuser: psycopg.Connection
) -> None:
    # As large as fifty thousand templates would make it: below 8 MB no worker helps.
    pack(
        as_superuser,
        allowed.edition,
        "SELECT gen_random_uuid() AS template, repeat('10', 640)::bit(1280) AS code FROM generate_series(1, 50000)",
    )
    connection = as_role("app")
    for setting in (
        "max_parallel_workers = 0",
        "max_parallel_workers_per_gather = 0",
        "enable_seqscan = off",
        "enable_indexscan = off",
        "enable_nestloop = off",
        "plan_cache_mode = force_generic_plan",
        "work_mem = '64kB'",
        "jit = on",
    ):
        connection.execute(f"SET {setting}")
    counts = "SELECT parallel_workers_launched FROM pg_stat_database WHERE datname = current_database()"
    scans = f"SELECT seq_scan FROM pg_stat_all_tables WHERE relid = 'gallery.template_{allowed.edition}'::regclass"
    for waiting in (allowed.app, connection):
        waiting.execute("SELECT pg_stat_force_next_flush()")
        waiting.execute("SELECT 1")
    before = [as_superuser.execute(query).fetchone() for query in (counts, scans)]
    filed = allowed.bound(at(0.8, allowed.faces[11], np.random.default_rng(8)), threshold=HIGH)
    allowed.execute(connection, filed)
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")
    after = [as_superuser.execute(query).fetchone() for query in (counts, scans)]
    assert before[0] is not None
    assert after[0] is not None
    assert after[0][0] > before[0][0], "the codes were read in parallel"
    assert after[1] == before[1], "templates were read by key, not as a whole"
    assert allowed.logged("search:result:stored", filed.request)[0]["method"] == "two_stage"


def counted(connection: psycopg.Connection, edition: int) -> list[tuple[Any, ...]]:
    """What PostgreSQL's statistics, which everybody may read, say of the tables that the second stage reads."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")
    return connection.execute(
        "SELECT relname, seq_scan, seq_tup_read, coalesce(idx_scan, 0), coalesce(idx_tup_fetch, 0) FROM pg_stat_all_tables"
        " WHERE schemaname = 'gallery' AND relname IN (%s, %s, 'removed', 'plane') ORDER BY 1",
        [f"template_{edition}", f"code_{edition}"],
    ).fetchall()


def grown(before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        (old[0], *(one - other for one, other in zip(new[1:], old[1:], strict=True)))
        for old, new in zip(before, after, strict=True)
    ]


@pytest.mark.parametrize("method", ["exact", "two_stage"])
def test_neither_counters_nor_the_entry_tell_whether_a_search_found_somebody(
    allowed: World, as_role: Open, method: str
) -> None:
    """Mallory runs bound searches, rolls them back and reads the statistics."""
    if method == "exact":
        allowed.set_policy("two_stage_from", 0)
    values = params.remove(edition=allowed.edition, templates=[allowed.rows[9][0]])
    [proposal] = allowed.propose("gallery:remove", values, allowed.sam)
    client.remove(allowed.app, edition=allowed.edition, templates=[allowed.rows[9][0]], proposal=proposal)
    rng = np.random.default_rng(21)
    mallory = as_role("app", autocommit=False)
    seen = []
    nobody = rng.standard_normal(DIMENSION)
    for probe in (at(0.8, allowed.faces[3], rng), at(0.8, allowed.faces[9], rng), nobody / np.linalg.norm(nobody)):
        filed = allowed.bound(probe, threshold=HIGH)
        before = counted(mallory, allowed.edition)
        mallory.commit()
        allowed.execute(mallory, filed)
        body = mallory.execute(
            "SELECT length(body), convert_from(body, 'UTF8') LIKE '%%two_stage%%' FROM log.entry ORDER BY id DESC LIMIT 1"
        ).fetchone()
        mallory.rollback()
        seen.append((grown(before, counted(mallory, allowed.edition)), body))
        mallory.commit()
    assert seen[0] == seen[1] == seen[2]


def test_the_second_stage_reads_as_many_rows_whatever_is_near(allowed: World, as_superuser: psycopg.Connection) -> None:
    facts = {"e": allowed.edition, "q": HalfVector(allowed.faces[3]).to_text()}
    ids = [row[0] for row in allowed.rows]
    read = []
    for near in ([], ids[:1], ids[3:4], ids[100:140], ids[:50]):
        before = counted(as_superuser, allowed.edition)
        as_superuser.execute(
            "SELECT * FROM gallery.rerank(%(e)s, '{1}', 1, %(q)s, 300000, 10, NULL, %(near)s::uuid[], 50)",
            facts | {"near": near},
        )
        read.append(grown(before, counted(as_superuser, allowed.edition)))
    assert all(one == read[0] for one in read)
    assert read[0][-1][3] == 50, "by primary key"


def test_a_sub_gallery_is_searched_in_two_stages_as_well(world: World) -> None:
    own = OwnGallery(world, DIMENSION)
    mark = own.define("washington", "county:washington")
    rows = rows_of(world.faces, np.array([mark if number % 3 == 0 else 0 for number in range(PEOPLE)]))
    own.enrol(rows)
    build(world.app, own.edition)
    world.set_policy("two_stage_from", PEOPLE)
    for number, inside in ((3, True), (4, False)):
        filed = own.bound(world.faces[number], sub_gallery="washington", threshold=HIGH)
        assert [template for template, _ in own.found(filed)] == ([rows[number].template] if inside else [])
        [entry] = world.logged("search:result:stored", filed.request)
        assert (entry["method"], entry["sub_gallery"]) == ("two_stage", "washington")
        assert (replay(world, filed.request)["comparison"], replay(world, filed.request)["lost"]) == ("same", 0)


def test_the_second_stage_keeps_to_a_sub_gallery(allowed: World, as_superuser: psycopg.Connection) -> None:
    """As the exact scan does; marks are written with the template, here by the superuser because the world has none."""
    near = [row[0] for row in allowed.rows]
    as_superuser.execute("UPDATE gallery.template SET marks = 4 WHERE template = ANY (%s)", [near[:100]])
    facts = {"e": allowed.edition, "q": HalfVector(allowed.faces[3]).to_text(), "near": near}
    for marks in (None, 4, 2, 6):
        two = as_superuser.execute(
            "SELECT * FROM gallery.rerank(%(e)s, '{1}', 1, %(q)s, 1, 1000, %(m)s, %(near)s, 10)", facts | {"m": marks}
        ).fetchall()
        exact = as_superuser.execute(
            "SELECT * FROM gallery.scan(%(e)s, '{1}', 1, %(q)s, 1, 1000, %(m)s)", facts | {"m": marks}
        ).fetchall()
        assert two == exact
        assert bool(two) is (marks != 2)


def test_two_people_whose_codes_share_a_row_are_expunged_at_once(
    allowed: World, as_role: Open, as_superuser: psycopg.Connection
) -> None:
    first, second = allowed.rows[3], allowed.rows[4]
    holding = as_role("app", autocommit=False)
    [one, other] = [
        allowed.propose("gallery:expunge", params.expunge(person=row[1]), allowed.sam)[0] for row in (first, second)
    ]
    client.expunge(holding, person=first[1], proposal=one)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.expunge, allowed.app, person=second[1], proposal=other)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        holding.commit()
        waiting.result(30)
    assert codes(as_superuser, allowed) == {row[0] for row in allowed.rows} - {first[0], second[0]}


def test_discarding_an_open_batch_leaves_codes_alone(allowed: World, as_superuser: psycopg.Connection) -> None:
    places = "SELECT array_agg(ctid ORDER BY ctid) FROM gallery.code"
    before = as_superuser.execute(places).fetchone()
    secret = secrets.token_bytes(32)
    batch = client.open_batch(allowed.app, allowed.edition, hashlib.sha256(secret).digest())
    allowed.insert(batch, people(5, seed=9))
    client.discard_batch(allowed.app, allowed.edition, batch, secret)
    assert as_superuser.execute(places).fetchone() == before
