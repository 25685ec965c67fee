"""Confidence intervals for error rates whose pairs share people.

Two pairs that have a person in common are not independent, so the binomial interval is too narrow. The interval used
here is Wilson's with an effective number of pairs taken from the identity-clustered variance (Fogliato, Patil and
Perona, "Confidence intervals for error rates in 1:1 matching tasks", IJCV 2024); the closed forms below avoid
enumerating pairs of pairs. Rates are fractions between 0 and 1; a person is an identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A two-sided interval. With no errors (or nothing but errors) `by_pairs` and `by_people` hold both bounds."""

    low: float
    high: float
    method: str  # "clustered-wilson", "no-errors" or "only-errors"
    effective_pairs: float
    by_pairs: float | None = None
    by_people: float | None = None


def quantile(confidence: float) -> float:
    """z such that a standard normal value lies within ±z with this probability."""
    if not 0 < confidence < 1:
        raise ValueError("A confidence level lies between 0 and 1.")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(rate: float, trials: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval for a rate seen in independent trials (an effective number of them may be a fraction)."""
    if trials <= 0:
        raise ValueError("An interval needs at least one trial.")
    z2 = quantile(confidence) ** 2
    centre = rate + z2 / (2 * trials)
    half = math.sqrt(z2 * (rate * (1 - rate) + z2 / (4 * trials)) / trials)
    scale = 1 + z2 / trials
    low = 0.0 if rate == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if rate == 1 else min(1.0, (centre + half) / scale)
    return low, high


def zero_error_bound(units: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of a rate when no independent unit showed an error: 1 - (1 - confidence)^(1/units)."""
    if units < 1:
        raise ValueError("A bound needs at least one independent unit.")
    return -math.expm1(math.log1p(-confidence) / units)


def clustered_interval(
    errors: int, trials: int, variance: float, units: int, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of errors / trials given the clustered variance of that rate.

    `units` is the number of pairs that can be formed without using a person twice: the only ones sure to be
    independent. Without errors the variance says nothing; the bound is then the wider of the one that takes every pair
    as independent (`by_pairs`) and the one that takes only `units` as independent (`by_people`); both are given.
    The effective number of pairs never exceeds the real one. None when there is nothing to learn from: no pair, or
    errors among fewer than two units, whose variance cannot be estimated.
    """
    if trials <= 0 or units < 1:
        return None
    rate = errors / trials
    if errors in (0, trials):
        pairs_bound = wilson(0.0, trials, confidence)[1]
        people_bound = zero_error_bound(units, confidence)
        reach = max(pairs_bound, people_bound)
        if errors == 0:
            return Interval(0.0, reach, "no-errors", float(trials), pairs_bound, people_bound)
        return Interval(1 - reach, 1.0, "only-errors", float(trials), 1 - pairs_bound, 1 - people_bound)
    if units < 2:
        return None
    effective = min(rate * (1 - rate) / variance, float(trials)) if variance > 0 else float(trials)
    low, high = wilson(rate, effective, confidence)
    return Interval(low, high, "clustered-wilson", effective)


def variance_of_mean(errors: Numbers, trials: Numbers) -> float:
    """Variance of sum(errors) / sum(trials) when each entry is one person: FNMR over genuine pairs, FTE over images."""
    total = float(trials.sum())
    if total == 0:
        return 0.0
    rest = errors - errors.sum() / total * trials
    return float((rest * rest).sum()) / total**2


def variance_within(errors: Numbers, images: Numbers, squares: float, weighted: float) -> float:
    """Variance of an FMR over all impostor pairs of one group of people.

    errors   (n,) false matches of each person against the others of the group (each counts for both people)
    images   (n,) images of each person; people i and j have m_ij = images_i * images_j pairs
    squares  sum over i<j of e_ij^2, weighted  sum over i<j of e_ij * m_ij, with e_ij the false matches between i and j

    With y_ij = e_ij - FMR * m_ij, r_i = sum_j y_ij, S2 = sum_{i<j} y_ij^2 and P pairs:
    (S2 + max(sum_i r_i^2 - 2 S2, 0)) / P^2.
    """
    size = images.astype(np.float64)
    total, total2, total4 = float(size.sum()), float((size**2).sum()), float((size**4).sum())
    pairs = (total**2 - total2) / 2
    if pairs == 0:
        return 0.0
    rate = float(errors.sum()) / 2 / pairs
    rest = errors - rate * size * (total - size)
    own = max(squares - 2 * rate * weighted + rate**2 * (total2**2 - total4) / 2, 0.0)
    return (own + max(float((rest * rest).sum()) - 2 * own, 0.0)) / pairs**2


def variance_between(
    errors_a: Numbers, images_a: Numbers, errors_b: Numbers, images_b: Numbers, squares: float, weighted: float
) -> float:
    """Variance of an FMR over all pairs of two groups without a common person (two-way clustering).

    errors_a are the false matches of each person of group a against group b, and the other way round;
    (sum_i r_i^2 + sum_j c_j^2 - S2) / P^2, never below S2 / P^2.
    """
    size_a, size_b = images_a.astype(np.float64), images_b.astype(np.float64)
    total_a, total_b = float(size_a.sum()), float(size_b.sum())
    pairs = total_a * total_b
    if pairs == 0:
        return 0.0
    rate = float(errors_a.sum()) / pairs
    rows = errors_a - rate * size_a * total_b
    columns = errors_b - rate * size_b * total_a
    all_m2 = float((size_a**2).sum()) * float((size_b**2).sum())
    own = max(squares - 2 * rate * weighted + rate**2 * all_m2, 0.0)
    return max(float((rows * rows).sum()) + float((columns * columns).sum()) - own, own) / pairs**2
