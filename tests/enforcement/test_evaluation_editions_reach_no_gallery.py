"""Evaluation editions: searched by the gate's scan word for word, and no way from them to an operational gallery."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector

from audit.evaluation_editions import search_in_database
from audit.fairness.identification import NOBODY, Edition, editions, search
from tests.enforcement.world import World, unit

Open = Callable[..., psycopg.Connection]


def benchmark(people: int = 40, dimension: int = 32) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Unit vectors that halfvec holds exactly enough, two or three photos each; one photo has no embedding."""
    rng = np.random.default_rng(11)
    person = np.repeat(np.arange(people), rng.integers(1, 4, people))
    centres = rng.normal(size=(people, dimension))
    raw = centres[person] + 0.5 * rng.normal(size=(len(person), dimension))
    rounded = np.stack([unit(row) for row in raw]).astype(np.float16).astype(np.float32)
    extracted = np.ones(len(person), bool)
    extracted[5] = False
    rounded[5] = 0
    return rounded, [f"p{number}" for number in person], extracted


def an_edition(people: list[str], extracted: np.ndarray) -> Edition:
    return editions(people, extracted, np.arange(len(people)), [20], 1)[-1]


def test_the_database_finds_what_numpy_finds(mallory: psycopg.Connection) -> None:
    vectors, people, extracted = benchmark()
    edition = an_edition(people, extracted)
    found = search_in_database(mallory, vectors, people, extracted, edition)
    # Brute force on the same rounded vectors, not normalised again, as the database has them.
    expected = search(vectors, people, extracted, edition)
    assert found.people == expected.people
    assert found.enrolled == expected.enrolled
    assert (found.mated == expected.mated).all()
    assert found.mated.any()
    assert not found.mated.all()
    assert np.abs(found.best_other - expected.best_other).max() <= 1  # float32 sums in the database
    assert np.abs(found.mate_score - expected.mate_score).max() <= 1
    assert (found.mate_rank == expected.mate_rank).all()
    assert (found.best_other > NOBODY).sum() == extracted[edition.probes].sum()


def test_a_short_list_hides_only_what_is_beyond_it(mallory: psycopg.Connection) -> None:
    vectors, people, extracted = benchmark()
    edition = an_edition(people, extracted)
    found = search_in_database(mallory, vectors, people, extracted, edition, longest=2)
    expected = search(vectors, people, extracted, edition)
    near = (expected.mate_rank > 0) & (expected.mate_rank <= 2)
    assert (found.mate_rank[near] == expected.mate_rank[near]).all()
    assert not found.mate_rank[~near].any()
    non_mated = ~found.mated
    assert np.abs(found.best_other - expected.best_other)[non_mated].max() <= 1


def test_nothing_is_left_of_an_edition_afterwards(
    mallory: psycopg.Connection, as_superuser: psycopg.Connection
) -> None:
    vectors, people, extracted = benchmark()
    search_in_database(mallory, vectors, people, extracted, an_edition(people, extracted))
    assert as_superuser.execute("SELECT count(*) FROM evaluation.template").fetchone() == (0,)
    assert as_superuser.execute("SELECT count(*) FROM evaluation.edition").fetchone() == (0,)
    left = as_superuser.execute(
        "SELECT count(*) FROM pg_tables WHERE tablename ~ '^template_' AND schemaname = 'evaluation'"
    )
    assert left.fetchone() == (0,)


def test_the_scan_is_the_gates_scan_word_for_word(as_superuser: psycopg.Connection) -> None:
    """Body, arguments and every setting: an evaluation measures what a search does."""
    rows = as_superuser.execute(
        "SELECT n.nspname, p.prosrc, pg_get_function_arguments(p.oid), p.proconfig, p.prosecdef, p.provolatile"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = 'scan' ORDER BY n.nspname DESC"
    ).fetchall()
    (_, gates, *settings), (_, ours, *own) = rows
    assert gates.replace("gallery.", "evaluation.") == ours
    assert settings[0] == own[0]
    assert sorted(settings[1]) == sorted(own[1])
    assert settings[2:] == own[2:]


def test_the_scan_of_an_operational_edition_finds_nobody(world: World) -> None:
    probe = HalfVector(world.faces[0]).to_text()
    rows = world.app.execute(
        "SELECT * FROM evaluation.scan(%s, '{1,2,3}', 1, %s::halfvec, -1000000, 200, NULL)", [world.edition, probe]
    ).fetchall()
    assert rows == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM gallery.template",
        "SELECT * FROM gallery.scan(1, '{1}', 1, '[1]', 1, 1, NULL)",
        "SELECT * FROM gallery.editions()",
        "INSERT INTO evaluation.template SELECT * FROM gallery.template",
        "ALTER TABLE evaluation.template ATTACH PARTITION gallery.template_1 FOR VALUES IN (999)",
        "SELECT * FROM gate.bound",
    ],
)
def test_the_owner_of_the_scan_has_no_right_on_a_gallery(
    world: World, as_superuser: psycopg.Connection, settings: object, statement: str
) -> None:
    prefix = getattr(settings, "GLASSCASE_ROLE_PREFIX")  # noqa: B009
    as_superuser.execute(f"SET ROLE {prefix}evaluation_owner")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_superuser.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE evaluation.template ATTACH PARTITION gallery.template_1 FOR VALUES IN (7)",
        "DELETE FROM evaluation.template",
        "UPDATE evaluation.template SET batch = 2",
        "DROP TABLE evaluation.template",
        "INSERT INTO evaluation.edition (dimension) VALUES (5)",
        "INSERT INTO evaluation.removed VALUES (1, gen_random_uuid(), 1)",
        "CREATE TABLE evaluation.mine (t int)",
        "CREATE OR REPLACE FUNCTION evaluation.drop_edition(p_edition integer) RETURNS void LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_mallory_changes_nothing_but_by_the_functions(mallory: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute(statement)


@pytest.mark.parametrize("role", ["reader", "sequencer", "signer", "notifier", "registrar", "witness_client"])
def test_nobody_else_reads_an_evaluation_edition(as_role: Open, role: str) -> None:
    for statement in ("SELECT * FROM evaluation.template", "SELECT evaluation.open_edition(8)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(role).execute(statement)


def test_an_edition_takes_unit_vectors_of_its_dimension_only(mallory: psycopg.Connection) -> None:
    row = mallory.execute("SELECT evaluation.open_edition(3)").fetchone()
    assert row is not None
    for bad in ("[1,0]", "[2,0,0]"):
        with pytest.raises(psycopg.errors.CheckViolation):
            mallory.execute(
                "INSERT INTO evaluation.template VALUES (%s, 1, %s, %s, %s)", [row[0], uuid.uuid4(), uuid.uuid4(), bad]
            )
    mallory.execute("SELECT evaluation.drop_edition(%s)", [row[0]])
    with pytest.raises(psycopg.DatabaseError, match="no such evaluation edition"):
        mallory.execute("SELECT evaluation.filled(%s)", [row[0]])
    for dimension in (None, 0, 5000):
        with pytest.raises(psycopg.DatabaseError, match="2 to 4,000 dimensions"):
            mallory.execute("SELECT evaluation.open_edition(%s)", [dimension])


def test_dropping_an_edition_drops_that_one_and_no_gallerys(world: World, as_superuser: psycopg.Connection) -> None:
    world.app.execute("SELECT evaluation.drop_edition(%s)", [world.edition])
    counted = as_superuser.execute("SELECT count(*) FROM gallery.template").fetchone()
    assert counted == (len(world.rows),)
