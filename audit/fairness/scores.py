"""Scores as whole numbers, and counts of them. One rule everywhere:

the score of a pair is the cosine of its embeddings, the integer score is round(score x 10^6), and a pair is at or above
a threshold (an integer, millionths) iff integer score >= threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SCALE = 1_000_000
GRID_STEP = 100
BINS = 2 * SCALE // GRID_STEP + 1


class ComparisonError(ValueError):
    """The embeddings cannot be compared; the message says why in a sentence."""


def integer_scores(scores: npt.NDArray[np.float64]) -> Ints:
    """round(score x 10^6), halves to even, kept within ±10^6."""
    return np.clip(np.rint(scores * SCALE), -SCALE, SCALE).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of integer scores by GRID_STEP millionths, without the empty bins at either end.

    counts[i] pairs have an integer score of at least lowest + i * GRID_STEP and less than one step more.
    """

    first: int  # number of the first bin that is kept; bin 0 starts at -10^6
    counts: Ints

    @classmethod
    def of(cls, bins: Ints) -> Histogram:
        """From counts of all BINS bins."""
        filled = np.flatnonzero(bins)
        if not len(filled):
            return cls(0, np.empty(0, np.int64))
        first = int(filled[0])
        return cls(first, bins[first : int(filled[-1]) + 1].astype(np.int64))

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def dense(self) -> Ints:
        """Counts of all BINS bins."""
        bins = np.zeros(BINS, np.int64)
        self.add_to(bins)
        return bins

    def add_to(self, bins: Ints) -> None:
        bins[self.first : self.first + len(self.counts)] += self.counts

    def at_or_above(self, threshold: int) -> int:
        """Pairs at or above a threshold that is a multiple of GRID_STEP. ValueError for another one."""
        if threshold % GRID_STEP:
            raise ValueError(f"A histogram counts at multiples of {GRID_STEP} millionths only, not at {threshold}.")
        return int(self.counts[max((threshold + SCALE) // GRID_STEP - self.first, 0) :].sum())


NOTHING = Histogram(0, np.empty(0, np.int64))
