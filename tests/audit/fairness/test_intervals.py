"""Intervals: golden values, the definition written out, and coverage of planted rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.fairness import intervals
from audit.fairness.simulation import coverage


@pytest.mark.parametrize(
    ("errors", "pairs", "trials", "low", "high"),
    [(5, 3000, 3000, 0.000712, 0.003896), (5, 3000, 600, 0.000294, 0.009380), (0, 3000, 3000, 0.0, 0.001279)],
)
def test_wilson_gives_the_golden_values(errors: int, pairs: int, trials: int, low: float, high: float) -> None:
    assert intervals.wilson(errors / pairs, trials) == pytest.approx((low, high), abs=5e-7)


@pytest.mark.parametrize(("people", "bound"), [(100, 0.0582), (800, 0.00746)])
def test_the_bound_without_errors_takes_only_disjoint_pairs_as_independent(people: int, bound: float) -> None:
    assert intervals.zero_error_bound(people // 2) == pytest.approx(bound, abs=5e-5)


def test_189_error_free_pairs_show_98_percent_and_188_do_not() -> None:
    assert 1 - intervals.wilson(0, 189)[1] >= 0.98 > 1 - intervals.wilson(0, 188)[1]


def pair_tables(rng: np.random.Generator, people: int) -> tuple[np.ndarray, np.ndarray]:
    images = rng.integers(1, 4, people)
    pairs = np.outer(images, images)
    errors = np.triu(rng.binomial(pairs, rng.uniform(0, 0.4, (people, people))), 1)
    return images, errors + errors.T


@given(st.integers(0, 2**32 - 1), st.integers(3, 9))
def test_the_variance_within_a_group_is_the_sum_over_pairs_of_pairs_that_share_a_person(seed: int, people: int) -> None:
    images, errors = pair_tables(np.random.default_rng(seed), people)
    edges = list(itertools.combinations(range(people), 2))
    m = {edge: int(images[edge[0]] * images[edge[1]]) for edge in edges}
    total = sum(m.values())
    rate = sum(int(errors[edge]) for edge in edges) / total
    y = {edge: int(errors[edge]) - rate * m[edge] for edge in edges}
    own = sum(value**2 for value in y.values())
    plain = sum(y[e] * y[f] for e in edges for f in edges if set(e) & set(f))
    expected = max(plain, own) / total**2
    got = intervals.variance_within(
        errors.sum(axis=1),
        images,
        sum(int(errors[e]) ** 2 for e in edges),
        sum(int(errors[e]) * m[e] for e in edges),
    )
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-15)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(2, 6))
def test_the_variance_between_two_groups_is_the_sum_over_pairs_of_pairs_that_share_a_person(
    seed: int, left: int, right: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(1, 4, left), rng.integers(1, 4, right)
    m = np.outer(a, b)
    errors = rng.binomial(m, rng.uniform(0, 0.5, m.shape))
    y = errors - errors.sum() / m.sum() * m
    cells = list(np.ndindex(m.shape))
    plain = sum(y[e] * y[f] for e in cells for f in cells if e[0] == f[0] or e[1] == f[1])
    got = intervals.variance_between(
        errors.sum(axis=1), a, errors.sum(axis=0), b, (errors**2).sum(), (errors * m).sum()
    )
    assert got == pytest.approx(max(plain, (y**2).sum()) / m.sum() ** 2, rel=1e-9, abs=1e-15)


def test_without_errors_both_bounds_are_given_and_the_wider_one_counts() -> None:
    interval = intervals.clustered_interval(0, 3000, 0.0, 50)
    assert interval is not None
    assert (interval.method, interval.low, interval.high) == ("no-errors", 0.0, interval.by_people)
    assert interval.by_pairs == pytest.approx(0.001279, abs=5e-7)
    assert interval.by_people == pytest.approx(0.0582, abs=5e-5)


def test_with_nothing_but_errors_the_bounds_are_mirrored() -> None:
    interval = intervals.clustered_interval(3000, 3000, 0.0, 50)
    assert interval is not None
    assert interval.high == 1.0
    assert interval.low == pytest.approx(1 - 0.0582, abs=5e-5)


def test_no_pairs_or_no_second_person_have_no_interval() -> None:
    assert intervals.clustered_interval(0, 0, 0.0, 50) is None
    assert intervals.clustered_interval(1, 9, 0.0, 0) is None


def test_the_effective_number_of_pairs_never_exceeds_the_real_one() -> None:
    interval = intervals.clustered_interval(5, 3000, 1e-12, 100)
    assert interval is not None
    assert (interval.low, interval.high) == intervals.wilson(5 / 3000, 3000)


@pytest.mark.parametrize("confidence", [0, 1, -1, 95])
def test_a_confidence_level_outside_0_and_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        intervals.quantile(confidence)


@pytest.mark.parametrize(("sigma", "rate"), [(0.0, 1e-2), (0.5, 1e-2), (0.5, 1e-3)])
def test_intervals_cover_a_planted_rate_in_about_95_percent_of_1000_runs(sigma: float, rate: float) -> None:
    assert 0.93 <= coverage(300, rate, sigma, runs=1000, seed=2).coverage <= 0.975
