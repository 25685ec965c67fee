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


def variance_of_pairs(
    one: tuple[Numbers, Numbers],
    other: tuple[Numbers, Numbers] | None,
    squares: float,
    weighted: float,
    trials_squared: float,
) -> float:
    """Variance of an FMR over pairs of people, each of whom is in many pairs.

    one             (errors, trials) of each person; `other` those of the second group, or None when all pairs are within
                    one group (every error and trial then counts for both people)
    squares         sum over pairs of people of e_ij^2, weighted of e_ij * m_ij, trials_squared of m_ij^2, with e_ij the
                    false matches and m_ij the pairs of images of people i and j

    With y_ij = e_ij - FMR * m_ij, r_i = sum_j y_ij, c_j = sum_i y_ij, S2 = sum y_ij^2 and P pairs of images:
    within a group (S2 + max(sum r_i^2 - 2 S2, 0)) / P^2; between two (sum r_i^2 + sum c_j^2 - S2) / P^2, at least S2 / P^2.
    """
    errors, trials = one
    twice = 2 if other is None else 1
    pairs = float(trials.sum()) / twice
    if pairs == 0:
        return 0.0
    rate = float(errors.sum()) / twice / pairs
    own = max(squares - 2 * rate * weighted + rate**2 * trials_squared, 0.0)
    rest = errors - rate * trials
    shared = float((rest * rest).sum())
    if other is None:
        return (own + max(shared - 2 * own, 0.0)) / pairs**2
    rest = other[0] - rate * other[1]
    return max(shared + float((rest * rest).sum()) - own, own) / pairs**2


def variance_within(errors: Numbers, images: Numbers, squares: float, weighted: float) -> float:
    """`variance_of_pairs` for all impostor pairs of one group, whose people have so many images."""
    size = images.astype(np.float64)
    total, total2, total4 = float(size.sum()), float((size**2).sum()), float((size**4).sum())
    return variance_of_pairs((errors, size * (total - size)), None, squares, weighted, (total2**2 - total4) / 2)


def variance_between(
    errors_a: Numbers, images_a: Numbers, errors_b: Numbers, images_b: Numbers, squares: float, weighted: float
) -> float:
    """`variance_of_pairs` for all pairs of two groups without a common person (two-way clustering)."""
    size_a, size_b = images_a.astype(np.float64), images_b.astype(np.float64)
    trials_a, trials_b = size_a * size_b.sum(), size_b * size_a.sum()
    own = float((size_a**2).sum()) * float((size_b**2).sum())
    return variance_of_pairs((errors_a, trials_a), (errors_b, trials_b), squares, weighted, own)
