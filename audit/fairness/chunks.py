"""All pairs of a benchmark set, compared in chunks that can be done by several workers and in any order.

`plan` divides the work, `arrange` puts the embeddings into its order, `compare_chunk` does one chunk and gives a
`Partial` that can be stored as an .npz file. Chunks share nothing: what a killed worker loses is one chunk.
`audit.fairness.comparisons.merge` adds the partials up, whatever their order, to the same bits.

Images are sorted by cohort and person, and a block never cuts a person or mixes cohorts, so a block belongs to one pair
of cohorts and holds all pairs of the people in it. A chunk is a range of rows of blocks.

Products are float32 matrix products, whose last bits depend on block shape, threads and processor. A float32 dot
product of unit vectors of dimension d is off by at most d * 2^-24, so every pair that close to a named threshold, every
pair of the tail and every genuine pair that is kept is computed again in float64: those numbers are the same on every
machine. Histogram counts may move by the pairs that lie on an edge of the grid.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from audit.fairness.partials import ErrorPairs, Kept, Partial
from audit.fairness.scores import BINS, GRID_STEP, SCALE, ComparisonError, Floats, Histogram, Ints, integer_scores

BLOCK = 2048  # images per side of a block: 16 MiB of float32 scores
TILE = 65_536  # scores that are counted at once: 1.1 MiB with what becomes of them
PAIRS_PER_CHUNK = 250_000_000
TAIL = 100_000
MAX_COHORTS = 120  # 7,260 pairs of cohorts: their histograms take some 0.4 GB
MAX_IMAGES_PER_PERSON = 4096
MAX_ERROR_PAIRS = 20_000_000  # pairs of people with a false match at one threshold: 240 MB
_STEPS = np.float32(SCALE // GRID_STEP)
# A pair is at or above a multiple of the step iff score x 10^6 >= it - 0.5: half a millionth is 0.005 of a step.
_SHIFT = np.float32(SCALE // GRID_STEP + 0.5 / GRID_STEP)
_SETTLE = 64  # pairs computed again at once: 0.8 MiB in all, which stays in the cache
_SLACK = 8192


@dataclass(frozen=True)
class Chunk:
    """Rows of blocks first_row <= row < last_row; each is compared with itself and all later ones."""

    number: int
    first_row: int
    last_row: int
    pairs: int  # of images, genuine ones included


@dataclass(frozen=True, eq=False)
class Plan:
    """What is compared and how it is divided. Equal inputs give equal plans and equal digests.

    people      sorted by cohort and name; everything else numbers them so
    cohort_of   (people,) index into cohorts;  images_of  (people,) images compared
    order       (images,) rows of the embeddings as they were given, in the order of comparison
    blocks      ranges of that order;  chunks  ranges of blocks
    """

    people: tuple[str, ...]
    cohorts: tuple[str, ...]
    cohort_of: Ints
    images_of: Ints
    order: Ints
    blocks: tuple[tuple[int, int], ...]
    chunks: tuple[Chunk, ...]
    thresholds: tuple[int, ...]
    tail: int

    @cached_property
    def person_of(self) -> Ints:
        """(images,) person of each image in the order of comparison."""
        return np.repeat(np.arange(len(self.people)), self.images_of)

    @property
    def pairs(self) -> int:
        return len(self.order) * (len(self.order) - 1) // 2

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything but the embeddings. A partial names it, so it cannot be added to other work."""
        digest = hashlib.sha256(repr((self.people, self.cohorts, self.blocks, self.thresholds, self.tail)).encode())
        digest.update(repr([(c.first_row, c.last_row) for c in self.chunks]).encode())
        for array in (self.cohort_of, self.images_of, self.order):
            digest.update(array.astype("<i8").tobytes())
        return digest.hexdigest()

    def arrange(self, embeddings: npt.ArrayLike) -> Floats:
        """(n, d) embeddings as unit vectors in the order of comparison, float32.

        ComparisonError when they are no table, or one that is used is zero or not a number.
        """
        table = np.asarray(embeddings)
        if table.ndim != 2 or not table.size or table.dtype.kind not in "fiu":
            raise ComparisonError("Embeddings must be a table with one row per image and one column per dimension.")
        if len(table) <= int(self.order.max()):
            raise ComparisonError("Every embedding needs one person and one cohort.")
        vectors = np.empty((len(self.order), table.shape[1]), np.float32)
        for start in range(0, len(self.order), BLOCK):  # in pieces: no float64 copy of everything
            rows = self.order[start : start + BLOCK]
            part = table[rows].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                norms = np.sqrt((part * part).sum(axis=1))
            bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
            if len(bad):
                number = int(rows[bad].min()) + 1
                raise ComparisonError(f"Embedding {number} is zero or holds a value that is not a number.")
            vectors[start : start + BLOCK] = part / norms[:, None]
        return vectors


