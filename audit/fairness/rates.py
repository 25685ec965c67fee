"""Error rates per cohort from comparisons: false matches, false non-matches, failures to extract, thresholds, FPIR.

FMR(a, b) = impostor pairs of cohorts a and b at or above the threshold / impostor pairs of a and b that were compared.
FNMR(a)   = genuine pairs of a below the threshold or with a photo that gave no embedding / all genuine pairs of a.
FTE(a)    = photos of a that gave no embedding / photos of a.
Definitions as in ISO/IEC 19795-1; probe and reference photos are the same set here, so FMR(a, b) = FMR(b, a).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from audit.fairness.comparisons import Comparisons
from audit.fairness.intervals import (
    CONFIDENCE,
    Interval,
    clustered_interval,
    variance_of_mean,
    variance_of_pairs,
)
from audit.fairness.scores import BINS, GRID_STEP, SCALE, Ints

PairRule = Literal["all", "within", "worst"]


@dataclass(frozen=True)
class Rate:
    """errors / trials with what its interval needs. `units`: pairs (or photos) that share no person."""

    errors: int
    trials: int
    people: int
    units: int
    variance: float = 0.0

    @property
    def value(self) -> float | None:
        """The rate, or None ("not measurable") when there was nothing to count."""
        return self.errors / self.trials if self.trials else None

    @cached_property
    def interval(self) -> Interval | None:
        return self.interval_at(CONFIDENCE)

    def interval_at(self, confidence: float) -> Interval | None:
        """The identity-clustered interval; None when there are too few people to have one."""
        return clustered_interval(self.errors, self.trials, self.variance, self.units, confidence)


@dataclass(frozen=True)
class Threshold:
    """A threshold in millionths and how it was found."""

    value: int
    rule: str  # "fixed", or the pairs the target was set on: "all", "within" or "worst"
    target_fmr: float | None = None
    errors: int | None = None  # on the people it was chosen on
    pairs: int | None = None
    exact: bool = True  # False: the smallest suitable multiple of GRID_STEP, not the smallest integer
    shown: bool = True  # False: the pairs are too few to show a rate as low as the target
    cohort: str | None = None  # with "worst": the cohort that decided


@dataclass(frozen=True)
class CohortRates:
    """All rates of one way of dividing people into cohorts, at one threshold."""

    threshold: int
    cohorts: tuple[str, ...]
    people: tuple[int, ...]
    images: tuple[int, ...]
    extracted: tuple[int, ...]  # images that gave an embedding
    fmr: Mapping[tuple[str, str], Rate]  # (a, b) and (b, a) are the same rate
    fnmr: Mapping[str, Rate]
    fte: Mapping[str, Rate]
    all_fmr: Rate  # every impostor pair, also across cohorts: easier on average, so lower
    all_fnmr: Rate
    all_fte: Rate
    near: int

    def within(self, cohort: str) -> Rate:
        """The headline rate: false matches between different people of the same cohort."""
        return self.fmr[cohort, cohort]


def split_people(people: Sequence[str], cohorts: Sequence[str], seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Two halves of the people, the same for the same seed: one to choose a threshold on, one to report on.

    people and cohorts have one item per photo. Within each cohort people with one photo and people with several are
    dealt out in turn, in the order of SHA-256(seed, person), so both halves have the same make-up.
    """
    photos: dict[str, int] = {}
    group: dict[str, str] = {}
    for person, cohort in zip(people, cohorts, strict=True):
        photos[person] = photos.get(person, 0) + 1
        group[person] = cohort

    def place(person: str) -> tuple[str, bool, bytes]:
        return group[person], photos[person] > 1, hashlib.sha256(f"{seed}\0{person}".encode()).digest()

    ordered = sorted(photos, key=place)
    return frozenset(ordered[0::2]), frozenset(ordered[1::2])


def choose_threshold(comparisons: Comparisons, target_fmr: float, pairs: PairRule = "within") -> Threshold:
    """The lowest threshold whose FMR does not exceed the target on these comparisons.

    pairs: "all" impostor pairs; those "within" a cohort, pooled; or the cohort with the "worst" rate. The threshold is
    exact to a millionth where the exact tail reaches, else a multiple of GRID_STEP. ValueError when the target is not
    between 0 and 1 or there is no such pair.
    """
    if not 0 < target_fmr < 1:
        raise ValueError("The target false-match rate lies between 0 and 1, for example 0.001.")
    groups = range(len(comparisons.cohorts))
    if pairs == "worst":
        found = [
            (_lowest(comparisons, [(group, group)], target_fmr, pairs), comparisons.cohorts[group])
            for group in groups
            if comparisons.impostor_pairs(group, group)
        ]
        if not found:
            raise ValueError("No cohort has two people, so no threshold can be set.")
        threshold, cohort = max(found, key=lambda item: (item[0].value, item[1]))
        return replace(threshold, cohort=cohort)
    if pairs == "within":
        return _lowest(comparisons, [(group, group) for group in groups], target_fmr, pairs)
    return _lowest(comparisons, [(a, b) for a in groups for b in groups if a <= b], target_fmr, pairs)


