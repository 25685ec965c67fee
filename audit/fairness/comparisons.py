"""All pairs of a benchmark set compared once, in blocks, into counts. Memory does not grow with the number of pairs.

The rule everywhere: the score of a pair is the cosine of its embeddings, the integer score is round(score x 10^6), and
a pair is at or above a threshold (an integer, millionths) iff integer score >= threshold.

What is kept
- per pair of cohorts a histogram of integer scores of impostor pairs on a fixed grid of GRID_STEP millionths, and per
  cohort one of genuine pairs: counts at every threshold that is a multiple of GRID_STEP;
- the exact tail: the highest impostor scores with their two images;
- at thresholds named beforehand the exact counts and the per-person sums that clustered intervals need.

Products are float32 matrix products, whose last bits depend on block shape, threads and processor. A float32 dot
product of unit vectors of dimension d is off by at most d * 2^-24, so every pair that close to a named threshold, and
every pair of the tail, is computed again in float64: those numbers are the same on every machine. Histogram counts may
move by the pairs that lie on an edge of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SCALE = 1_000_000
GRID_STEP = 100
BINS = 2 * SCALE // GRID_STEP + 1
BLOCK = 2048  # images per side of a block: 16 MiB of float32 scores
TAIL = 200_000
MAX_COHORTS = 50
MAX_IMAGES_PER_PERSON = 4096
_NEVER = np.int32(-4 * SCALE)  # below every score: marks what is not an impostor pair
_SETTLE_CHUNK = 8192


class ComparisonError(ValueError):
    """The embeddings cannot be compared; the message says why in a sentence."""


@dataclass(frozen=True)
class Sums:
    """Exact counts at one threshold. People are numbered as in `Comparisons.people`, cohorts as in `.cohorts`."""

    threshold: int
    false_matches: Ints  # (people, cohorts): impostor pairs of this person with that cohort at or above the threshold
    squares: Ints  # (cohorts, cohorts), symmetric: sum over pairs of people of (their false matches)^2
    weighted: Ints  # (cohorts, cohorts), symmetric: sum over pairs of people of false matches * their pairs of images
    false_non_matches: Ints  # (people,): genuine pairs below the threshold
    near: int  # impostor and genuine pairs whose integer score is within 1 of the threshold


@dataclass(frozen=True)
class Comparisons:
    """The outcome of comparing every image with every other one."""

    people: tuple[str, ...]
    cohorts: tuple[str, ...]
    cohort_of: Ints  # (people,) index into cohorts
    images_of: Ints  # (people,) images compared
    impostor: dict[tuple[int, int], Ints]  # (a, b) with a <= b -> (BINS,)
    genuine: Ints  # (cohorts, BINS)
    tail_scores: Ints  # descending integer scores of impostor pairs
    tail_images: Ints  # (len(tail), 2) rows of the embeddings as they were given
    tail_cohorts: Ints  # (len(tail), 2)
    tail_exact_from: int  # the tail holds every impostor pair with an integer score at or above this
    sums: dict[int, Sums]

    def impostor_pairs(self, a: int, b: int) -> int:
        """Impostor pairs between cohort a and cohort b (within one when a == b)."""
        size_a, size_b = self.images_of[self.cohort_of == a], self.images_of[self.cohort_of == b]
        if a == b:
            return int((int(size_a.sum()) ** 2 - int((size_a**2).sum())) // 2)
        return int(size_a.sum()) * int(size_b.sum())

    def impostors_at(self, a: int, b: int, threshold: int) -> int:
        """Impostor pairs of cohorts a and b at or above a threshold on the grid or in the exact tail."""
        key = (min(a, b), max(a, b))
        if threshold >= self.tail_exact_from:
            cohorts = np.sort(self.tail_cohorts, axis=1)
            return int(((cohorts == key).all(axis=1) & (self.tail_scores >= threshold)).sum())
        return at_or_above(self.impostor[key], threshold) if key in self.impostor else 0

    def genuine_at(self, cohort: int, threshold: int) -> int:
        """Genuine pairs of a cohort at or above a threshold on the grid."""
        return at_or_above(self.genuine[cohort], threshold)


def at_or_above(histogram: Ints, threshold: int) -> int:
    """Pairs at or above a threshold that is a multiple of GRID_STEP. ValueError for another one."""
    if threshold % GRID_STEP:
        raise ValueError(f"A histogram counts at multiples of {GRID_STEP} millionths only, not at {threshold}.")
    return int(histogram[max((threshold + SCALE) // GRID_STEP, 0) :].sum())


def unit_vectors(embeddings: npt.ArrayLike) -> Floats:
    """(n, d) embeddings scaled to length 1 as a new float32 array. ComparisonError when one is not finite or zero."""
    vectors = np.array(embeddings, dtype=np.float32)
    if vectors.ndim != 2 or not vectors.size:
        raise ComparisonError("Embeddings must be a table with one row per image and one column per dimension.")
    for start in range(0, len(vectors), BLOCK):  # in pieces: float64 norms without a float64 copy of everything
        part = vectors[start : start + BLOCK].astype(np.float64)
        norms = np.sqrt((part * part).sum(axis=1))
        bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
        if len(bad):
            raise ComparisonError(f"Embedding {start + int(bad[0]) + 1} is zero or holds a value that is not a number.")
        vectors[start : start + BLOCK] = part / norms[:, None]
    return vectors


def compare(
    embeddings: npt.ArrayLike,
    people: Sequence[str],
    cohorts: Sequence[str],
    *,
    thresholds: Sequence[int] = (),
    tail: int = TAIL,
    block: int = BLOCK,
    progress: Callable[[int, int], None] | None = None,
) -> Comparisons:
    """Compare all n(n-1)/2 pairs of n embeddings (n, d); people and cohorts name the person and group of each row.

    `progress(done, total)` counts pairs. ComparisonError when a person has two cohorts, there are more than
    MAX_COHORTS cohorts or more than MAX_IMAGES_PER_PERSON images of one person.
    """
    work = _Work(unit_vectors(embeddings), people, cohorts, thresholds, tail)
    blocks = list(work.blocks(block))
    total = len(work.vectors) * (len(work.vectors) - 1) // 2
    done = 0
    for row, (first, last) in enumerate(blocks):
        for other_first, other_last in blocks[row:]:
            work.add(first, last, other_first, other_last)
            rows = last - first
            done += rows * (rows - 1) // 2 if other_first == first else rows * (other_last - other_first)
        if progress:
            progress(done, total)
    return work.result()


class _Work:
    """The counts while they grow. Images are sorted by cohort and person, and a block never cuts a person or mixes
    cohorts, so a block belongs to one pair of cohorts and holds all pairs of the people in it."""

    def __init__(
        self, vectors: Floats, people: Sequence[str], cohorts: Sequence[str], thresholds: Sequence[int], tail: int
    ) -> None:
        if not len(vectors) == len(people) == len(cohorts):
            raise ComparisonError("Every embedding needs one person and one cohort.")
        self.cohorts = tuple(sorted(set(cohorts)))
        if len(self.cohorts) > MAX_COHORTS:
            raise ComparisonError(f"{len(self.cohorts)} cohorts are too many to compare: at most {MAX_COHORTS}.")
        cohort_of_person: dict[str, str] = {}
        for person, cohort in zip(people, cohorts, strict=True):
            if cohort_of_person.setdefault(person, cohort) != cohort:
                raise ComparisonError(f"Person {person} is in two cohorts: {cohort_of_person[person]} and {cohort}.")
        self.people = tuple(sorted(cohort_of_person, key=lambda person: (cohort_of_person[person], person)))
        number = {person: index for index, person in enumerate(self.people)}
        person_of = np.fromiter((number[person] for person in people), np.int64, len(people))
        self.order = np.argsort(person_of, kind="stable")
        self.vectors = vectors[self.order]
        self.person_of = person_of[self.order]
        cohort_number = {cohort: index for index, cohort in enumerate(self.cohorts)}
        self.cohort_of = np.array([cohort_number[cohort_of_person[person]] for person in self.people], np.int64)
        self.images_of = np.bincount(self.person_of, minlength=len(self.people)).astype(np.int64)
        worst = int(self.images_of.argmax())
        if self.images_of[worst] > MAX_IMAGES_PER_PERSON:
            raise ComparisonError(
                f"Person {self.people[worst]} has {self.images_of[worst]} images: at most {MAX_IMAGES_PER_PERSON}."
            )
        groups = len(self.cohorts)
        self.impostor: dict[tuple[int, int], Ints] = {}
        self.genuine = np.zeros((groups, BINS), np.int64)
        self.sums = {
            threshold: Sums(
                threshold,
                np.zeros((len(self.people), groups), np.int64),
                np.zeros((groups, groups), np.int64),
                np.zeros((groups, groups), np.int64),
                np.zeros(len(self.people), np.int64),
                0,
            )
            for threshold in sorted(set(thresholds))
        }
        self.near = dict.fromkeys(self.sums, 0)
        # Dot product error, the rounding of the product with 10^6, and half a millionth on either side.
        self.margin = math.ceil(self.vectors.shape[1] * 2.0**-24 * SCALE) + 2
        self.tail = tail
        self.tail_floor = -SCALE
        self.tail_parts: list[tuple[npt.NDArray[np.int32], Ints, Ints]] = []
        self.everything = np.zeros(BINS, np.int64)
        self.scores = np.empty(0, np.float32)

    def blocks(self, size: int) -> Iterator[tuple[int, int]]:
        """Ranges of images of one cohort, whole people only, of about `size` images."""
        ends = np.cumsum(self.images_of)
        first = last = 0
        for person, end in enumerate(ends.tolist()):
            new_cohort = person > 0 and self.cohort_of[person] != self.cohort_of[person - 1]
            if last > first and (new_cohort or end - first > size):
                yield first, last
                first = last
            last = end
        yield first, last

    def add(self, first: int, last: int, other_first: int, other_last: int) -> None:
        rows, columns = last - first, other_last - other_first
        if self.scores.size < rows * columns:
            self.scores = np.empty(rows * columns, np.float32)
        scores = self.scores[: rows * columns].reshape(rows, columns)
        np.matmul(self.vectors[first:last], self.vectors[other_first:other_last].T, out=scores)
        np.multiply(scores, np.float32(SCALE), out=scores)
        np.rint(scores, out=scores)
        np.clip(scores, -SCALE, SCALE, out=scores)
        integers = scores.astype(np.int32)
        key = (int(self.cohort_of[self.person_of[first]]), int(self.cohort_of[self.person_of[other_first]]))
        impostors = self._diagonal(integers, first, last, key[0]) if first == other_first else integers.ravel()
        counts = _histogram(impostors)
        self.impostor[key] = self.impostor[key] + counts if key in self.impostor else counts
        self._keep_tail(integers, counts, first, other_first)
        for threshold in self.sums:
            self._count(integers, threshold, first, other_first, key)

    def _diagonal(self, integers: npt.NDArray[np.int32], first: int, last: int, cohort: int) -> npt.NDArray[np.int32]:
        """Take out of a block on the diagonal what is not an impostor pair; count its genuine pairs."""
        person = self.person_of[first:last]
        upper = np.triu(np.ones(integers.shape, dtype=bool), k=1)
        same = person[:, None] == person[None, :]
        left, right = np.nonzero(same & upper)
        genuine = integers[left, right].astype(np.int64)
        self.genuine[cohort] += _histogram(genuine)
        for threshold, sums in self.sums.items():
            exact = self._settle(genuine, threshold, left + first, right + first)
            missed = exact < threshold
            start, end = int(person[0]), int(person[-1]) + 1
            sums.false_non_matches[start:end] += np.bincount(person[left[missed]] - start, minlength=end - start)
            self.near[threshold] += int((np.abs(exact - threshold) <= 1).sum())
        wanted = upper & ~same
        impostors = integers[wanted]
        integers[~wanted] = _NEVER
        return impostors

    def _count(
        self, integers: npt.NDArray[np.int32], threshold: int, first: int, other_first: int, key: tuple[int, int]
    ) -> None:
        """Add the false matches of a block at a threshold to the sums."""
        flat = np.flatnonzero(integers >= threshold - self.margin)
        if not len(flat):
            return
        left, right = np.divmod(flat, integers.shape[1])
        scores = integers.ravel()[flat].astype(np.int64)
        exact = self._settle(scores, threshold, left + first, right + other_first)
        self.near[threshold] += int((np.abs(exact - threshold) <= 1).sum())
        hit = exact >= threshold
        p, q = self.person_of[left[hit] + first], self.person_of[right[hit] + other_first]
        if not len(p):
            return
        sums, (a, b) = self.sums[threshold], key
        for person, cohort in ((p, b), (q, a)):
            start = int(person.min())
            errors = np.bincount(person - start)
            sums.false_matches[start : start + len(errors), cohort] += errors
        pair, errors = np.unique(p * len(self.people) + q, return_counts=True)
        pairs = self.images_of[pair // len(self.people)] * self.images_of[pair % len(self.people)]
        for x, y in {(a, b), (b, a)}:
            sums.squares[x, y] += int((errors * errors).sum())
            sums.weighted[x, y] += int((errors * pairs).sum())

    def _settle(self, scores: Ints, threshold: int, left: Ints, right: Ints) -> Ints:
        """Integer scores with those near the threshold computed again in float64."""
        close = np.flatnonzero(np.abs(scores - threshold) <= self.margin)
        if len(close):
            scores = scores.copy()
            scores[close] = self._exact(left[close], right[close])
        return scores

    def _exact(self, left: Ints, right: Ints) -> Ints:
        exact = np.empty(len(left), np.int64)
        for start in range(0, len(left), _SETTLE_CHUNK):
            part = slice(start, start + _SETTLE_CHUNK)
            a = self.vectors[left[part]].astype(np.float64)
            b = self.vectors[right[part]].astype(np.float64)
            exact[part] = integer_scores((a * b).sum(axis=1))
        return exact

    def _keep_tail(self, integers: npt.NDArray[np.int32], counts: Ints, first: int, other_first: int) -> None:
        """Keep the pairs above a floor that rises so that about `tail` pairs stay."""
        self.everything += counts
        above = np.cumsum(self.everything[::-1])[::-1]
        kept_bins = int((above > self.tail).sum())  # counts fall with the score: the first bin that fits
        self.tail_floor = max(self.tail_floor, kept_bins * GRID_STEP - SCALE)
        flat = np.flatnonzero(integers >= self.tail_floor)
        if len(flat):
            left, right = np.divmod(flat, integers.shape[1])
            self.tail_parts.append((integers.ravel()[flat], left + first, right + other_first))
        if sum(len(part[0]) for part in self.tail_parts) > 2 * self.tail + 1:
            self.tail_parts = [self._tail_arrays()]

    def _tail_arrays(self) -> tuple[npt.NDArray[np.int32], Ints, Ints]:
        if not self.tail_parts:
            return np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64)
        scores, left, right = (np.concatenate(arrays) for arrays in zip(*self.tail_parts, strict=True))
        keep = scores >= self.tail_floor
        return scores[keep], left[keep], right[keep]

    def result(self) -> Comparisons:
        _, left, right = self._tail_arrays()
        scores = self._exact(left, right)
        swap = self.order[left] > self.order[right]
        left, right = np.where(swap, right, left), np.where(swap, left, right)
        images = np.stack([self.order[left], self.order[right]], axis=1)
        groups = np.stack([self.cohort_of[self.person_of[left]], self.cohort_of[self.person_of[right]]], axis=1)
        # A pair just below the floor in float32 may belong above it: exact only a margin higher, unless all is kept.
        exact_from = -SCALE if self.tail_floor <= -SCALE else self.tail_floor + self.margin
        keep = np.flatnonzero(scores >= exact_from)
        keep = keep[np.lexsort((images[keep, 1], images[keep, 0], -scores[keep]))]
        sums = {
            t: Sums(t, s.false_matches, s.squares, s.weighted, s.false_non_matches, self.near[t])
            for t, s in self.sums.items()
        }
        return Comparisons(
            self.people,
            self.cohorts,
            self.cohort_of,
            self.images_of,
            self.impostor,
            self.genuine,
            scores[keep],
            images[keep],
            groups[keep],
            exact_from,
            sums,
        )


def integer_scores(scores: npt.NDArray[np.float64]) -> Ints:
    """round(score x 10^6), halves to even, kept within ±10^6."""
    return np.clip(np.rint(scores * SCALE), -SCALE, SCALE).astype(np.int64)


def _histogram(integers: npt.NDArray[np.int32] | Ints) -> Ints:
    shifted = integers + np.int32(SCALE)
    bins = np.empty(shifted.shape, np.intp)  # what bincount counts without another copy
    np.floor_divide(shifted, GRID_STEP, out=bins, casting="unsafe")
    return np.bincount(bins, minlength=BINS)