def plan(
    people: Sequence[str],
    cohorts: Sequence[str],
    *,
    rows: Ints | None = None,
    thresholds: Sequence[int] = (),
    tail: int = TAIL,
    block: int = BLOCK,
    pairs_per_chunk: int = PAIRS_PER_CHUNK,
) -> Plan:
    """Divide the comparison of every image with every other one; people and cohorts name those of each row.

    rows: which rows take part (default: all). At each of `thresholds` the exact false matches are kept by pair of
    people. ComparisonError when a person has two cohorts, there are more than MAX_COHORTS cohorts or more than
    MAX_IMAGES_PER_PERSON images of one person.
    """
    if len(people) != len(cohorts):
        raise ComparisonError("Every embedding needs one person and one cohort.")
    used = np.arange(len(people)) if rows is None else np.asarray(rows, np.int64)
    if not len(used):
        raise ComparisonError("There is nothing to compare.")
    group: dict[str, str] = {}
    for row in used.tolist():
        person, cohort = people[row], cohorts[row]
        if group.setdefault(person, cohort) != cohort:
            raise ComparisonError(f"Person {person} is in two cohorts: {group[person]} and {cohort}.")
    names = tuple(sorted(set(group.values())))
    if len(names) > MAX_COHORTS:
        raise ComparisonError(f"{len(names)} cohorts are too many to compare: at most {MAX_COHORTS}.")
    ordered = tuple(sorted(group, key=lambda person: (group[person], person)))
    number = {person: index for index, person in enumerate(ordered)}
    person_of = np.fromiter((number[people[row]] for row in used.tolist()), np.int64, len(used))
    images_of = np.bincount(person_of, minlength=len(ordered)).astype(np.int64)
    worst = int(images_of.argmax())
    if images_of[worst] > MAX_IMAGES_PER_PERSON:
        raise ComparisonError(
            f"Person {ordered[worst]} has {images_of[worst]} images: at most {MAX_IMAGES_PER_PERSON}."
        )
    index = {cohort: place for place, cohort in enumerate(names)}
    cohort_of = np.array([index[group[person]] for person in ordered], np.int64)
    blocks = tuple(_blocks(images_of, cohort_of, block))
    return Plan(
        ordered,
        names,
        cohort_of,
        images_of,
        used[np.argsort(person_of, kind="stable")],
        blocks,
        tuple(_chunks(blocks, pairs_per_chunk)),
        tuple(sorted(set(thresholds))),
        tail,
    )


