"""One evaluation: benchmark photos or embeddings -> threshold on one half of the people, rates on the other.

`evaluate` is `evidence.gather` and then `conclude`: a Result follows from the Evidence and the parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.fairness.bootstrap import Bootstrapped, MissesAtRate, misses_at_rate, ratio
from audit.fairness.cohorts import UNKNOWN
from audit.fairness.comparisons import Comparisons
from audit.fairness.curves import Point, Shift, det_points, shift
from audit.fairness.disparity import Difference, Measure, differences, summary
from audit.fairness.evidence import EVERYBODY, Evidence, Parameters, Progress, gather, pick_threshold
from audit.fairness.identification import Searches, SearchRates, search_rates
from audit.fairness.intervals import CONFIDENCE
from audit.fairness.rates import (
    CohortRates,
    Rate,
    Threshold,
    cohort_rates,
    predicted_fpir,
    predicted_fpir_of_mix,
)
from audit.fairness.scores import Ints
from audit.fairness.sets.samples import Samples

LOOKALIKES = 100


@dataclass(frozen=True)
class Group:
    """What belongs to one cohort beside its rates. `det` and `shift` are of pairs within the cohort."""

    name: str
    det: tuple[Point, ...]
    shift: Shift
    misses_at_target: MissesAtRate


@dataclass(frozen=True)
class RatioOf:
    """FMR within `high` over FMR within `low`, the cohort with the lowest rate, bootstrapped over people."""

    high: str
    low: str
    ratio: Bootstrapped


@dataclass(frozen=True)
class Division:
    """The rates of one way of dividing people ("" puts everybody into one cohort), and what they amount to."""

    axis: str
    rates: CohortRates
    measures: tuple[Measure, ...]
    fmr_differences: tuple[Difference, ...]
    fnmr_differences: tuple[Difference, ...]
    groups: tuple[Group, ...] = ()
    ratios: tuple[RatioOf, ...] = ()  # confidence corrected for their number
    without_excluded: CohortRates | None = None  # None when no pair was excluded

    @property
    def known(self) -> tuple[str, ...]:
        """The cohorts that are groups of people: not "unknown"."""
        return tuple(name for name in self.rates.cohorts if name != UNKNOWN)

    def worst(self, minimum_people: int) -> tuple[str, Rate] | None:
        """The known cohort with the highest false-match rate among those with enough people to say so."""
        rates = [(name, self.rates.within(name)) for name in self.known]
        measured = [(name, rate) for name, rate in rates if rate.trials and rate.people >= minimum_people]
        return max(measured, key=lambda item: item[1].value or 0.0) if measured else None


@dataclass(frozen=True)
class Prediction:
    """The chance of a false candidate in a gallery, predicted (not measured) from a false-match rate."""

    gallery: int
    basis: str
    fmr: float
    fpir: float


@dataclass(frozen=True)
class Lookalike:
    """Two photos of two people with one of the highest scores: an error of the face model, or of the labels."""

    score: int
    people: tuple[str, str]
    images: tuple[int, int]  # rows of the set


@dataclass(frozen=True)
class FoldAccuracy:
    """The share of right decisions on the fixed pairs of a protocol: the mean of its folds with its standard error."""

    axis: str
    cohort: str
    pairs: int
    folds: int
    accuracy: float
    standard_error: float


@dataclass(frozen=True)
class Result:
    """What was measured. `chosen_on` is 0 when the threshold was given."""

    parameters: Parameters
    threshold: Threshold
    chosen_on: int  # people
    reported_on: int
    overall: CohortRates
    divisions: tuple[Division, ...]
    predictions: tuple[Prediction, ...]
    overall_det: tuple[Point, ...] = ()  # all impostor pairs, also across cohorts
    overall_shift: Shift | None = None
    overall_without_excluded: CohortRates | None = None  # None when no pair was excluded
    searches: tuple[SearchRates, ...] = ()  # first everybody, then each cohort, for each edition
    lookalikes: tuple[Lookalike, ...] = ()
    excluded: int = 0  # of the pairs of people that were to be left out, those who are reported on
    accuracies: tuple[FoldAccuracy, ...] = ()  # of protocols with fixed pairs in folds


def evaluate(
    samples: Samples, parameters: Parameters | None = None, progress: Callable[[Progress], None] | None = None
) -> Result:
    """Measure. One global threshold is used for every cohort.

    Without a fixed threshold the people are dealt into two halves (by the first division, see `split_people`); the
    threshold is chosen on one and all rates come from the other. DatasetError, CohortError or ComparisonError when the
    set cannot carry that.
    """
    parameters = parameters or Parameters()
    return conclude(gather(samples, parameters, progress), parameters)


def conclude(evidence: Evidence, parameters: Parameters) -> Result:
    """The numbers that follow from the evidence. KeyError when it was gathered at another threshold."""
    threshold = pick_threshold(evidence.choosing, parameters)
    everybody = evidence.divided_by("")
    overall = cohort_rates(everybody, threshold.value, evidence.failed(""))
    divisions = tuple(_division(evidence, axis, threshold.value, parameters) for axis in parameters.divisions)
    return Result(
        parameters,
        threshold,
        evidence.chosen_on,
        evidence.people,
        overall,
        divisions,
        predictions(overall, divisions, parameters),
        det_points(everybody, [0], _lost_pairs(everybody, evidence)),
        shift(everybody, [0]),
        _without_excluded(everybody, evidence, "", threshold.value, parameters),
        tuple(_searches(evidence, overall, divisions, threshold.value, parameters)),
        tuple(_lookalikes(evidence.reporting)),
        excluded=len(_excluded(everybody, parameters)),
    )


def _lost_by_person(comparisons: Comparisons, evidence: Evidence) -> Ints:
    """(people,) genuine pairs with a photo that gave no embedding, of people who were compared."""
    lost = np.array([evidence.lost.get(person, 0) for person in comparisons.people], np.int64)
    return lost * comparisons.images_of + lost * (lost - 1) // 2


def _lost_pairs(
    comparisons: Comparisons, evidence: Evidence, cohort: Mapping[str, str] | None = None, name: str = ""
) -> int:
    """Genuine pairs of a cohort (default: of everybody) with a photo that gave no embedding."""
    images = dict(zip(comparisons.people, comparisons.images_of.tolist(), strict=True))
    return sum(
        photos * images.get(person, 0) + photos * (photos - 1) // 2
        for person, photos in evidence.lost.items()
        if cohort is None or cohort[person] == name
    )


def _excluded(comparisons: Comparisons, parameters: Parameters) -> list[tuple[str, str]]:
    """The pairs of people to leave out who were compared: the others are in the half that the threshold was chosen on."""
    known = set(comparisons.people)
    return [pair for pair in parameters.excluded if known.issuperset(pair)]


def _without_excluded(
    comparisons: Comparisons, evidence: Evidence, axis: str, threshold: int, parameters: Parameters
) -> CohortRates | None:
    pairs = _excluded(comparisons, parameters)
    return cohort_rates(comparisons, threshold, evidence.failed(axis), excluded=pairs) if pairs else None


def _division(evidence: Evidence, axis: str, threshold: int, parameters: Parameters) -> Division:
    comparisons, minimum = evidence.divided_by(axis), parameters.minimum_people
    rates = cohort_rates(comparisons, threshold, evidence.failed(axis))
    known = [name for name in rates.cohorts if name != UNKNOWN]
    enough = [name for name in known if rates.within(name).people >= minimum]
    fmr = {name: rates.within(name) for name in known}
    fnmr = {name: rates.fnmr[name] for name in known}
    lost = _lost_by_person(comparisons, evidence)
    seed = f"{parameters.seed}\0{axis}"
    groups = []
    for name in rates.cohorts:
        index = [comparisons.cohorts.index(name)] if name in comparisons.cohorts else []
        if index:
            at_target = misses_at_rate(seed, comparisons, index[0], parameters.target_fmr, lost)
        else:
            nothing = Bootstrapped(None, None, None, CONFIDENCE, "None of these people has an embedding.")
            at_target = MissesAtRate(parameters.target_fmr, None, nothing)
        lost_pairs = _lost_pairs(comparisons, evidence, evidence.cohort[axis], name)
        groups.append(Group(name, det_points(comparisons, index, lost_pairs), shift(comparisons, index), at_target))
    return Division(
        axis,
        rates,
        tuple(summary(fmr, fnmr, minimum)),
        tuple(differences({name: fmr[name] for name in enough})),
        tuple(differences({name: fnmr[name] for name in enough if fnmr[name].people >= minimum})),
        tuple(groups),
        tuple(_ratios(seed, comparisons, threshold, {name: fmr[name] for name in enough})),
        _without_excluded(comparisons, evidence, axis, threshold, parameters),
    )


def _ratios(seed: str, comparisons: Comparisons, threshold: int, fmr: Mapping[str, Rate]) -> list[RatioOf]:
    """Each cohort against the one with the lowest rate that has an error, at a confidence corrected for their number."""
    measured = {name: rate.value for name, rate in fmr.items() if rate.value}
    if len(measured) < 2:
        return []
    low = min(measured, key=lambda name: (measured[name], name))
    others = [name for name in fmr if name != low and fmr[name].trials]
    confidence = 1 - (1 - CONFIDENCE) / len(others)
    number = comparisons.cohorts.index
    return [
        RatioOf(name, low, ratio(seed, comparisons, threshold, number(name), number(low), confidence))
        for name in others
        if fmr[name].errors
    ]


def predictions(overall: CohortRates, divisions: Sequence[Division], parameters: Parameters) -> tuple[Prediction, ...]:
    """FPIR as it follows from false-match rates, for galleries of the sizes that are asked for."""
    bases: list[tuple[str, float | None]] = [("all pairs", overall.all_fmr.value)]
    for division in divisions:
        worst = division.worst(parameters.minimum_people)
        if worst:
            name, rate = worst
            bases.append((f"{name} (if all enrolled were of this cohort)", rate.value))
    return tuple(
        Prediction(size, basis, fmr, predicted_fpir(fmr, size))
        for basis, fmr in bases
        if fmr is not None
        for size in parameters.gallery_sizes
    )


def _searches(
    evidence: Evidence,
    overall: CohortRates,
    divisions: Sequence[Division],
    threshold: int,
    parameters: Parameters,
) -> list[SearchRates]:
    thresholds = [threshold + step for step in parameters.above_threshold if threshold + step <= 1_000_000]
    found = []
    for searches in evidence.searches:
        value = overall.all_fmr.value
        predicted = None if value is None else predicted_fpir(value, len(searches.enrolled))
        found.append(search_rates(searches, "", EVERYBODY, None, thresholds, parameters.list_sizes, predicted))
        for division in divisions:
            cohort = evidence.cohort[division.axis]
            mine = np.array([cohort[person] for person in searches.people])
            for name in division.rates.cohorts:
                found.append(
                    search_rates(
                        searches,
                        division.axis,
                        name,
                        mine == name,
                        thresholds,
                        parameters.list_sizes,
                        _predicted(division.rates, name, searches, cohort),
                    )
                )
    return found


def _predicted(rates: CohortRates, name: str, searches: Searches, cohort: Mapping[str, str]) -> float | None:
    """FPIR of people of a cohort in an edition, from the false-match rates with each cohort enrolled in it."""
    templates: dict[str, int] = {}
    for person in searches.enrolled:
        templates[cohort[person]] = templates.get(cohort[person], 0) + 1
    values = [rates.fmr[name, other].value for other in templates]
    known = [value for value in values if value is not None]
    return predicted_fpir_of_mix(known, list(templates.values())) if len(known) == len(values) else None


def _lookalikes(comparisons: Comparisons) -> list[Lookalike]:
    """The highest impostor scores, for a review of labels."""
    top = slice(LOOKALIKES)
    return [
        Lookalike(score, (comparisons.people[p], comparisons.people[q]), (i, j))
        for score, (p, q), (i, j) in zip(
            comparisons.tail_scores[top].tolist(),
            comparisons.tail_people[top].tolist(),
            comparisons.tail_images[top].tolist(),
            strict=True,
        )
    ]
