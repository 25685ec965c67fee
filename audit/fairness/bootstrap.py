"""The double-or-nothing bootstrap over people, for numbers that have no closed form: each person is drawn twice or not
at all with equal chance, and a pair of people counts with the product of its two weights (Fogliato et al., IJCV 2024).

Who is drawn comes from SHAKE-256 of a name, not from a random generator: the same on every machine and version. All
weights are 2 or 0, so kept pairs all count the same and only who is kept has to be known.

The product of two weights has variance 3, so the chance of a single pair counts three times: intervals of rates over
pairs of people are wide rather than narrow (docs/measurement/coverage.md).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.fairness.comparisons import Comparisons
from audit.fairness.intervals import CONFIDENCE
from audit.fairness.scores import SCALE, Ints

REPLICATES = 2000
MINIMUM_USABLE = 0.95  # share of replicates that must give a number, else there is no interval
_CELLS = 8_000_000  # pairs x replicates held at once

Kept = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bootstrapped:
    """A number and the interval between percentiles of its replicates. `value` None: `why` says why."""

    value: float | None
    low: float | None
    high: float | None  # None with a low end: no replicate bounds it, because too many have no error to divide by
    confidence: float
    why: str = ""


@dataclass(frozen=True)
class MissesAtRate:
    """FNMR of a cohort at the threshold where its own FMR is the target."""

    target_fmr: float
    threshold: int | None
    fnmr: Bootstrapped


def draws(name: str, people: int, replicates: int = REPLICATES) -> Kept:
    """(replicates, people): who is kept. The same name gives the same draws everywhere."""
    size = (people * replicates + 7) // 8
    data = np.frombuffer(hashlib.shake_256(name.encode()).digest(size), np.uint8)
    return np.unpackbits(data, count=people * replicates).reshape(replicates, people).astype(bool)


def false_match_rates(comparisons: Comparisons, threshold: int, cohort: int, kept: Kept) -> npt.NDArray[np.float64]:
    """(replicates,) FMR within a cohort. kept: of its people, in order. Not a number when nobody can be compared."""
    members = np.flatnonzero(comparisons.cohort_of == cohort)
    place = np.full(len(comparisons.people), -1)
    place[members] = np.arange(len(members))
    sums = comparisons.sums[threshold]
    inside = (comparisons.cohort_of[sums.pairs] == cohort).all(axis=1)
    pairs, errors = place[sums.pairs[inside]], sums.errors[inside].astype(np.float64)
    found = np.zeros(len(kept))
    for part in _parts(len(kept), len(pairs)):
        found[part] = (kept[part][:, pairs[:, 0]] & kept[part][:, pairs[:, 1]]) @ errors
    with np.errstate(invalid="ignore"):
        return found / _pairs(comparisons.images_of[members], kept)


def ratio(name: str, comparisons: Comparisons, threshold: int, high: int, low: int, confidence: float) -> Bootstrapped:
    """FMR within cohort `high` over that within `low` at a threshold that was compared at."""
    values = []
    rates = []
    for cohort in (high, low):
        people = int((comparisons.cohort_of == cohort).sum())
        everybody = np.ones((1, people), bool)
        values.append(float(false_match_rates(comparisons, threshold, cohort, everybody)[0]))
        kept = draws(f"{name}\0{comparisons.cohorts[cohort]}", people)
        rates.append(false_match_rates(comparisons, threshold, cohort, kept))
    if not values[1] > 0:
        return Bootstrapped(None, None, None, confidence, "The cohort compared with has no error: see its upper bound.")
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(rates[0]) - np.log(rates[1])
    usable = logs[~np.isnan(logs)]  # no error in either, or nobody to compare: says nothing about the ratio
    if len(usable) < MINIMUM_USABLE * len(logs):
        return Bootstrapped(values[0] / values[1], None, None, confidence, "Too few errors for an interval.")
    low_end, high_end = _percentiles(usable, confidence)
    return Bootstrapped(
        values[0] / values[1], math.exp(low_end), None if math.isinf(high_end) else math.exp(high_end), confidence
    )


def misses_at_rate(
    name: str, comparisons: Comparisons, cohort: int, target: float, lost: Ints, confidence: float = CONFIDENCE
) -> MissesAtRate:
    """FNMR within a cohort at the threshold that gives it the target FMR, which is chosen anew in every replicate.

    lost: (people,) genuine pairs with a photo that gave no embedding; they are misses at every threshold. There is no
    number where the exact tails do not reach the target.
    """
    members = np.flatnonzero(comparisons.cohort_of == cohort)
    found = _AtRate(comparisons, cohort, members, target, lost)
    value, threshold = found.value(np.ones((1, len(members)), bool))
    if np.isnan(value[0]):
        return MissesAtRate(target, None, Bootstrapped(None, None, None, confidence, found.why))
    kept = draws(f"{name}\0{comparisons.cohorts[cohort]}", len(members))
    values = np.concatenate([found.value(kept[part])[0] for part in _parts(len(kept), found.size)])
    usable = values[~np.isnan(values)]
    number = int(threshold[0])
    if len(usable) < MINIMUM_USABLE * len(values):
        why = "The pairs that were kept do not reach far enough for an interval."
        return MissesAtRate(target, number, Bootstrapped(float(value[0]), None, None, confidence, why))
    low, high = _percentiles(usable, confidence)
    return MissesAtRate(target, number, Bootstrapped(float(value[0]), low, high, confidence))


class _AtRate:
    def __init__(self, comparisons: Comparisons, cohort: int, members: Ints, target: float, lost: Ints) -> None:
        place = np.full(len(comparisons.people), -1)
        place[members] = np.arange(len(members))
        self.images, self.target = comparisons.images_of[members], target
        self.lost = lost[members]
        self.genuine = self.images * (self.images - 1) // 2 + self.lost
        inside = (comparisons.tail_cohorts == cohort).all(axis=1)
        self.scores, self.pairs = comparisons.tail_scores[inside], place[comparisons.tail_people[inside]]
        pairs = comparisons.impostor_pairs(cohort, cohort)
        self.all_impostors = len(self.scores) == pairs
        # A replicate may have to go further down than the set itself: four times as far, and a little.
        reach = int(4 * target * pairs) + 200
        if reach < len(self.scores):
            self.scores, self.pairs, self.all_impostors = self.scores[:reach], self.pairs[:reach], False
        mine = comparisons.cohort_of[comparisons.genuine_people] == cohort
        self.low_scores = comparisons.genuine_scores[mine]
        self.low_people = place[comparisons.genuine_people[mine]]
        self.all_genuine = len(self.low_scores) == comparisons.genuine_pairs(cohort)
        self.exact_to = SCALE + 1 if self.all_genuine else comparisons.genuine_exact_to
        self.size = len(self.scores) + len(self.low_scores)
        if not self.genuine.any():
            self.why = "There are no genuine pairs."
        elif not pairs:
            self.why = "There are no impostor pairs."
        else:
            self.why = "The exact tail does not reach this false-match rate."

    def value(self, kept: Kept) -> tuple[npt.NDArray[np.float64], Ints]:
        """(FNMR, threshold) of each replicate; FNMR is not a number where there is none."""
        allowed = np.floor(self.target * _pairs(self.images, kept) + 1e-9)
        false_matches = np.cumsum(kept[:, self.pairs[:, 0]] & kept[:, self.pairs[:, 1]], axis=1, dtype=np.int64)
        first = (false_matches <= allowed[:, None]).sum(axis=1)  # place of the first pair that is one too many
        reached = first < len(self.scores)
        threshold = np.full(len(kept), -SCALE, np.int64)
        threshold[reached] = self.scores[first[reached]] + 1
        below = np.searchsorted(self.low_scores, threshold, side="left")
        misses = np.cumsum(kept[:, self.low_people], axis=1, dtype=np.int64)
        misses = np.concatenate([np.zeros((len(kept), 1), np.int64), misses], axis=1)
        count = misses[np.arange(len(kept)), below] + kept @ self.lost
        trials = kept @ self.genuine
        usable = (reached | self.all_impostors) & (threshold <= self.exact_to) & (trials > 0) & (allowed >= 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(usable, count / trials, np.nan), threshold


def _pairs(images: Ints, kept: Kept) -> npt.NDArray[np.float64]:
    """Impostor pairs of images among the people who are kept."""
    weights = kept.astype(np.float64)
    return ((weights @ images) ** 2 - weights @ images**2) / 2


def _parts(replicates: int, width: int) -> Iterator[slice]:
    step = max(1, min(replicates, _CELLS // max(width, 1)))
    for start in range(0, replicates, step):
        yield slice(start, start + step)


def _percentiles(values: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The replicates at both ends: no interpolation, which infinite ones would not survive."""
    ordered = np.sort(values)
    outside = math.floor(len(ordered) * (1 - confidence) / 2)
    return float(ordered[outside]), float(ordered[len(ordered) - 1 - outside])
