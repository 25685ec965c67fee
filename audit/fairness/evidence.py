"""What the numbers of an evaluation are computed from: counts and scores of pairs and searches, and no embedding.

An evaluation has two halves. `gather` compares embeddings and gives an `Evidence`; `evaluation.conclude` turns an
Evidence and parameters into a Result, without embeddings, so anybody who is given the Evidence gets the same digits.
Where several workers share the comparisons, they use the plans below and the functions of `chunks`, and `assemble`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from audit.fairness.chunks import Plan, compare_chunk, plan
from audit.fairness.comparisons import Comparisons, merge
from audit.fairness.identification import Searches, default_sizes, editions, search
from audit.fairness.rates import PairRule, Threshold, choose_threshold, split_people
from audit.fairness.scores import Floats, Ints
from audit.fairness.sets.rows import DatasetError
from audit.fairness.sets.samples import Samples

TARGET_FMR = 1e-3
# From here on intervals hold what they promise, whatever the effect of single people: `simulation.minimum_people` of the
# study in docs/measurement/coverage.md.
MINIMUM_PEOPLE = 100
GALLERY_SIZES = (1_000, 10_000, 100_000, 300_000)
LIST_SIZES = (1, 5, 10, 20, 50, 100, 200)
ABOVE_THRESHOLD = (0, 20_000, 40_000, 60_000, 80_000, 100_000)

Stage = Literal["read", "extract", "choose threshold", "compare", "search", "write"]


@dataclass(frozen=True)
class Progress:
    """How far a stage is, in photos, pairs or searches."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Parameters:
    """Everything that an evaluation depends on beside its samples.

    axes            divisions: a column, or several joined by " x "; the first deals people into the two halves
    gallery_sizes   templates enrolled, for predictions
    edition_sizes   people enrolled in evaluation editions that are searched; empty: an eighth, a quarter and half
    list_sizes      candidates that a search may ask for
    above_threshold thresholds that a search may ask for, in millionths above the one of the evaluation
    excluded        pairs of people whose labels a review found wrong: rates are given with and without them
    """

    axes: tuple[str, ...] = ()
    seed: int = 1
    target_fmr: float = TARGET_FMR
    pairs: PairRule = "within"
    fixed_threshold: int | None = None
    minimum_people: int = MINIMUM_PEOPLE
    gallery_sizes: tuple[int, ...] = GALLERY_SIZES
    edition_sizes: tuple[int, ...] = ()
    list_sizes: tuple[int, ...] = LIST_SIZES
    above_threshold: tuple[int, ...] = ABOVE_THRESHOLD
    excluded: tuple[tuple[str, str], ...] = ()

    @property
    def divisions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.axes))


@dataclass(frozen=True, eq=False)
class Evidence:
    """The sufficient statistics of one evaluation.

    choosing   comparisons of the half the threshold is chosen on, by the cohorts of the first division; None when the
               threshold was given
    reporting  comparisons of the half that is reported on, by cells: what all divisions together tell apart
    cohort     division -> person of the reporting half -> cohort
    lost       person of the reporting half -> photos without an embedding
    searches   outcomes of searching evaluation editions made of the reporting half
    chosen_on  people of the other half, with or without an embedding
    """

    choosing: Comparisons | None
    reporting: Comparisons
    cohort: Mapping[str, Mapping[str, str]]
    lost: Mapping[str, int]
    searches: tuple[Searches, ...]
    chosen_on: int

    @property
    def people(self) -> int:
        """People who are reported on, also those none of whose photos gave an embedding."""
        return len(set(self.reporting.people) | set(self.lost))

    def divided_by(self, division: str) -> Comparisons:
        """The comparisons of the reporting half by the cohorts of a division ("": everybody together)."""
        if division:
            return self.reporting.divided_by(self.cohort[division])
        return self.reporting.divided_by(dict.fromkeys(self.reporting.people, EVERYBODY))

    def failed(self, division: str) -> list[tuple[str, str]]:
        """(person, cohort) of each photo that gave no embedding."""
        cohort = self.cohort[division] if division else dict.fromkeys(self.lost, EVERYBODY)
        return [(person, cohort[person]) for person, photos in self.lost.items() for _ in range(photos)]


EVERYBODY = "everybody"