def _lowest(comparisons: Comparisons, keys: list[tuple[int, int]], target: float, rule: str) -> Threshold:
    pairs = sum(comparisons.impostor_pairs(a, b) for a, b in keys)
    if not pairs:
        raise ValueError("There are no impostor pairs to set a threshold on: two people are needed.")
    allowed = round(target * pairs)
    if allowed / pairs > target:  # decided by the rate as it is reported: 1e-3 of 3,000 pairs is 3 errors, not 2.999…
        allowed -= 1
    wanted = set(keys)
    mine = np.array([(min(a, b), max(a, b)) in wanted for a, b in comparisons.tail_cohorts.tolist()], dtype=bool)
    tail = comparisons.tail_scores[mine] if len(mine) else comparisons.tail_scores
    if len(tail) > allowed or len(tail) == pairs:
        # One above the first score too many; with as many errors allowed as there are pairs, everything may pass.
        value = int(tail[allowed]) + 1 if len(tail) > allowed else -SCALE
        return Threshold(value, rule, target, int((tail >= value).sum()), pairs, True, allowed >= 1)
    bins = np.zeros(BINS, np.int64)
    for a, b in keys:
        comparisons.impostor_histogram(a, b).add_to(bins)
    above = np.append(np.cumsum(bins[::-1])[::-1], 0)
    place = int((above > allowed).sum())
    return Threshold(place * GRID_STEP - SCALE, rule, target, int(above[place]), pairs, False, allowed >= 1)


def cohort_rates(
    comparisons: Comparisons,
    threshold: int,
    failed: Sequence[tuple[str, str]] = (),
    *,
    excluded: Collection[tuple[str, str]] = (),
) -> CohortRates:
    """Every rate at a threshold that `compare` was told of.

    failed: (person, cohort) of each photo that gave no embedding; it counts as a miss in all its genuine pairs.
    excluded: pairs of people that are left out as if they had not been compared, because a review found that their
    labels are wrong. KeyError when the threshold was not among those of `compare`.
    """
    table = _People(comparisons, threshold, failed, excluded)
    names = tuple(sorted(set(table.cohort.tolist())))
    members = {name: np.flatnonzero(table.cohort == name) for name in names}
    everybody = np.arange(len(table.cohort))
    fmr: dict[tuple[str, str], Rate] = {}
    for index, a in enumerate(names):
        fmr[a, a] = table.fmr_within(a)
        for b in names[index + 1 :]:
            fmr[a, b] = fmr[b, a] = table.fmr_between(a, b)
    return CohortRates(
        threshold=threshold,
        cohorts=names,
        people=tuple(len(members[name]) for name in names),
        images=tuple(int(table.photos[members[name]].sum()) for name in names),
        extracted=tuple(int(table.compared[members[name]].sum()) for name in names),
        fmr=fmr,
        fnmr={name: table.fnmr(members[name]) for name in names},
        fte={name: table.fte(members[name]) for name in names},
        all_fmr=table.fmr_of_everybody(),
        all_fnmr=table.fnmr(everybody),
        all_fte=table.fte(everybody),
        near=comparisons.sums[threshold].near,
    )


