"""Rates per cohort, thresholds from one half of the people, and the prediction for a gallery."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import betainc  # type: ignore[import-untyped]

from audit.fairness.comparisons import compare
from audit.fairness.rates import choose_threshold, cohort_rates, predicted_fpir, split_people
from audit.fairness.scores import GRID_STEP
from tests.audit.fairness.test_comparisons import a_set, naive


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 25), st.integers(-200_000, 800_000))
def test_rates_equal_the_definition(seed: int, people: int, threshold: int) -> None:
    vectors, person, cohort = a_set(seed, people)
    rates = cohort_rates(compare(vectors, person, cohort, thresholds=[threshold], block=9), threshold)
    scores, impostor = naive(vectors, person)
    groups = np.array(cohort)
    upper = np.triu(np.ones_like(impostor), 1).astype(bool)
    for a in rates.cohorts:
        for b in rates.cohorts:
            between = ((groups[:, None] == a) & (groups[None, :] == b)) | (
                (groups[:, None] == b) & (groups[None, :] == a)
            )
            pairs = between & impostor & upper
            assert (rates.fmr[a, b].errors, rates.fmr[a, b].trials) == (
                (pairs & (scores >= threshold)).sum(),
                pairs.sum(),
            )
        genuine = (groups[:, None] == a) & ~impostor & upper
        assert (rates.fnmr[a].errors, rates.fnmr[a].trials) == ((genuine & (scores < threshold)).sum(), genuine.sum())
    assert rates.all_fmr.errors == (impostor & upper & (scores >= threshold)).sum()
    assert rates.all_fmr.trials == (impostor & upper).sum()
    assert rates.all_fnmr.trials == (~impostor & upper).sum()
    assert rates.all_fte.value == 0


def test_a_photo_without_embedding_is_a_miss_in_all_its_genuine_pairs() -> None:
    vectors = np.array([[1, 0], [1, 0.01], [0, 1]], np.float32)
    found = compare(vectors, ["ann", "ann", "bob"], ["f", "f", "m"], thresholds=[900_000])
    failed = [("ann", "f"), ("bob", "m"), ("cy", "m"), ("cy", "m"), ("dee", "x")]
    rates = cohort_rates(found, 900_000, failed)
    assert rates.cohorts == ("f", "m", "x")
    assert (rates.fnmr["f"].errors, rates.fnmr["f"].trials) == (2, 3)  # ann has three photos, one pair of which works
    assert (rates.fnmr["m"].errors, rates.fnmr["m"].trials) == (2, 2)  # bob's pair and cy's
    assert rates.fnmr["x"].value is None
    assert [(rates.fte[name].errors, rates.fte[name].trials) for name in "fmx"] == [(1, 3), (3, 4), (1, 1)]
    assert rates.people == (1, 2, 1)
    assert rates.images == (3, 4, 1)
    assert rates.extracted == (2, 1, 0)
    assert rates.within("f").value is None  # one person has no impostor pair of the same cohort: not measurable
    assert rates.within("f").interval is None
    assert rates.fmr["x", "m"].value is None
    assert rates.fmr["f", "m"].trials == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.5), st.sampled_from(["all", "within", "worst"]))
@example(0, 0.49999999999999994, "worst")
def test_the_threshold_is_the_lowest_that_keeps_the_target(seed: int, target: float, rule: str) -> None:
    vectors, person, cohort = a_set(seed, 24)
    threshold = choose_threshold(compare(vectors, person, cohort), target, rule)  # type: ignore[arg-type]
    scores, impostor = naive(vectors, person)
    groups = np.array(cohort)
    same = groups[:, None] == groups[None, :]
    upper = np.triu(impostor, 1)
    shares = {"all": [upper], "within": [upper & same], "worst": [upper & same & (groups == g)[:, None] for g in "abc"]}

    def holds(value: int) -> bool:
        return all((scores[pairs] >= value).mean() <= target for pairs in shares[rule])

    assert threshold.exact
    assert holds(threshold.value)
    assert not holds(threshold.value - 1)


def test_without_the_tail_the_threshold_is_on_the_grid_and_still_keeps_the_target() -> None:
    vectors, person, cohort = a_set(5, 80)
    exact = choose_threshold(compare(vectors, person, cohort), 0.05)
    coarse = choose_threshold(compare(vectors, person, cohort, tail=0), 0.05)
    assert not coarse.exact
    assert coarse.value % GRID_STEP == 0
    assert 0 <= coarse.value - exact.value < GRID_STEP + 2
    assert coarse.errors is not None
    assert coarse.pairs is not None
    assert coarse.errors / coarse.pairs <= 0.05


def test_a_target_that_the_pairs_cannot_show_is_said_to_be_so() -> None:
    vectors, person, cohort = a_set(5, 10)
    threshold = choose_threshold(compare(vectors, person, cohort), 1e-6, "all")
    scores, impostor = naive(vectors, person)
    assert threshold.value == scores[impostor].max() + 1
    assert not threshold.shown
    assert threshold.errors == 0


def test_no_impostor_pairs_or_a_silly_target_are_refused() -> None:
    one = compare(np.eye(2), ["p", "p"], ["x", "x"])
    for rule in ("all", "within", "worst"):
        with pytest.raises(ValueError, match="two people"):
            choose_threshold(one, 0.1, rule)
    with pytest.raises(ValueError, match="between 0 and 1"):
        choose_threshold(one, 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 5))
def test_the_halves_share_nobody_and_have_the_same_make_up(data_seed: int, people: int, seed: int) -> None:
    _, person, cohort = a_set(data_seed, people, 2)
    one, other = split_people(person, cohort, seed)
    assert not one & other
    assert one | other == set(person)
    for group in set(cohort):
        mine = {p for p, c in zip(person, cohort, strict=True) if c == group}
        assert abs(len(mine & one) - len(mine & other)) <= 2
    shuffled = list(zip(person, cohort, strict=True))[::-1]
    assert split_people([p for p, _ in shuffled], [c for _, c in shuffled], seed) == (one, other)


def test_another_seed_gives_other_halves() -> None:
    _, person, cohort = a_set(1, 40, 2)
    assert split_people(person, cohort, 1) != split_people(person, cohort, 2)


@pytest.mark.parametrize(("fmr", "expected"), [(1e-6, 0.259182), (1e-5, 0.950214), (1e-4, 1.0)])
def test_predicted_fpir_gives_the_golden_values(fmr: float, expected: float) -> None:
    assert predicted_fpir(fmr, 300_000) == pytest.approx(expected, abs=5e-7)


def test_predicted_fpir_keeps_tiny_rates_and_the_ends() -> None:
    assert predicted_fpir(1e-18, 1) == pytest.approx(1e-18)
    assert predicted_fpir(0, 10) == predicted_fpir(1, 0) == 0
    assert predicted_fpir(1, 1) == 1
    with pytest.raises(ValueError):
        predicted_fpir(1.1, 5)


def isotropic(rng: np.random.Generator, people: int, dimension: int, width: int, first: int) -> np.ndarray:
    """Three photos each of people whose embeddings point anywhere in `dimension` of the `width` dimensions."""
    centre = np.repeat(rng.normal(size=(people, dimension)), 3, axis=0)
    vectors = np.zeros((3 * people, width))
    vectors[:, first : first + dimension] = centre + 0.5 * rng.normal(size=centre.shape)
    return vectors


def test_the_rates_of_a_set_with_a_planted_cohort_effect_cover_the_truth() -> None:
    """Unit vectors that point anywhere in d dimensions score >= t with the chance of a beta distribution, so the true
    FMR of each cohort is known; fewer dimensions make people more alike. 3 photos of a person are not independent."""
    threshold, runs, people, dimensions = 500_000, 200, 40, {"few": 8, "many": 12}
    inside = dict.fromkeys(dimensions, 0)
    rng = np.random.default_rng(11)
    for _ in range(runs):
        parts = [isotropic(rng, people, d, 20, first) for d, first in zip(dimensions.values(), (0, 8), strict=True)]
        cohort = [name for name in dimensions for _ in range(3 * people)]
        person = [f"{i // 3}" for i in range(6 * people)]
        rates = cohort_rates(compare(np.concatenate(parts), person, cohort, thresholds=[threshold], tail=0), threshold)
        assert rates.fmr["few", "many"].errors == 0  # the two share no dimension
        for name, dimension in dimensions.items():
            half = (dimension - 1) / 2
            truth = float(betainc(half, half, (1 - threshold / 1e6) / 2))
            interval = rates.within(name).interval
            assert interval is not None
            inside[name] += interval.low <= truth <= interval.high
    assert all(0.91 <= count / runs <= 0.99 for count in inside.values()), inside
