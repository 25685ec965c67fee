"""Summary measures with golden values, undefined cases, and how often a difference is announced."""

from __future__ import annotations

import numpy as np
import pytest

from audit.fairness import disparity
from audit.fairness.rates import Rate
from audit.fairness.simulation import announced

FMR = [1e-4, 2e-4, 4e-4, 8e-4]
FNMR = [0.01, 0.02, 0.03, 0.04]


def test_the_toy_example_gives_the_golden_values() -> None:
    assert [disparity.max_over_min(rates) for rates in (FMR, FNMR)] == pytest.approx([8, 4])
    assert [disparity.max_over_geometric_mean(rates) for rates in (FMR, FNMR)] == pytest.approx(
        [2.828427, 1.807204], abs=5e-7
    )
    assert [disparity.gini(rates, adjusted=False) for rates in (FMR, FNMR)] == pytest.approx([0.383333, 0.25], abs=5e-7)
    assert [disparity.gini(rates) for rates in (FMR, FNMR)] == pytest.approx([0.511111, 0.333333], abs=5e-7)
    assert disparity.fairness_discrepancy_rate(FMR, FNMR, 0.5) == pytest.approx(0.98465)
    assert disparity.inequity_rate(FMR, FNMR, 0.5) == pytest.approx(5.656854, abs=5e-7)
    assert disparity.garbe(FMR, FNMR, 0.5) == pytest.approx(0.422222, abs=5e-7)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.0971, 0.0530, 0.0684, 0.2504], (4.724528, 2.584270, 0.441388)),
        ([0.10512, 0.05715, 0.06566, 0.27472], (4.806999, 2.692571, 0.459014)),
    ],
)
def test_published_tables_give_the_golden_values(rates: list[float], expected: tuple[float, ...]) -> None:
    found = [disparity.max_over_min(rates), disparity.max_over_geometric_mean(rates), disparity.gini(rates)]
    assert found == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    ("accuracies", "mean", "spread", "ratio"),
    [
        ([87.60, 82.83, 79.67, 75.83], 81.4825, 4.3150, 1.9492),
        ([93.90, 88.55, 92.47, 87.50], 90.6050, 2.6552, 2.0492),
        ([89.13, 86.53, 90.27, 77.97], 85.9750, 4.8164, 2.2641),
        ([90.45, 87.20, 84.87, 86.27], 87.1975, 2.0528, 1.5843),
        ([87.18, 81.92, 79.32, 78.00], 81.6050, 3.5142, 1.7161),
        ([90.80, 87.02, 82.95, 82.28], 85.7625, 3.4277, 1.9261),
        ([92.15, 88.00, 83.98, 84.93], 87.2650, 3.1877, 2.0408),
        ([89.90, 86.13, 84.93, 83.38], 86.0850, 2.4087, 1.6455),
    ],
)
def test_the_rows_of_rfw_give_their_mean_spread_and_error_ratio(
    accuracies: list[float], mean: float, spread: float, ratio: float
) -> None:
    fractions = [value / 100 for value in accuracies]
    assert sum(accuracies) / 4 == pytest.approx(mean)
    assert 100 * (disparity.spread(fractions) or 0) == pytest.approx(spread, abs=5e-5)
    assert disparity.skewed_error_ratio(fractions) == pytest.approx(ratio, abs=5e-5)


def test_equal_rates_are_even_and_undefined_cases_are_none() -> None:
    assert disparity.gini([0.1, 0.1, 0.1]) == 0
    assert disparity.garbe([0.1, 0.1], [0.2, 0.2], 0.5) == 0
    assert disparity.max_over_min([0, 0.1]) is None
    assert disparity.max_over_geometric_mean([0, 0.1]) is None
    assert disparity.gini([0, 0]) is None
    assert disparity.gini([0.1]) is None
    assert disparity.inequity_rate([0, 0.1], FNMR, 0.5) is None
    assert disparity.inequity_rate([0, 0.1], FNMR, 0.0) == pytest.approx(4)  # a part without weight may be undefined
    assert disparity.garbe([0, 0], FNMR, 1.0) is None
    assert disparity.fairness_discrepancy_rate([], FNMR, 0.5) is None


