"""How good the intervals and announcements are: false matches with a planted rate, drawn and measured many times.

People have one photo each. Person i has an effect x_i, lognormal with mean 1 and scale sigma, and two people are taken
for one with chance rate * x_i * x_j: a person who is easily mistaken is mistaken often, so pairs that share a person are
alike. sigma 0 makes all pairs independent. The planted rate is the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.fairness.bootstrap import ratio
from audit.fairness.comparisons import Comparisons, Sums
from audit.fairness.disparity import differences
from audit.fairness.intervals import CONFIDENCE, variance_within, wilson
from audit.fairness.rates import Rate
from audit.fairness.scores import NOTHING, SCALE, Ints

PEOPLE = (20, 50, 100, 200, 300)
SIGMAS = (0.0, 0.5, 1.0)
RATES = (1e-2, 1e-3)
RUNS = 2000
NEEDED = 0.93  # what the upper limit of the coverage of a 95 % interval must reach


@dataclass(frozen=True)
class Coverage:
    """How often an interval held the planted rate in so many runs."""

    people: int
    rate: float
    sigma: float
    runs: int
    held: int  # the clustered interval
    held_without_clusters: int  # Wilson's interval that takes all pairs as independent
    missed_below: int  # runs whose clustered interval lies below the planted rate
    without_error: int  # runs without a single false match: the bound of no errors was used
    mean_width: float  # of the clustered interval, as a multiple of the planted rate

    @property
    def coverage(self) -> float:
        return self.held / self.runs

    @property
    def limits(self) -> tuple[float, float]:
        """95 % interval of the coverage itself."""
        return wilson(self.coverage, self.runs)


@dataclass(frozen=True)
class Announced:
    """How often a difference between cohorts was announced in so many runs."""

    people: int
    rate: float
    sigma: float
    factors: tuple[float, ...]  # of each cohort's planted rate
    runs: int
    announced: int

    @property
    def share(self) -> float:
        return self.announced / self.runs

    @property
    def limits(self) -> tuple[float, float]:
        return wilson(self.share, self.runs)


@dataclass(frozen=True)
class RatioCoverage:
    """How often the bootstrapped interval of a ratio held the planted one in so many runs."""

    people: int
    rate: float
    sigma: float
    factor: float
    runs: int
    held: int
    without_interval: int

    @property
    def coverage(self) -> float:
        return self.held / max(self.runs - self.without_interval, 1)


def planted_rates(rng: np.random.Generator, people: int, rate: float, sigma: float, runs: int) -> list[Rate]:
    """The measured false-match rate of each of `runs` cohorts with this planted rate."""
    one = np.ones(people, np.int64)
    found = []
    for _ in range(runs):
        pairs = _false_matches(rng, people, rate, sigma)
        errors = np.bincount(pairs.ravel(), minlength=people)
        variance = variance_within(errors, one, len(pairs), len(pairs))
        found.append(Rate(len(pairs), people * (people - 1) // 2, people, people // 2, variance))
    return found


def _false_matches(rng: np.random.Generator, people: int, rate: float, sigma: float) -> Ints:
    """(m, 2) pairs of people of one cohort who are taken for one another."""
    effect = np.exp(rng.normal(0, sigma, people) - sigma**2 / 2)
    first, second = np.triu_indices(people, 1)
    hit = np.flatnonzero(rng.random(len(first), np.float32) < rate * effect[first] * effect[second])
    return np.stack([first[hit], second[hit]], axis=1)


def coverage(people: int, rate: float, sigma: float, *, runs: int = RUNS, seed: int = 1) -> Coverage:
    """One cell of the study. The same seed gives the same cell."""
    held = plain = below = without = 0
    width = 0.0
    for measured in planted_rates(_generator(seed, people, rate, sigma), people, rate, sigma, runs):
        interval = measured.interval
        assert interval is not None, "there are always pairs"
        assert measured.value is not None
        low, high = wilson(measured.value, measured.trials)
        held += interval.low <= rate <= interval.high
        plain += low <= rate <= high
        below += interval.high < rate
        without += measured.errors == 0
        width += interval.high - interval.low
    return Coverage(people, rate, sigma, runs, held, plain, below, without, width / runs / rate)


def announced(
    people: int, rate: float, sigma: float, factors: Sequence[float], *, runs: int = RUNS, seed: int = 1
) -> Announced:
    """How often `differences` announces one between cohorts whose planted rates are these multiples of `rate`."""
    rng = _generator(seed, people, rate, sigma, *factors)
    cohorts = [planted_rates(rng, people, rate * factor, sigma, runs) for factor in factors]
    count = sum(
        bool(differences({str(place): measured for place, measured in enumerate(together)}))
        for together in zip(*cohorts, strict=True)
    )
    return Announced(people, rate, sigma, tuple(factors), runs, count)


def ratio_coverage(
    people: int, rate: float, sigma: float, factor: float, *, runs: int = RUNS // 4, seed: int = 1
) -> RatioCoverage:
    """How often the bootstrapped interval of a ratio of two rates holds the planted factor. Runs whose second cohort
    has no error give no interval and are counted apart."""
    rng = _generator(seed, people, rate, sigma, factor)
    nobody, no_pairs = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    names = tuple(f"{place:05d}" for place in range(2 * people))
    held = none = 0
    for run in range(runs):
        pairs = np.concatenate(
            [_false_matches(rng, people, rate * factor, sigma), people + _false_matches(rng, people, rate, sigma)]
        )
        sums = Sums(0, pairs, np.ones(len(pairs), np.int64), np.zeros(2 * people, np.int64), 0)
        compared = Comparisons(
            names, ("high", "low"), np.repeat([0, 1], people), np.ones(2 * people, np.int64), {}, (NOTHING, NOTHING),
            nobody, no_pairs, no_pairs, SCALE, nobody, no_pairs, nobody, -SCALE, {0: sums},
        )  # fmt: skip
        found = ratio(f"{seed} {run}", compared, 0, 0, 1, CONFIDENCE)
        if found.low is None:
            none += 1
        else:
            held += found.low <= factor <= (np.inf if found.high is None else found.high)
    return RatioCoverage(people, rate, sigma, factor, runs, held, none)


def minimum_people(cells: Sequence[Coverage]) -> int | None:
    """The smallest number of people from which on every cell's coverage can be as good as NEEDED; None if there is none."""
    found = None
    for people in sorted({cell.people for cell in cells}, reverse=True):
        if any(cell.limits[1] < NEEDED for cell in cells if cell.people == people):
            break
        found = people
    return found


def _generator(seed: int, people: int, *numbers: float) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, people, *(round(number * 1e6) for number in numbers)]))
