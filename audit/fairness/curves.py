"""Counts over many thresholds: DET points of a cohort, and where its scores lie compared with everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.fairness.comparisons import Comparisons
from audit.fairness.scores import BINS, GRID_STEP, SCALE, Ints

POINTS_PER_DECADE = 10


@dataclass(frozen=True)
class Point:
    """Both errors at one threshold (millionths), as counts: FMR = false_matches / impostor_pairs, FNMR likewise."""

    threshold: int
    false_matches: int
    impostor_pairs: int
    misses: int  # photos without an embedding counted as misses
    genuine_pairs: int


@dataclass(frozen=True)
class Scores:
    """Where scores lie, in millionths, from a histogram: right to half a step of GRID_STEP. None without pairs."""

    pairs: int
    mean: float | None
    median: float | None


@dataclass(frozen=True)
class Shift:
    """The scores of a cohort; how far they lie from everybody's is the difference to the Shift of all cohorts."""

    genuine: Scores
    impostor: Scores


def det_points(comparisons: Comparisons, cohorts: Sequence[int], lost_pairs: int = 0) -> tuple[Point, ...]:
    """The DET curve within these cohorts, pooled: ten thresholds for every power of ten of the false-match rate, from
    all false to none. lost_pairs: genuine pairs with a photo that gave no embedding. Empty without impostor pairs.
    """
    impostor, genuine = _bins(comparisons, cohorts)
    false_matches, matches = _at_or_above(impostor), _at_or_above(genuine)
    pairs, genuine_pairs = int(false_matches[0]), int(matches[0]) + lost_pairs
    if not pairs:
        return ()
    steps = int(np.ceil(np.log10(pairs) * POINTS_PER_DECADE))
    allowed = [*(pairs * 10 ** (-step / POINTS_PER_DECADE) for step in range(steps + 1)), 0]
    places = sorted({int((false_matches > limit).sum()) for limit in allowed})
    return tuple(
        Point(
            place * GRID_STEP - SCALE,
            int(false_matches[place]),
            pairs,
            genuine_pairs - int(matches[place]),
            genuine_pairs,
        )
        for place in places
    )


def shift(comparisons: Comparisons, cohorts: Sequence[int]) -> Shift:
    """Where the scores within these cohorts lie, pooled."""
    impostor, genuine = _bins(comparisons, cohorts)
    return Shift(_scores(genuine), _scores(impostor))


def _bins(comparisons: Comparisons, cohorts: Sequence[int]) -> tuple[Ints, Ints]:
    impostor, genuine = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for cohort in cohorts:
        comparisons.impostor_histogram(cohort, cohort).add_to(impostor)
        comparisons.genuine[cohort].add_to(genuine)
    return impostor, genuine


def _at_or_above(bins: Ints) -> Ints:
    """(BINS + 1,) pairs at or above each edge of the grid; none above the last."""
    return np.append(np.cumsum(bins[::-1])[::-1], 0)


def _scores(bins: Ints) -> Scores:
    pairs = int(bins.sum())
    if not pairs:
        return Scores(0, None, None)
    filled = np.flatnonzero(bins)
    middles = filled * GRID_STEP - SCALE + GRID_STEP / 2
    below = np.cumsum(bins[filled])
    halves = [middles[int(np.searchsorted(below, rank, side="right"))] for rank in ((pairs - 1) // 2, pairs // 2)]
    return Scores(pairs, float((middles * bins[filled]).sum() / pairs), float(sum(halves) / 2))
