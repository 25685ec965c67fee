"""The outcome of comparing every image of a benchmark set with every other one: counts, and no embedding.

What is kept
- per pair of cohorts a histogram of integer scores of impostor pairs on a fixed grid of GRID_STEP millionths, and per
  cohort one of genuine pairs: counts at every threshold that is a multiple of GRID_STEP;
- the exact tails: the highest impostor scores and the lowest genuine ones with their two images;
- at thresholds named beforehand the exact false matches of each pair of people that has any, and the misses of each
  person: all that clustered intervals, bootstraps and other divisions of the same people need.

Memory does not grow with the number of pairs. How pairs are compared is in `audit.fairness.chunks`, what a score is in
`audit.fairness.scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audit.fairness.chunks import (
    BLOCK,
    MAX_ERROR_PAIRS,
    TAIL,
    Plan,
    compare_chunk,
    floor_of,
    plan,
    too_many_errors,
)
from audit.fairness.partials import Partial
from audit.fairness.scores import BINS, NOTHING, SCALE, ComparisonError, Histogram, Ints


@dataclass(frozen=True, eq=False)
class Sums:
    """Exact counts at one threshold. People are numbered as in `Comparisons.people`."""

    threshold: int
    pairs: Ints  # (m, 2) people with at least one false match between them, the lower number first, in order
    errors: Ints  # (m,) their false matches
    false_non_matches: Ints  # (people,): genuine pairs below the threshold
    near: int  # impostor and genuine pairs whose integer score is within 1 of the threshold


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Counts over all pairs. A tail holds every pair at or beyond its `exact` score, impostor pairs in descending and
    genuine pairs in ascending order of score; images are rows of the embeddings as they were given."""

    people: tuple[str, ...]
    cohorts: tuple[str, ...]
    cohort_of: Ints  # (people,) index into cohorts
    images_of: Ints  # (people,) images compared
    impostor: Mapping[tuple[int, int], Histogram]  # (a, b) with a <= b; without pairs: not there
    genuine: tuple[Histogram, ...]  # by cohort
    tail_scores: Ints
    tail_images: Ints  # (len(tail), 2)
    tail_people: Ints  # (len(tail), 2)
    tail_exact_from: int
    genuine_scores: Ints
    genuine_images: Ints  # (len, 2)
    genuine_people: Ints  # (len,)
    genuine_exact_to: int
    sums: Mapping[int, Sums]

    @property
    def tail_cohorts(self) -> Ints:
        """(len(tail), 2) cohorts of the tail's pairs."""
        return self.cohort_of[self.tail_people]

    def impostor_pairs(self, a: int, b: int) -> int:
        """Impostor pairs between cohort a and cohort b (within one when a == b)."""
        size_a, size_b = self.images_of[self.cohort_of == a], self.images_of[self.cohort_of == b]
        if a == b:
            return int((int(size_a.sum()) ** 2 - int((size_a**2).sum())) // 2)
        return int(size_a.sum()) * int(size_b.sum())

    def genuine_pairs(self, cohort: int) -> int:
        size = self.images_of[self.cohort_of == cohort]
        return int((size * (size - 1) // 2).sum())

    def impostor_histogram(self, a: int, b: int) -> Histogram:
        return self.impostor.get((min(a, b), max(a, b)), NOTHING)

    def impostors_at(self, a: int, b: int, threshold: int) -> int:
        """Impostor pairs of cohorts a and b at or above a threshold on the grid or in the exact tail."""
        if threshold >= self.tail_exact_from:
            cohorts = np.sort(self.tail_cohorts, axis=1)
            wanted = (min(a, b), max(a, b))
            return int(((cohorts == wanted).all(axis=1) & (self.tail_scores >= threshold)).sum())
        return self.impostor_histogram(a, b).at_or_above(threshold)

    def genuine_at(self, cohort: int, threshold: int) -> int:
        """Genuine pairs of a cohort at or above a threshold on the grid."""
        return self.genuine[cohort].at_or_above(threshold)

    def false_matches(self, threshold: int) -> Ints:
        """(people, cohorts): impostor pairs of a person with a cohort at or above the threshold."""
        found, groups = self.sums[threshold], len(self.cohorts)
        counts = np.zeros(len(self.people) * groups, np.int64)
        for one, other in ((0, 1), (1, 0)):
            place = found.pairs[:, one] * groups + self.cohort_of[found.pairs[:, other]]
            counts += np.bincount(place, weights=found.errors, minlength=len(counts)).astype(np.int64)
        return counts.reshape(len(self.people), groups)

    def squares(self, threshold: int) -> Ints:
        """(cohorts, cohorts), symmetric: sum over pairs of people of (their false matches)^2."""
        return self._by_cohorts(threshold, self.sums[threshold].errors ** 2)

    def weighted(self, threshold: int) -> Ints:
        """(cohorts, cohorts), symmetric: sum over pairs of people of false matches * their pairs of images."""
        found = self.sums[threshold]
        return self._by_cohorts(threshold, found.errors * self.images_of[found.pairs].prod(axis=1))

    def _by_cohorts(self, threshold: int, values: Ints) -> Ints:
        table = np.zeros((len(self.cohorts), len(self.cohorts)), np.int64)
        cohorts = self.cohort_of[self.sums[threshold].pairs]
        np.add.at(table, (cohorts[:, 0], cohorts[:, 1]), values)
        return table + table.T - np.diag(np.diag(table))

    def divided_by(self, cohort: Mapping[str, str]) -> Comparisons:
        """The same comparisons with people divided into other cohorts, each a union of the present ones.

        cohort: person -> new cohort. ComparisonError when a present cohort would be torn: its counts cannot be.
        """
        names = tuple(sorted({cohort[person] for person in self.people}))
        number = {name: index for index, name in enumerate(names)}
        cohort_of = np.array([number[cohort[person]] for person in self.people], np.int64)
        new = np.full(len(self.cohorts), -1, np.int64)
        new[self.cohort_of] = cohort_of
        if not (new[self.cohort_of] == cohort_of).all():
            torn = self.cohorts[int(self.cohort_of[np.flatnonzero(new[self.cohort_of] != cohort_of)[0]])]
            raise ComparisonError(f"The cohort {torn} cannot be divided any further: compare again.")
        impostor: dict[tuple[int, int], Ints] = {}
        for (a, b), histogram in self.impostor.items():
            key = (int(min(new[a], new[b])), int(max(new[a], new[b])))
            histogram.add_to(impostor.setdefault(key, np.zeros(BINS, np.int64)))
        genuine = np.zeros((len(names), BINS), np.int64)
        for a, histogram in enumerate(self.genuine):
            histogram.add_to(genuine[new[a]])
        return replace(
            self,
            cohorts=names,
            cohort_of=cohort_of,
            impostor={key: Histogram.of(counts) for key, counts in impostor.items()},
            genuine=tuple(Histogram.of(counts) for counts in genuine),
        )


def compare(
    embeddings: npt.ArrayLike,
    people: Sequence[str],
    cohorts: Sequence[str],
    *,
    rows: Ints | None = None,
    thresholds: Sequence[int] = (),
    tail: int = TAIL,
    block: int = BLOCK,
    progress: Callable[[int, int], None] | None = None,
) -> Comparisons:
    """Compare all n(n-1)/2 pairs of n embeddings (n, d); people and cohorts name the person and group of each row.

    The whole of `plan`, `compare_chunk` and `merge` in this process. `progress(done, total)` counts pairs.
    ComparisonError when the set cannot be compared.
    """
    table = np.asarray(embeddings)
    if table.ndim == 2 and len(table) != len(people):
        raise ComparisonError("Every embedding needs one person and one cohort.")
    work = plan(people, cohorts, rows=rows, thresholds=thresholds, tail=tail, block=block)
    vectors = work.arrange(table)
    done = 0

    def count(pairs: int) -> None:
        nonlocal done
        done += pairs
        if progress:
            progress(done, work.pairs)

    return merge(work, [compare_chunk(vectors, work, chunk, count) for chunk in work.chunks])


def merge(work: Plan, partials: Iterable[Partial]) -> Comparisons:
    """Add up the partials of a plan, in any order, to the same bits; a chunk that comes twice counts once.

    ComparisonError when one is missing, is of another plan, or there are more errors than can be kept.
    """
    sums = _Adding(work)
    for partial in partials:
        sums.add(partial)
    return sums.result()


class _Adding:
    """Partials while they are added; holds them in the form of the result, so partials may be read one by one."""

    def __init__(self, work: Plan) -> None:
        self.work = work
        self.seen: set[int] = set()
        self.margin = 0
        self.impostor: dict[tuple[int, int], Histogram] = {}
        self.genuine = np.zeros((len(work.cohorts), BINS), np.int64)
        self.tails: dict[str, list[tuple[Ints, Ints]]] = {"highest": [], "lowest": []}
        self.pairs: dict[int, list[Ints]] = {threshold: [] for threshold in work.thresholds}
        self.errors: dict[int, list[Ints]] = {threshold: [] for threshold in work.thresholds}
        self.missed = {threshold: np.zeros(len(work.people), np.int64) for threshold in work.thresholds}
        self.near = dict.fromkeys(work.thresholds, 0)

    def add(self, partial: Partial) -> None:
        if partial.plan != self.work.digest:
            raise ComparisonError("The result of a chunk belongs to another comparison. Compare it again.")
        if partial.chunk in self.seen:
            return
        self.seen.add(partial.chunk)
        self.margin = max(self.margin, partial.margin)
        for key, histogram in partial.impostor.items():
            self.impostor[key] = _sum(self.impostor[key], histogram) if key in self.impostor else histogram
        for cohort, histogram in partial.genuine.items():
            histogram.add_to(self.genuine[cohort])
        for name, kept in (("highest", partial.highest), ("lowest", partial.lowest)):
            self.tails[name].append((kept.scores.astype(np.int64), kept.images))
        for threshold, found in partial.at.items():
            self.pairs[threshold].append(found.pairs.astype(np.int64))
            self.errors[threshold].append(found.errors.astype(np.int64))
            self.missed[threshold][found.missed[:, 0]] += found.missed[:, 1]
            self.near[threshold] += found.near
            if sum(map(len, self.errors[threshold])) > MAX_ERROR_PAIRS:
                raise too_many_errors(threshold)

    def result(self) -> Comparisons:
        work = self.work
        missing = [chunk.number for chunk in work.chunks if chunk.number not in self.seen]
        if missing:
            raise ComparisonError(f"{len(missing)} of {len(work.chunks)} chunks have not been compared yet.")
        impostors = np.zeros(BINS, np.int64)
        for histogram in self.impostor.values():
            histogram.add_to(impostors)
        high, tail_scores, tail = self._tail("highest", impostors)
        low, genuine_scores, genuine = self._tail("lowest", self.genuine.sum(axis=0)[::-1])
        person_of = work.person_of
        return Comparisons(
            work.people,
            work.cohorts,
            work.cohort_of,
            work.images_of,
            dict(sorted(self.impostor.items())),
            tuple(Histogram.of(counts) for counts in self.genuine),
            tail_scores,
            work.order[tail],
            person_of[tail],
            high,
            genuine_scores,
            work.order[genuine],
            person_of[genuine[:, 0]],
            -low,
            {threshold: self._sums(threshold) for threshold in work.thresholds},
        )

    def _tail(self, name: str, bins: Ints) -> tuple[int, Ints, Ints]:
        """(exact from, scores, places in the order of comparison), the most telling first; "lowest" counts negated."""
        sign = 1 if name == "highest" else -1
        scores = np.concatenate([np.empty(0, np.int64), *(s for s, _ in self.tails[name])])
        images = np.concatenate([np.empty((0, 2), np.int64), *(i for _, i in self.tails[name])])
        floor = floor_of(bins, self.work.tail)
        # A pair just below the floor in float32 may belong above it: exact only a margin higher, unless all is kept.
        exact_from = -SCALE if floor < -SCALE else min(floor + self.margin, SCALE + 1)
        keep = np.flatnonzero(sign * scores >= exact_from) if self.work.tail else np.empty(0, np.int64)
        images = images[keep]
        given = self.work.order[images]
        swap = given[:, 0] > given[:, 1]
        images[swap], given[swap] = images[swap, ::-1], given[swap, ::-1]
        order = np.lexsort((given[:, 1], given[:, 0], -sign * scores[keep]))
        return exact_from, scores[keep][order], images[order]

    def _sums(self, threshold: int) -> Sums:
        pairs = np.concatenate([np.empty((0, 2), np.int64), *self.pairs[threshold]])
        errors = np.concatenate([np.empty(0, np.int64), *self.errors[threshold]])
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        return Sums(threshold, pairs[order], errors[order], self.missed[threshold], self.near[threshold])


def _sum(one: Histogram, other: Histogram) -> Histogram:
    first = min(one.first, other.first)
    last = max(one.first + len(one.counts), other.first + len(other.counts))
    counts = np.zeros(last - first, np.int64)
    for histogram in (one, other):
        counts[histogram.first - first : histogram.first - first + len(histogram.counts)] += histogram.counts
    return Histogram(first, counts)