def _blocks(images_of: Ints, cohort_of: Ints, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of images of one cohort, whole people only, of about `size` images."""
    first = last = 0
    for person, end in enumerate(np.cumsum(images_of).tolist()):
        new_cohort = person > 0 and cohort_of[person] != cohort_of[person - 1]
        if last > first and (new_cohort or end - first > size):
            yield first, last
            first = last
        last = end
    yield first, last


def _chunks(blocks: Sequence[tuple[int, int]], size: int) -> Iterator[Chunk]:
    """Ranges of rows of blocks with about `size` pairs each."""
    end = blocks[-1][1]
    number = start = pairs = 0
    for row, (first, last) in enumerate(blocks):
        images = last - first
        pairs += images * (images - 1) // 2 + images * (end - last)
        if pairs >= size or row == len(blocks) - 1:
            yield Chunk(number, start, row + 1, pairs)
            number, start, pairs = number + 1, row + 1, 0


def compare_chunk(vectors: Floats, work: Plan, chunk: Chunk, progress: Callable[[int], None] | None = None) -> Partial:
    """Compare the blocks of one chunk. `vectors` are those of `Plan.arrange`, in memory or mapped from a file.

    `progress(pairs)` is told the pairs of each row of blocks when it is done.
    """
    counting = _Counting(vectors, work)
    for row in range(chunk.first_row, chunk.last_row):
        first, last = work.blocks[row]
        left = vectors[first:last] * _STEPS
        for other_first, other_last in work.blocks[row:]:
            counting.block(left, first, last, other_first, other_last)
        if progress:
            images = last - first
            progress(images * (images - 1) // 2 + images * (len(work.order) - last))
    return counting.partial(chunk)


@dataclass
class _Errors:
    """Exact counts at one threshold while they grow."""

    pairs: list[Ints] = field(default_factory=list)  # lower person * people + higher person
    errors: list[Ints] = field(default_factory=list)
    missed: list[Ints] = field(default_factory=list)  # one person for each missed pair
    near: int = 0
    size: int = 0


class _Counting:
    def __init__(self, vectors: Floats, work: Plan) -> None:
        self.vectors, self.work, self.person_of = vectors, work, work.person_of
        self.impostor: dict[tuple[int, int], Ints] = {}
        self.genuine: dict[int, Ints] = {}
        self.at = {threshold: _Errors() for threshold in work.thresholds}
        # Dot product error, the rounding of the product with 10^6, and half a millionth on either side.
        self.margin = math.ceil(vectors.shape[1] * 2.0**-24 * SCALE) + 2
        self.highest = _Keeping(work.tail, self.margin)
        self.lowest = _Keeping(work.tail, self.margin)
        self.scores = np.empty(0, np.float32)
        self.tile = _Tile()

    def block(self, left: Floats, first: int, last: int, other_first: int, other_last: int) -> None:
        rows, columns = last - first, other_last - other_first
        if self.scores.size < rows * columns:
            self.scores = np.empty(rows * columns, np.float32)
        scores = self.scores[: rows * columns].reshape(rows, columns)
        np.matmul(left, self.vectors[other_first:other_last].T, out=scores)
        key = (
            int(self.work.cohort_of[self.person_of[first]]),
            int(self.work.cohort_of[self.person_of[other_first]]),
        )
        places: Ints | None = None
        if first == other_first:
            counts = self._histogram(self._diagonal(scores, first, last, key[0]))
        else:
            counts, places = self.tile.count(scores, self._lowest())
        self.impostor[key] = self.impostor[key] + counts if key in self.impostor else counts
        self.highest.counted(counts)
        self._find(scores, places, first, other_first)

    def _histogram(self, scores: Floats) -> Ints:
        return self.tile.count(scores, None)[0]

    def _lowest(self) -> np.float32 | None:
        """The score in steps from which on a pair has to be looked at; None when none has to be. It only rises."""
        floors = [threshold - self.margin for threshold in self.at]
        if self.work.tail:
            floors.append(self.highest.floor)
        return np.float32((max(min(floors), -SCALE - 100) - 1) / GRID_STEP) if floors else None

    def _diagonal(self, scores: Floats, first: int, last: int, cohort: int) -> Floats:
        """Take out of a block on the diagonal what is not an impostor pair; count its genuine pairs."""
        person = self.person_of[first:last]
        upper = np.triu(np.ones(scores.shape, dtype=bool), k=1)
        same = person[:, None] == person[None, :]
        left, right = np.nonzero(same & upper)
        if len(left):
            genuine = scores[left, right]
            counts = self._histogram(genuine)
            self.genuine[cohort] = self.genuine[cohort] + counts if cohort in self.genuine else counts
            near_enough = _millionths(genuine)
            for threshold, found in self.at.items():
                exact = self._settle(near_enough, threshold, left + first, right + first)
                found.missed.append(person[left[exact < threshold]])
                found.near += int((np.abs(exact - threshold) <= 1).sum())
            self.lowest.counted(counts[::-1])
            wanted = np.flatnonzero(-near_enough >= self.lowest.floor)
            self.lowest.keep(-near_enough[wanted], left[wanted] + first, right[wanted] + first)
        wanted = upper & ~same
        impostors = scores[wanted]
        scores[~wanted] = -4 * _STEPS
        return impostors

    def _find(self, scores: Floats, places: Ints | None, first: int, other_first: int) -> None:
        """Pick the pairs of a block that are kept or counted exactly; places: where to look (default: everywhere)."""
        lowest = self._lowest()
        if lowest is None:
            return
        flat = np.flatnonzero(scores >= lowest) if places is None else places[scores.reshape(-1)[places] >= lowest]
        if not len(flat):
            return
        left, right = np.divmod(flat, scores.shape[1])
        left, right = left + first, right + other_first
        near_enough = _millionths(scores.reshape(-1)[flat])
        if self.work.tail:
            wanted = np.flatnonzero(near_enough >= self.highest.floor)
            self.highest.keep(near_enough[wanted], left[wanted], right[wanted])
        for threshold, found in self.at.items():
            mine = np.flatnonzero(near_enough >= threshold - self.margin)
            exact = self._settle(near_enough[mine], threshold, left[mine], right[mine])
            found.near += int((np.abs(exact - threshold) <= 1).sum())
            hit = mine[exact >= threshold]
            pairs = self.person_of[left[hit]] * len(self.work.people) + self.person_of[right[hit]]
            pairs, errors = np.unique(pairs, return_counts=True)
            found.pairs.append(pairs)
            found.errors.append(errors)
            found.size += len(pairs)
            if found.size > MAX_ERROR_PAIRS:
                raise too_many_errors(threshold)

    def _settle(self, scores: Ints, threshold: int, left: Ints, right: Ints) -> Ints:
        """Integer scores with those near the threshold computed again in float64."""
        close = np.flatnonzero(np.abs(scores - threshold) <= self.margin)
        if len(close):
            scores = scores.copy()
            scores[close] = self._exact(left[close], right[close])
        return scores

    def _exact(self, left: Ints, right: Ints) -> Ints:
        exact = np.empty(len(left), np.int64)
        for start in range(0, len(left), _SETTLE):
            part = slice(start, start + _SETTLE)
            a = self.vectors[left[part]].astype(np.float64)
            b = self.vectors[right[part]].astype(np.float64)
            exact[part] = integer_scores((a * b).sum(axis=1))
        return exact

    def _kept(self, keeping: _Keeping) -> Kept:
        _, left, right = keeping.arrays()
        return Kept(self._exact(left, right).astype(np.int32), np.stack([left, right], axis=1))

    def partial(self, chunk: Chunk) -> Partial:
        at = {}
        people = len(self.work.people)
        for threshold, found in self.at.items():
            pairs = np.concatenate([np.empty(0, np.int64), *found.pairs])
            errors = np.concatenate([np.empty(0, np.int64), *found.errors])
            missed, misses = np.unique(np.concatenate([np.empty(0, np.int64), *found.missed]), return_counts=True)
            at[threshold] = ErrorPairs(
                np.stack(np.divmod(pairs, people), axis=1).astype(np.int32),
                errors.astype(np.int32),
                np.stack([missed, misses], axis=1).astype(np.int32),
                found.near,
            )
        return Partial(
            self.work.digest,
            chunk.number,
            self.margin,
            {key: Histogram.of(counts) for key, counts in self.impostor.items()},
            {key: Histogram.of(counts) for key, counts in self.genuine.items()},
            self._kept(self.highest),
            self._kept(self.lowest),
            at,
        )


class _Tile:
    """Counts scores piece by piece, each of a size that stays in the processor's cache until all is done with it."""

    def __init__(self) -> None:
        self.shifted = np.empty(TILE, np.float32)
        self.whole = np.empty(TILE, np.int32)  # float32 to int64 in one step is slower than by way of int32
        self.bins = np.empty(TILE, np.intp)
        self.mask = np.empty(TILE, np.bool_)

    def count(self, scores: Floats, lowest: np.float32 | None) -> tuple[Ints, Ints]:
        """Counts by GRID_STEP of scores in steps, and the places of those from `lowest` on (None: of none)."""
        flat = scores.reshape(-1)
        counts = np.zeros(BINS, np.int64)
        places = [np.empty(0, np.int64)]
        for start in range(0, flat.size, TILE):
            part = flat[start : start + TILE]
            shifted, whole, bins = (held[: part.size] for held in (self.shifted, self.whole, self.bins))
            np.add(part, _SHIFT, out=shifted)
            whole[:] = shifted  # towards zero, and no score is below -1 by a whole step
            bins[:] = whole
            counts += np.bincount(bins, minlength=BINS)
            if lowest is not None:
                mask = np.greater_equal(part, lowest, out=self.mask[: part.size])
                places.append(np.flatnonzero(mask) + start)
        return counts, np.concatenate(places)


class _Keeping:
    """The about `wanted` pairs with the highest scores (of genuine pairs: negated scores), above a floor that rises."""

    def __init__(self, wanted: int, margin: int) -> None:
        self.wanted, self.margin = wanted, margin
        self.everything = np.zeros(BINS, np.int64)
        self.floor = -2 * SCALE
        self.parts: list[tuple[Ints, Ints, Ints]] = []
        self.size = 0

    def counted(self, counts: Ints) -> None:
        self.everything += counts
        self.floor = max(self.floor, floor_of(self.everything, self.wanted) - self.margin)

    def keep(self, scores: Ints, left: Ints, right: Ints) -> None:
        if self.wanted and len(scores):
            self.parts.append((scores, left, right))
            self.size += len(scores)
            if self.size > 2 * self.wanted + _SLACK:
                self.parts = [self.arrays()]
                self.size = len(self.parts[0][0])

    def arrays(self) -> tuple[Ints, Ints, Ints]:
        if not self.parts:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
        scores, left, right = (np.concatenate(arrays) for arrays in zip(*self.parts, strict=True))
        keep = scores >= self.floor
        return scores[keep], left[keep], right[keep]


def floor_of(bins: Ints, wanted: int) -> int:
    """The lowest edge of the grid at or above which lie at most `wanted` pairs; two steps below -10^6 if all do."""
    above = np.cumsum(bins[::-1])[::-1]
    if above[0] <= wanted:
        return -SCALE - 2 * GRID_STEP
    return int((above > wanted).sum()) * GRID_STEP - SCALE  # counts fall with the score: the first bin that fits


def too_many_errors(threshold: int) -> ComparisonError:
    return ComparisonError(
        f"At the threshold {threshold / SCALE:.6f} more than {MAX_ERROR_PAIRS:,} pairs of people are taken for one "
        "person. Choose a higher threshold."
    )


def _millionths(scores: Floats) -> Ints:
    return np.rint(scores.astype(np.float64) * GRID_STEP).astype(np.int64)
