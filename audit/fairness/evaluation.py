"""One evaluation: benchmark photos or embeddings -> threshold on one half of the people, rates on the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audit.fairness.cohorts import UNKNOWN
from audit.fairness.comparisons import compare
from audit.fairness.disparity import Difference, Measure, differences, summary
from audit.fairness.rates import (
    CohortRates,
    PairRule,
    Rate,
    Threshold,
    choose_threshold,
    cohort_rates,
    predicted_fpir,
    split_people,
)
from audit.fairness.sets.rows import DatasetError
from audit.fairness.sets.samples import Samples

TARGET_FMR = 1e-3
MINIMUM_PEOPLE = 20
GALLERY_SIZES = (1_000, 10_000, 100_000, 300_000)


@dataclass(frozen=True)
class Progress:
    """How far a stage is: "read", "extract", "choose threshold", "compare" or "write"."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Parameters:
    """Everything that an evaluation depends on beside its samples."""

    axes: tuple[str, ...] = ()
    seed: int = 1
    target_fmr: float = TARGET_FMR
    pairs: PairRule = "within"
    fixed_threshold: int | None = None
    minimum_people: int = MINIMUM_PEOPLE
    gallery_sizes: tuple[int, ...] = GALLERY_SIZES


@dataclass(frozen=True)
class Division:
    """The rates of one way of dividing people ("" puts everybody into one cohort), and what they amount to."""

    axis: str
    rates: CohortRates
    measures: tuple[Measure, ...]
    fmr_differences: tuple[Difference, ...]
    fnmr_differences: tuple[Difference, ...]

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
class Result:
    """What was measured. `chosen_on` is 0 when the threshold was given."""

    parameters: Parameters
    threshold: Threshold
    chosen_on: int  # people
    reported_on: int
    overall: CohortRates
    divisions: tuple[Division, ...]
    predictions: tuple[Prediction, ...]


def evaluate(
    samples: Samples, parameters: Parameters | None = None, progress: Callable[[Progress], None] | None = None
) -> Result:
    """Measure. One global threshold is used for every cohort.

    Without a fixed threshold the people are dealt into two halves (by the first division, see `split_people`); the
    threshold is chosen on one and all rates come from the other. DatasetError, CohortError or ComparisonError when the
    set cannot carry that.
    """
    parameters = parameters or Parameters()
    tell = progress or (lambda _: None)
    axes = ("", *dict.fromkeys(parameters.axes))
    cohorts = {axis: samples.cohorts(axis) for axis in axes}
    primary = cohorts[axes[1] if len(axes) > 1 else ""]
    people = np.array(samples.people)
    if parameters.fixed_threshold is None:
        choosing, reporting = split_people(samples.people, primary, parameters.seed)
        mine = np.isin(people, list(choosing)) & samples.extracted
        if not mine.any() or not reporting:
            raise DatasetError("The set has too few people with an embedding to choose a threshold on half of them.")
        found = compare(
            samples.embeddings[mine],
            people[mine].tolist(),
            _pick(primary, mine),
            progress=lambda done, total: tell(Progress("choose threshold", done, total)),
        )
        try:
            threshold = choose_threshold(found, parameters.target_fmr, parameters.pairs)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        del found
        reported = np.isin(people, list(reporting))
    else:
        choosing = frozenset()
        threshold = Threshold(parameters.fixed_threshold, "fixed")
        reported = np.ones(len(people), dtype=bool)
    rates = {}
    for number, axis in enumerate(axes):

        def compared(done: int, total: int, before: int = number) -> None:
            tell(Progress("compare", before * total + done, len(axes) * total))

        rates[axis] = _rates(samples, cohorts[axis], reported, threshold.value, compared)
    divisions = tuple(_division(axis, rates[axis], parameters.minimum_people) for axis in axes[1:])
    return Result(
        parameters,
        threshold,
        len(choosing),
        len(set(people[reported].tolist())),
        rates[""],
        divisions,
        _predictions(rates[""], divisions, parameters),
    )


def _pick(values: Sequence[str], mask: np.ndarray) -> list[str]:
    return [value for value, wanted in zip(values, mask.tolist(), strict=True) if wanted]


def _rates(
    samples: Samples,
    cohorts: Sequence[str],
    reported: np.ndarray,
    threshold: int,
    progress: Callable[[int, int], None],
) -> CohortRates:
    usable = reported & samples.extracted
    if not usable.any():
        raise DatasetError("None of the people to report on has an embedding.")
    found = compare(
        samples.embeddings[usable],
        _pick(samples.people, usable),
        _pick(cohorts, usable),
        thresholds=[threshold],
        tail=0,
        progress=progress,
    )
    lost = reported & ~samples.extracted
    return cohort_rates(found, threshold, list(zip(_pick(samples.people, lost), _pick(cohorts, lost), strict=True)))


def _division(axis: str, rates: CohortRates, minimum_people: int) -> Division:
    known = [name for name in rates.cohorts if name != UNKNOWN]
    enough = [name for name in known if rates.within(name).people >= minimum_people]
    fmr = {name: rates.within(name) for name in known}
    fnmr = {name: rates.fnmr[name] for name in known}
    return Division(
        axis,
        rates,
        tuple(summary(fmr, fnmr, minimum_people)),
        tuple(differences({name: fmr[name] for name in enough})),
        tuple(differences({name: fnmr[name] for name in enough if fnmr[name].people >= minimum_people})),
    )


def _predictions(overall: CohortRates, divisions: Sequence[Division], parameters: Parameters) -> tuple[Prediction, ...]:
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