class _People:
    """Counts per person: those of the comparisons and people none of whose photos gave an embedding."""

    def __init__(
        self,
        comparisons: Comparisons,
        threshold: int,
        failed: Sequence[tuple[str, str]],
        excluded: Collection[tuple[str, str]],
    ) -> None:
        self.comparisons = comparisons
        number = {person: index for index, person in enumerate(comparisons.people)}
        gone = np.array(
            sorted({(min(a, b), max(a, b)) for a, b in ((number[p], number[q]) for p, q in excluded) if a != b}),
            np.int64,
        ).reshape(-1, 2)
        sums = comparisons.sums[threshold]
        kept = ~np.isin(sums.pairs @ [len(number), 1], gone @ [len(number), 1])
        used = replace(comparisons, sums={threshold: replace(sums, pairs=sums.pairs[kept], errors=sums.errors[kept])})
        self.errors, self.squares, self.weighted = (
            used.false_matches(threshold),
            used.squares(threshold),
            used.weighted(threshold),
        )
        self.gone, self.gone_trials = gone, comparisons.images_of[gone].prod(axis=1)
        cohort = [comparisons.cohorts[index] for index in comparisons.cohort_of]
        for person, group in failed:
            if number.setdefault(person, len(number)) == len(cohort):
                cohort.append(group)
        lost = np.bincount([number[person] for person, _ in failed], minlength=len(cohort)).astype(np.int64)
        more = len(cohort) - len(comparisons.people)
        self.cohort = np.array(cohort)
        self.compared: Ints = np.pad(comparisons.images_of, (0, more))
        self.photos: Ints = self.compared + lost
        self.genuine: Ints = self.photos * (self.photos - 1) // 2
        below = np.pad(sums.false_non_matches, (0, more))
        self.misses: Ints = self.genuine - self.compared * (self.compared - 1) // 2 + below

    def _members(self, name: str) -> Ints:
        """People of a cohort who were compared."""
        compared = self.comparisons
        group = compared.cohorts.index(name) if name in compared.cohorts else -1
        return np.flatnonzero(compared.cohort_of == group)

    def fmr_within(self, name: str) -> Rate:
        members = self._members(name)
        if not len(members):
            return Rate(0, 0, 0, 0)
        group = int(self.comparisons.cohort_of[members[0]])
        return self._within(
            members, self.errors[members, group], self.squares[group, group], self.weighted[group, group]
        )

    def fmr_of_everybody(self) -> Rate:
        upper = np.triu_indices(len(self.comparisons.cohorts))
        everybody = np.arange(len(self.comparisons.people))
        return self._within(everybody, self.errors.sum(axis=1), self.squares[upper].sum(), self.weighted[upper].sum())

    def _within(self, members: Ints, errors: Ints, squares: int, weighted: int) -> Rate:
        images = self.comparisons.images_of[members]
        trials = images * (images.sum() - images)
        squared = (images**2).sum() ** 2 - (images**4).sum()
        inside = np.isin(self.gone, members).all(axis=1)
        lost = np.bincount(
            self.gone[inside].ravel(),
            weights=np.repeat(self.gone_trials[inside], 2),
            minlength=len(self.comparisons.people),
        ).astype(np.int64)
        trials = trials - lost[members]
        own = int(squared) // 2 - int((self.gone_trials[inside] ** 2).sum())
        variance = variance_of_pairs((errors, trials), None, int(squares), int(weighted), own)
        people = len(members)
        return Rate(int(errors.sum()) // 2, int(trials.sum()) // 2, people, people // 2, variance)

    def fmr_between(self, name_a: str, name_b: str) -> Rate:
        in_a, in_b = self._members(name_a), self._members(name_b)
        if not len(in_a) or not len(in_b):
            return Rate(0, 0, 0, 0)
        compared = self.comparisons
        a, b = int(compared.cohort_of[in_a[0]]), int(compared.cohort_of[in_b[0]])
        images_a, images_b = compared.images_of[in_a], compared.images_of[in_b]
        cohorts = compared.cohort_of[self.gone]
        inside = (np.sort(cohorts, axis=1) == (min(a, b), max(a, b))).all(axis=1)
        lost = np.bincount(
            self.gone[inside].ravel(), weights=np.repeat(self.gone_trials[inside], 2), minlength=len(compared.people)
        ).astype(np.int64)
        trials_a, trials_b = images_a * images_b.sum() - lost[in_a], images_b * images_a.sum() - lost[in_b]
        own = int((images_a**2).sum() * (images_b**2).sum()) - int((self.gone_trials[inside] ** 2).sum())
        errors_a, errors_b = self.errors[in_a, b], self.errors[in_b, a]
        variance = variance_of_pairs(
            (errors_a, trials_a), (errors_b, trials_b), int(self.squares[a, b]), int(self.weighted[a, b]), own
        )
        smaller = min(len(in_a), len(in_b))
        return Rate(int(errors_a.sum()), int(trials_a.sum()), len(in_a) + len(in_b), smaller, variance)

    def fnmr(self, members: Ints) -> Rate:
        members = members[self.genuine[members] > 0]
        return rate_of_people(self.misses[members], self.genuine[members])

    def fte(self, members: Ints) -> Rate:
        return rate_of_people((self.photos - self.compared)[members], self.photos[members])


def rate_of_people(errors: Ints, trials: Ints) -> Rate:
    """A rate whose trials belong to one person each: clustered by that person."""
    return Rate(int(errors.sum()), int(trials.sum()), len(trials), len(trials), variance_of_mean(errors, trials))


def predicted_fpir(fmr: float, gallery: int) -> float:
    """Chance that a search of a person who is not enrolled returns somebody: 1 - (1 - FMR)^gallery (NISTIR 8429).

    A prediction, not a measurement: it takes the comparisons of one search as independent. `gallery` in templates.
    """
    if not 0 <= fmr <= 1 or gallery < 0:
        raise ValueError("A rate lies between 0 and 1 and a gallery has no negative size.")
    return 1.0 if fmr == 1 and gallery else -math.expm1(gallery * math.log1p(-fmr)) if fmr < 1 else 0.0


def predicted_fpir_of_mix(fmr: Sequence[float], templates: Sequence[int]) -> float:
    """The same for a gallery of several cohorts: 1 - product over cohorts of (1 - FMR with it)^(its templates)."""
    miss = 1.0
    for rate, size in zip(fmr, templates, strict=True):
        miss *= 1 - predicted_fpir(rate, size)
    return 1 - miss