def rate(errors: int, trials: int, people: int = 100) -> Rate:
    value = errors / trials
    return Rate(errors, trials, people, people // 2, value * (1 - value) / trials)


def test_the_summary_says_why_a_measure_is_undefined() -> None:
    fnmr = {"a": rate(1, 100), "b": rate(2, 100)}
    full = disparity.summary({"a": rate(5, 5000), "b": rate(10, 5000)}, fnmr, 50)
    assert all(measure.value is not None and not measure.why for measure in full)
    assert {m.name: m.value for m in full}["FMR max/min"] == pytest.approx(2)
    zero = {m.name: m for m in disparity.summary({"a": rate(0, 5000), "b": rate(10, 5000)}, fnmr, 50)}
    assert zero["FMR max/min"].value is None
    assert "no error" in zero["FMR max/min"].why
    assert zero["FNMR max/min"].value == pytest.approx(2)
    small = disparity.summary({"a": rate(5, 5000, 12), "b": rate(10, 5000)}, fnmr, 50)
    assert {measure.why for measure in small} == {"Fewer than 50 people in: a."}
    alone = disparity.summary({"a": rate(5, 5000)}, {"a": rate(1, 100)}, 50)
    assert {measure.why for measure in alone} == {"A comparison needs at least two cohorts."}
    gap = disparity.summary({"a": Rate(0, 0, 60, 30), "b": rate(9, 5000)}, fnmr, 50)
    assert "A cohort has no impostor pairs." in {measure.why for measure in gap}


def test_a_cohort_without_an_error_differs_only_when_the_bounds_do_not_overlap() -> None:
    assert not disparity.differences({"a": rate(0, 1000), "b": rate(5, 1000)})
    (found,) = disparity.differences({"a": rate(0, 10_000, 2000), "b": rate(500, 10_000, 2000)})
    assert (found.high, found.low, found.ratio) == ("b", "a", None)


def test_no_difference_is_announced_where_none_was_planted() -> None:
    assert announced(300, 1e-3, 0.5, (1.0, 1.0), runs=300, seed=5).share <= 0.05
    assert announced(100, 1e-2, 0.5, (1.0, 1.0, 1.0, 1.0), runs=300, seed=6).share <= 0.05


def test_a_threefold_difference_is_announced() -> None:
    assert announced(300, 1e-3, 0.5, (1.0, 3.0), runs=100, seed=7).share >= 0.8


def test_the_columns_of_rfw_give_their_published_means() -> None:
    commercial = [
        [87.60, 82.83, 79.67, 75.83], [93.90, 88.55, 92.47, 87.50], [89.13, 86.53, 90.27, 77.97],
        [90.45, 87.20, 84.87, 86.27],
    ]  # fmt: skip
    research = [
        [87.18, 81.92, 79.32, 78.00], [90.80, 87.02, 82.95, 82.28], [92.15, 88.00, 83.98, 84.93],
        [89.90, 86.13, 84.93, 83.38],
    ]  # fmt: skip
    for table, means in (
        (commercial, (90.27, 86.28, 86.82, 81.89)),
        (research, (90.01, 85.77, 82.80, 82.15)),
    ):
        assert np.mean(table, axis=0) == pytest.approx(means, abs=0.006)


@pytest.mark.parametrize(
    ("alpha", "fdr", "ir", "garbe"),
    [(0.0, 0.97, 4.0, 1 / 3), (0.5, 0.98465, 32**0.5, 0.4222222), (1.0, 0.9993, 8.0, 0.5111111)],
)
def test_every_weight_of_the_toy_example(alpha: float, fdr: float, ir: float, garbe: float) -> None:
    assert disparity.fairness_discrepancy_rate(FMR, FNMR, alpha) == pytest.approx(fdr)
    assert disparity.inequity_rate(FMR, FNMR, alpha) == pytest.approx(ir)
    assert disparity.garbe(FMR, FNMR, alpha) == pytest.approx(garbe, abs=1e-6)
