"""Searches of evaluation editions: what a search of a gallery returns, measured on benchmark people.

An evaluation edition enrols some people of a benchmark set and searches it with photos of them (mated searches) and of
all others (non-mated ones), by an exact scan. N is the number of templates enrolled; the people are given beside it.

FPIR(N, T)    = non-mated searches with a candidate at or above T / non-mated searches
FNIR(N, R, T) = mated searches whose person is not among the first R candidates at or above T / mated searches

A photo that gives no embedding cannot be searched: a mated search with it is a miss, a non-mated one finds nobody.
Intervals are clustered by the person searched for. Never run on an operational gallery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.fairness.rates import Rate, rate_of_people
from audit.fairness.scores import SCALE, Floats, Ints, integer_scores

NOBODY = -SCALE - 1  # the score of a candidate that is not there: below every threshold
FPIR_TARGETS = (0.003, 0.001)
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Edition:
    """Who is enrolled and what is searched for, as rows of the set. Templates are in the order of `enrolled`."""

    name: str
    enrolled: Ints
    probes: Ints


@dataclass(frozen=True, eq=False)
class Searches:
    """The outcome of every search of one edition. Arrays have one value per search.

    `mate_rank` counts candidates of any threshold from 1, other people with the same score first; 0 for a mated search
    whose person was not returned at all (see `longest`).
    """

    name: str
    enrolled: tuple[str, ...]  # the person of each template
    people: tuple[str, ...]  # the person searched for
    mated: npt.NDArray[np.bool_]
    mate_score: Ints
    mate_rank: Ints
    best_other: Ints  # the highest score of somebody else; of a mated search only where the list was long enough
    longest: int  # candidates that a search returned at most: ranks beyond are not known

    @property
    def enrolled_people(self) -> int:
        return len(set(self.enrolled))


def editions(
    people: Sequence[str], extracted: npt.NDArray[np.bool_], rows: Ints, sizes: Sequence[int], seed: int
) -> list[Edition]:
    """Evaluation editions of so many people each, one inside the next; the largest also with all photos but one of each
    person enrolled, so that N differs in people and in templates.

    people, extracted: of all photos; rows: those that may be used. People are enrolled in the order of SHA-256(seed,
    person), each with the first photo that gives an embedding; sizes that leave nobody outside are left out.
    """
    photos: dict[str, list[int]] = {}
    for row in rows.tolist():
        photos.setdefault(people[row], []).append(row)
    usable = [person for person, mine in photos.items() if extracted[mine].any()]
    ordered = sorted(usable, key=lambda person: hashlib.sha256(f"{seed}\0edition\0{person}".encode()).digest())
    wanted = sorted({size for size in sizes if 0 < size < len(photos)})
    found: list[Edition] = []
    for size in wanted:
        for every in (False, True) if size == wanted[-1] else (False,):
            enrolled: list[int] = []
            for person in ordered[:size]:
                with_embedding = [row for row in photos[person] if extracted[row]]
                enrolled += with_embedding[: max(1, len(with_embedding) - 1) if every else 1]
            name = f"{size} people, {'all photos but one' if every else 'one photo each'}"
            probes = np.setdiff1d(np.sort(rows), enrolled)
            if not found or len(enrolled) != len(found[-1].enrolled):
                found.append(Edition(name, np.array(enrolled, np.int64), probes))
    return found


def default_sizes(people: int) -> tuple[int, ...]:
    """An eighth, a quarter and half of the people of a set."""
    return tuple(sorted({people // 8, people // 4, people // 2} - {0}))


def search(vectors: Floats, people: Sequence[str], extracted: npt.NDArray[np.bool_], edition: Edition) -> Searches:
    """Search an edition in memory, exactly. vectors: (n, d) unit vectors of all photos; scores in float64."""
    gallery = vectors[edition.enrolled].astype(np.float64)
    enrolled = np.array([people[row] for row in edition.enrolled.tolist()])
    names = [people[row] for row in edition.probes.tolist()]
    count = len(names)
    mated = np.isin(names, enrolled)
    mate_score, best_other = np.full(count, NOBODY, np.int64), np.full(count, NOBODY, np.int64)
    mate_rank = np.zeros(count, np.int64)
    searched = np.flatnonzero(extracted[edition.probes])
    for start in range(0, len(searched), _BLOCK):
        part = searched[start : start + _BLOCK]
        scores = integer_scores(vectors[edition.probes[part]].astype(np.float64) @ gallery.T)
        mate = np.array(names)[part][:, None] == enrolled[None, :]
        others = np.where(mate, NOBODY, scores)
        best_other[part] = others.max(axis=1)
        score = np.where(mate, scores, NOBODY).max(axis=1)
        mate_score[part] = score
        mate_rank[part] = np.where(mate.any(axis=1), 1 + (others >= score[:, None]).sum(axis=1), 0)
    return Searches(
        edition.name, tuple(enrolled.tolist()), tuple(names), mated, mate_score, mate_rank, best_other, len(gallery)
    )


def from_lists(
    edition: Edition, people: Sequence[str], lists: Iterable[Sequence[tuple[int, int]]], longest: int
) -> Searches:
    """The same from candidate lists of a database: for each probe the (place in `enrolled`, integer score) of at most
    `longest` candidates, the highest first. Other photos of the person may fill a list, so of a mated search the
    highest score of somebody else may stay unknown; no rate needs it."""
    enrolled = [people[row] for row in edition.enrolled.tolist()]
    known = set(enrolled)
    names, mated, mate_score, mate_rank, best_other = [], [], [], [], []
    for row, candidates in zip(edition.probes.tolist(), lists, strict=True):
        person = people[row]
        mine = [score for place, score in candidates if enrolled[place] == person]
        others = [score for place, score in candidates if enrolled[place] != person]
        names.append(person)
        mated.append(person in known)
        mate_score.append(max(mine, default=NOBODY))
        mate_rank.append(1 + sum(score >= mine[0] for score in others) if mine else 0)
        best_other.append(max(others, default=NOBODY))
    return Searches(
        edition.name,
        tuple(enrolled),
        tuple(names),
        np.array(mated, bool),
        np.array(mate_score, np.int64),
        np.array(mate_rank, np.int64),
        np.array(best_other, np.int64),
        longest,
    )


@dataclass(frozen=True)
class FpirAt:
    """False-positive identification rate at a threshold (millionths)."""

    threshold: int
    rate: Rate


@dataclass(frozen=True)
class FnirAt:
    """False-negative identification rate for a list size and a threshold (millionths)."""

    list_size: int
    threshold: int
    rate: Rate


@dataclass(frozen=True)
class FnirAtFpir:
    """Misses at the lowest threshold whose FPIR, of all people together, does not exceed the target.

    `shown` is False when there are too few non-mated searches to show a rate as low as the target.
    """

    target: float
    threshold: int
    shown: bool
    fpir: Rate
    fnir: tuple[FnirAt, ...]


@dataclass(frozen=True)
class SearchRates:
    """Rates of one cohort of people searched for ("everybody" for all) in one evaluation edition.

    `predicted` is FPIR as it follows from the false-match rates of this cohort with those enrolled, taken as
    independent: to be held beside `fpir` at the same threshold. None where a rate is not measurable.
    """

    edition: str
    enrolled_people: int
    templates: int
    division: str
    cohort: str
    fpir: tuple[FpirAt, ...]
    fnir: tuple[FnirAt, ...]
    at_fpir: tuple[FnirAtFpir, ...]
    predicted: float | None


def fpir(searches: Searches, threshold: int, people: npt.NDArray[np.bool_] | None = None) -> Rate:
    """FPIR of the searches that `people` marks (default: all)."""
    chosen = ~searches.mated if people is None else ~searches.mated & people
    return _by_person(searches, chosen, searches.best_other >= threshold)


def fnir(searches: Searches, list_size: int, threshold: int, people: npt.NDArray[np.bool_] | None = None) -> Rate:
    """FNIR of the searches that `people` marks. ValueError for a list size beyond the ranks that are known."""
    if list_size > searches.longest and searches.longest < len(searches.enrolled):
        raise ValueError(f"These searches returned {searches.longest} candidates: no longer list can be measured.")
    chosen = searches.mated if people is None else searches.mated & people
    found = (searches.mate_rank > 0) & (searches.mate_rank <= list_size) & (searches.mate_score >= threshold)
    return _by_person(searches, chosen, ~found)


def threshold_for_fpir(searches: Searches, target: float) -> tuple[int, bool]:
    """(lowest threshold with an FPIR of at most the target, whether so low a rate can be shown at all)."""
    scores = np.sort(searches.best_other[~searches.mated])[::-1]
    allowed = int(target * len(scores) + 1e-9)
    if not len(scores):
        return SCALE + 1, False
    return (int(scores[allowed]) + 1 if allowed < len(scores) else -SCALE), allowed >= 1


def search_rates(
    searches: Searches,
    division: str,
    cohort: str,
    marked: npt.NDArray[np.bool_] | None,
    thresholds: Sequence[int],
    list_sizes: Sequence[int],
    predicted: float | None,
) -> SearchRates:
    """Every rate of one cohort of people searched for."""
    known = searches.longest >= len(searches.enrolled)
    sizes = [size for size in list_sizes if known or size <= searches.longest] or [searches.longest]

    def misses(threshold: int) -> tuple[FnirAt, ...]:
        return tuple(FnirAt(size, threshold, fnir(searches, size, threshold, marked)) for size in sizes)

    at_fpir = []
    for target in FPIR_TARGETS:
        threshold, shown = threshold_for_fpir(searches, target)
        at_fpir.append(FnirAtFpir(target, threshold, shown, fpir(searches, threshold, marked), misses(threshold)))
    return SearchRates(
        searches.name,
        searches.enrolled_people,
        len(searches.enrolled),
        division,
        cohort,
        tuple(FpirAt(threshold, fpir(searches, threshold, marked)) for threshold in thresholds),
        tuple(row for threshold in thresholds for row in misses(threshold)),
        tuple(at_fpir),
        predicted,
    )


def _by_person(searches: Searches, chosen: npt.NDArray[np.bool_], error: npt.NDArray[np.bool_]) -> Rate:
    names = np.array(searches.people)[chosen]
    if not len(names):
        return Rate(0, 0, 0, 0)
    _, person, trials = np.unique(names, return_inverse=True, return_counts=True)
    errors = np.bincount(person, weights=error[chosen], minlength=len(trials)).astype(np.int64)
    return rate_of_people(errors, trials.astype(np.int64))