class Halves:
    """A set divided for an evaluation: rows to choose a threshold on, rows to report on, and everybody's cohorts.

    DatasetError or CohortError when the set or the divisions cannot carry that.
    """

    def __init__(self, samples: Samples, parameters: Parameters) -> None:
        self.samples, self.parameters = samples, parameters
        divisions = parameters.divisions
        self.cohorts = {division: samples.cohorts(division) for division in ("", *divisions)}
        self.primary = self.cohorts[divisions[0] if divisions else ""]
        # What all divisions together tell apart; a label holds no control character, so these are unambiguous.
        self.cells = ["\x1f".join(labels) for labels in zip(*(self.cohorts[d] for d in divisions), strict=True)]
        if not divisions:
            self.cells = list(self.cohorts[""])
        _check_excluded(parameters.excluded, set(samples.people))
        people = np.array(samples.people)
        if parameters.fixed_threshold is None:
            choosing, reporting = split_people(samples.people, self.primary, parameters.seed)
            self.choosing = np.flatnonzero(np.isin(people, list(choosing)) & samples.extracted)
            if not len(self.choosing) or not reporting:
                raise DatasetError(
                    "The set has too few people with an embedding to choose a threshold on half of them."
                )
            self.chosen_on = len(choosing)
            self.reported = np.isin(people, list(reporting))
        else:
            self.choosing = np.empty(0, np.int64)
            self.chosen_on = 0
            self.reported = np.ones(len(people), dtype=bool)
        if not (self.reported & samples.extracted).any():
            raise DatasetError("None of the people to report on has an embedding.")

    def choosing_plan(self) -> Plan | None:
        """The comparisons that a threshold is chosen on; None when it was given."""
        if not len(self.choosing):
            return None
        return plan(self.samples.people, self.primary, rows=self.choosing)

    def threshold(self, choosing: Comparisons | None) -> Threshold:
        return pick_threshold(choosing, self.parameters)

    def reporting_plan(self, threshold: int) -> Plan:
        """The comparisons that are reported, with exact errors at this threshold."""
        rows = np.flatnonzero(self.reported & self.samples.extracted)
        return plan(self.samples.people, self.cells, rows=rows, thresholds=[threshold])

    def searches(self, progress: Callable[[int, int], None] | None = None) -> tuple[Searches, ...]:
        """Search evaluation editions of the reporting half in memory."""
        samples = self.samples
        rows: Ints = np.flatnonzero(self.reported)
        people = len({samples.people[row] for row in rows.tolist()})
        sizes = self.parameters.edition_sizes or default_sizes(people)
        vectors = _unit(samples.embeddings, samples.extracted)
        found = []
        wanted = editions(samples.people, samples.extracted, rows, sizes, self.parameters.seed)
        total = sum(len(edition.probes) for edition in wanted)
        for edition in wanted:
            found.append(search(vectors, samples.people, samples.extracted, edition))
            if progress:
                progress(sum(len(one.people) for one in found), total)
        return tuple(found)

    def assemble(
        self, choosing: Comparisons | None, reporting: Comparisons, searches: Sequence[Searches] = ()
    ) -> Evidence:
        samples = self.samples
        rows = np.flatnonzero(self.reported).tolist()
        lost: dict[str, int] = {}
        for row in rows:
            if not samples.extracted[row]:
                lost[samples.people[row]] = lost.get(samples.people[row], 0) + 1
        cohort = {
            division: {samples.people[row]: self.cohorts[division][row] for row in rows}
            for division in self.parameters.divisions
        }
        return Evidence(choosing, reporting, cohort, dict(sorted(lost.items())), tuple(searches), self.chosen_on)


def _check_excluded(excluded: Sequence[tuple[str, str]], people: Container[str]) -> None:
    """DatasetError when a pair that is to be left out has somebody who is not in the set: rates without it would be a lie."""
    for pair in excluded:
        if unknown := [person for person in pair if person not in people]:
            raise DatasetError(
                f'The set has nobody called "{unknown[0]}", who is named in a pair to leave out. Correct the pair or remove it.'
            )


def pick_threshold(choosing: Comparisons | None, parameters: Parameters) -> Threshold:
    """The threshold of an evaluation: the given one, or chosen on these comparisons. DatasetError when there is none."""
    if parameters.fixed_threshold is not None:
        return Threshold(parameters.fixed_threshold, "fixed")
    if choosing is None:
        raise DatasetError("A threshold is chosen on comparisons; there are none.")
    try:
        return choose_threshold(choosing, parameters.target_fmr, parameters.pairs)
    except ValueError as error:
        raise DatasetError(str(error)) from error


def gather(samples: Samples, parameters: Parameters, progress: Callable[[Progress], None] | None = None) -> Evidence:
    """All of it in this process. DatasetError, CohortError or ComparisonError when the set cannot carry that."""
    tell = progress or (lambda _: None)
    halves = Halves(samples, parameters)
    work = halves.choosing_plan()
    choosing = _compared(samples, work, "choose threshold", tell) if work else None
    reporting = _compared(samples, halves.reporting_plan(halves.threshold(choosing).value), "compare", tell)
    searches = halves.searches(lambda done, total: tell(Progress("search", done, total)))
    return halves.assemble(choosing, reporting, searches)


def _compared(samples: Samples, work: Plan, stage: Stage, tell: Callable[[Progress], None]) -> Comparisons:
    vectors = work.arrange(samples.embeddings)
    done = 0

    def count(pairs: int) -> None:
        nonlocal done
        done += pairs
        tell(Progress(stage, done, work.pairs))

    return merge(work, [compare_chunk(vectors, work, chunk, count) for chunk in work.chunks])


def _unit(embeddings: Floats, extracted: npt.NDArray[np.bool_]) -> Floats:
    norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    norms[~extracted] = 1
    return np.asarray(embeddings / norms[:, None], dtype=np.float32)
