"""What is promised of the cut: nothing at the threshold is lost more often than it says, and what passes is compared exactly."""

from __future__ import annotations

import math
import uuid

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pgvector import HalfVector

from search import cut
from search.gate import client, params
from tests.enforcement.coded import at, build, enrol, planes
from tests.enforcement.world import DIMENSION, PEOPLE, World, unit


def test_a_code_says_on_which_side_of_each_plane_a_template_lies(
    allowed: World, as_superuser: psycopg.Connection
) -> None:
    drawn = planes(as_superuser, allowed.edition)
    rows = as_superuser.execute(
        "SELECT t.embedding, c.code::text FROM gallery.code_of_template c JOIN gallery.template t USING (edition, template)"
    ).fetchall()
    faces = np.array([row[0].to_list() for row in rows], np.float64)
    signs = np.array([[bit == "1" for bit in row[1]] for row in rows])
    projected = -(faces @ drawn.T)
    clear = np.abs(projected) > 1e-5
    assert clear.mean() > 0.999
    assert (signs == (projected > 0))[clear].all()


@pytest.mark.parametrize("dimension", [128, 512])
def test_the_database_and_the_tables_agree_on_the_cut(as_superuser: psycopg.Connection, dimension: int) -> None:
    for cosine in (-1.0, -0.2, 0.0, 0.3, 0.35, 0.4, 0.55, 0.999, 1.0, 1.2):
        for loss in (1e-6, 1e-2):
            row = as_superuser.execute(
                "SELECT gallery.cut(%s, %s, %s, %s)", [cut.BITS, dimension, cosine, loss]
            ).fetchone()
            assert row == (cut.cut(cosine, dimension, loss=loss),), (cosine, loss)


def test_the_cut_is_the_smallest_that_keeps_the_promise() -> None:
    """Against exact integers: with p = 3/8 the binomial tail is a fraction."""
    rounding = cut.parted(1.0, 128)
    cosine = math.cos(math.pi * (3 / 8 - rounding))
    assert cut.parted(cosine, 128) == pytest.approx(3 / 8)
    chosen = cut.cut(cosine, 128)

    def above(distance: int) -> float:
        ways = sum(math.comb(cut.BITS, k) * 3**k * 5 ** (cut.BITS - k) for k in range(distance + 1, cut.BITS + 1))
        return ways / 8**cut.BITS

    assert above(chosen) <= 1e-6 < above(chosen - 1)


def test_planted_candidates_are_lost_no_more_often_than_was_said(
    world: World, as_superuser: psycopg.Connection
) -> None:
    """With a weak bound on purpose: one in a million would show nothing on thousands. Every probe has one candidate of its own."""
    loss, threshold, number = 0.01, 0.45, 3000
    rng = np.random.default_rng(12)
    probes = [unit(row) for row in rng.standard_normal((number, DIMENSION))]
    planted = [
        (uuid.uuid4(), uuid.uuid4(), at(rng.uniform(threshold, threshold + 0.05), probe, rng)) for probe in probes
    ]
    enrol(world, planted)
    build(world.app, world.edition)
    as_superuser.execute("CREATE TEMP TABLE pair (probe halfvec, template uuid)")
    with as_superuser.cursor() as cursor, cursor.copy("COPY pair FROM STDIN") as copy:
        for probe, (template, _, _) in zip(probes, planted, strict=True):
            copy.write_row((HalfVector(probe).to_text(), template))
    row = as_superuser.execute(
        "SELECT count(*), count(*) FILTER (WHERE (c.code <~> gallery.code_of(%(edition)s, p.probe)::bit(1280))"
        " > gallery.cut_of(%(edition)s, p.probe, %(threshold)s, %(loss)s))"
        " FROM pair p JOIN gallery.code_of_template c USING (template)",
        {"edition": world.edition, "threshold": round(threshold * 1e6), "loss": loss},
    ).fetchone()
    assert row is not None
    counted, lost = row
    assert counted == number
    limit = next(k for k in range(number) if _binomial_up_to(k, number, loss) >= 0.99)
    assert 0 < lost <= limit


def _binomial_up_to(most: int, number: int, p: float) -> float:
    return sum(math.comb(number, k) * p**k * (1 - p) ** (number - k) for k in range(most + 1))


def test_whatever_passes_the_cut_is_what_the_exact_scan_finds_among_it(
    allowed: World, as_superuser: psycopg.Connection
) -> None:
    """Over random galleries: clusters, twins and copies beside the first 300 people, removed people, any cut, threshold and length."""

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, 2**32 - 1), st.integers(0, cut.BITS), st.integers(1, 900_000), st.integers(1, 400))
    def check(seed: int, distance: int, threshold: int, k: int) -> None:
        rng = np.random.default_rng(seed)
        probe = HalfVector(at(rng.uniform(0, 1), allowed.faces[rng.integers(PEOPLE)], rng)).to_text()
        facts = {"e": allowed.edition, "q": probe, "t": threshold, "k": k, "cut": distance, "b": batches}
        passed = as_superuser.execute("SELECT gallery.shortlist(%(e)s, %(q)s, %(cut)s)", facts).fetchone()
        assert passed is not None
        by_hand = as_superuser.execute(
            "SELECT array_agg(template) FROM gallery.code_of_template WHERE edition = %(e)s"
            " AND bit_count(code # gallery.code_of(%(e)s, %(q)s)::bit(1280)) <= %(cut)s",
            facts,
        ).fetchone()
        assert by_hand is not None
        assert sorted(passed[0]) == sorted(by_hand[0] or [])
        for version in (1, last):
            facts |= {"v": version, "near": passed[0]}
            two = as_superuser.execute(
                "SELECT * FROM gallery.rerank(%(e)s, %(b)s, %(v)s, %(q)s, %(t)s, %(k)s, NULL, %(near)s, 200)", facts
            ).fetchall()
            exact = as_superuser.execute(
                "SELECT * FROM gallery.scan(%(e)s, %(b)s, %(v)s, %(q)s, %(t)s, 100000, NULL)", facts
            ).fetchall()
            assert two == [row for row in exact if row[0] in set(passed[0])][:k]

    rng = np.random.default_rng(3)
    near = [(uuid.uuid4(), uuid.uuid4(), at(0.9, allowed.faces[n % 5], rng)) for n in range(60)]
    enrol(allowed, near + [(uuid.uuid4(), uuid.uuid4(), allowed.faces[n]) for n in (1, 1, 2)])
    gone = [near[0][0], allowed.rows[1][0]]
    [proposal] = allowed.propose("gallery:remove", params.remove(edition=allowed.edition, templates=gone), allowed.sam)
    client.remove(allowed.app, edition=allowed.edition, templates=gone, proposal=proposal)
    build(allowed.app, allowed.edition)
    batches = [1, 2]
    last = next(one.version for one in client.editions(allowed.app) if one.edition == allowed.edition)
    check()
