"""Rates of given pairs: a protocol with fixed pairs (LFW, RFW, BFW), or scores of a system that nobody can look into.

Here not all pairs are compared, so the closed forms for all pairs do not hold: who was compared with whom is counted.
With m_ij pairs of images and e_ij errors between people i and j, F = sum e / sum m, y_ij = e_ij - F m_ij,
r_i = sum_j y_ij and S2 = sum y_ij^2, the clustered variance of F is (S2 + max(sum_i r_i^2 - 2 S2, 0)) / (sum m)^2: within
a cohort and between two (Fogliato, Patil and Perona, IJCV 2024).

Memory does not grow with the number of pairs: they are read in blocks, from memory or from a mapped file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from audit.fairness.cohorts import UNKNOWN, cohort_labels
from audit.fairness.disparity import differences, of_accuracies, summary
from audit.fairness.evaluation import Division, FoldAccuracy, Result, predictions
from audit.fairness.evidence import EVERYBODY, Parameters
from audit.fairness.intervals import variance_of_mean
from audit.fairness.rates import CohortRates, Rate, Threshold, split_people
from audit.fairness.scores import SCALE, Ints, integer_scores
from audit.fairness.sets.rows import DatasetError

if TYPE_CHECKING:
    from audit.fairness.sets.listing import Pair
    from audit.fairness.sets.photos import PhotoSet
    from audit.fairness.sets.samples import Samples

ROW: Final = np.dtype([("a", "<i4"), ("b", "<i4"), ("score", "<i4"), ("same", "u1"), ("scored", "u1"), ("fold", "<i2")])
BLOCK: Final = 1_000_000
_MOST_CELLS: Final = 20_000_000  # people x cohorts
_NO_MATCH: Final = -SCALE - 1  # a photo without an embedding is at or above no threshold


@dataclass(frozen=True, eq=False)
class Pairs:
    """Given pairs. `people` may be in any order, `labels`: column -> (people,) cohort labels.

    table     (n,) of ROW: people a and b, integer score, whether both are one person, whether there is a score, fold
    photos    (people,) photos of each person, 0 where photos are not known;  lost  those without an embedding
    """

    people: tuple[str, ...]
    labels: Mapping[str, Sequence[str]]
    table: npt.NDArray[np.void]
    photos: Ints
    lost: Ints


def pairs_of(photos: PhotoSet, given: Sequence[Pair], samples: Samples) -> Pairs:
    """The fixed pairs of a set of photos, with the exact scores of their embeddings."""
    people = tuple(dict.fromkeys(samples.people))
    number = {person: index for index, person in enumerate(people)}
    person_of = np.array([number[person] for person in samples.people], np.int64)
    row_of = {photo.file: row for row, photo in enumerate(photos.photos)}
    left = np.array([row_of[pair.file_a] for pair in given], np.int64)
    right = np.array([row_of[pair.file_b] for pair in given], np.int64)
    table = np.zeros(len(given), ROW)
    table["a"], table["b"] = person_of[left], person_of[right]
    table["same"] = [pair.same for pair in given]
    table["fold"] = [pair.fold for pair in given]
    if not (table["same"].astype(bool) == (table["a"] == table["b"])).all():
        raise DatasetError("A pair says that two photos show one person, and the list of photos says they do not.")
    table["scored"] = samples.extracted[left] & samples.extracted[right]
    table["score"] = _NO_MATCH
    for start in range(0, len(given), 8192):
        part = np.flatnonzero(table["scored"][start : start + 8192]) + start
        a, b = (samples.embeddings[rows[part]].astype(np.float64) for rows in (left, right))
        norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        table["score"][part] = integer_scores((a * b).sum(axis=1) / norms)
    first = np.unique(person_of, return_index=True)[1]
    labels = {column: [values[row] for row in first.tolist()] for column, values in samples.labels.items()}
    counts = np.bincount(person_of, minlength=len(people))
    lost = np.bincount(person_of[~samples.extracted], minlength=len(people))
    return Pairs(people, labels, table, counts, lost)


@dataclass(frozen=True, eq=False)
class PairEvidence:
    """What the numbers of given pairs follow from: scores of pairs by person, who is in which half and cohort.

    table     as in Pairs;  choosing  (people,) bool: in the half that the threshold is chosen on
    cohort    division ("" puts everybody together) -> (people,) cohort
    """

    table: npt.NDArray[np.void]
    choosing: npt.NDArray[np.bool_]
    cohort: Mapping[str, Sequence[str]]
    photos: Ints
    lost: Ints

    def blocks(self) -> Iterator[npt.NDArray[np.void]]:
        for start in range(0, len(self.table), BLOCK):
            yield np.asarray(self.table[start : start + BLOCK])


def gather_pairs(pairs: Pairs, parameters: Parameters) -> PairEvidence:
    """Divide the people as for all pairs: into two halves, and into the cohorts of each division. CohortError."""
    cohort = {axis: cohort_labels(pairs.labels, axis, len(pairs.people)) for axis in ("", *parameters.divisions)}
    choosing, _ = split_people(pairs.people, cohort[_primary(parameters)], parameters.seed)
    chosen = np.array([person in choosing for person in pairs.people])
    return PairEvidence(pairs.table, chosen, cohort, pairs.photos, pairs.lost)


def _primary(parameters: Parameters) -> str:
    return parameters.divisions[0] if parameters.divisions else ""


def conclude_pairs(
    evidence: PairEvidence, parameters: Parameters, progress: Callable[[int, int], None] | None = None
) -> Result:
    """The numbers that follow. The threshold is chosen on pairs within one half of the people, rates come from pairs
    within the other; pairs between the halves count for neither. The accuracy of a protocol with folds is that of all its
    pairs. DatasetError when there is too little for that.
    """
    tell = progress or (lambda done, total: None)
    steps = 1 + len(evidence.cohort)
    threshold = _choose(evidence, evidence.cohort[_primary(parameters)], parameters)
    tell(1, steps)
    rates = {}
    for step, (axis, labels) in enumerate(evidence.cohort.items(), start=2):
        rates[axis] = _Counts(evidence, labels, threshold.value).rates()
        tell(step, steps)
    if not rates[""].all_fmr.trials:
        raise DatasetError("No pair of two people lies within the half of the people that is reported on.")
    accuracies = tuple(_accuracies(evidence))
    divisions = tuple(
        _division(axis, rates[axis], accuracies, parameters.minimum_people) for axis in parameters.divisions
    )
    chosen_on = int(evidence.choosing.sum())
    return Result(
        parameters,
        threshold,
        chosen_on,
        len(evidence.choosing) - chosen_on,
        rates[""],
        divisions,
        predictions(rates[""], divisions, parameters),
        accuracies=accuracies,
    )


def _division(axis: str, rates: CohortRates, accuracies: Sequence[FoldAccuracy], minimum: int) -> Division:
    known = [name for name in rates.cohorts if name != UNKNOWN]
    enough = [name for name in known if rates.within(name).people >= minimum]
    fmr = {name: rates.within(name) for name in known}
    fnmr = {name: rates.fnmr[name] for name in known}
    return Division(
        axis,
        rates,
        (
            *summary(fmr, fnmr, minimum),
            *of_accuracies([a.accuracy for a in accuracies if a.axis == axis and a.cohort in known]),
        ),
        tuple(differences({name: fmr[name] for name in enough})),
        tuple(differences({name: fnmr[name] for name in enough if fnmr[name].people >= minimum})),
    )


def _choose(evidence: PairEvidence, labels: Sequence[str], parameters: Parameters) -> Threshold:
    """The lowest threshold whose FMR on impostor pairs within a cohort does not exceed the target: exact."""
    group, mine = _numbers(labels)[1], evidence.choosing
    counts = np.zeros(2 * SCALE + 1, np.int64)
    for block in evidence.blocks():
        a, b = block["a"], block["b"]
        use = mine[a] & mine[b] & (group[a] == group[b]) & (block["same"] == 0) & (block["scored"] == 1)
        counts += np.bincount(block["score"][use] + SCALE, minlength=len(counts))
    trials = int(counts.sum())
    if not trials:
        raise DatasetError(
            "No two people of one cohort were compared in the half of the people that the threshold is chosen on."
        )
    allowed = math.floor(parameters.target_fmr * trials + 1e-9)
    above = np.append(np.cumsum(counts[::-1])[::-1], 0)
    place = int((above > allowed).sum())
    return Threshold(place - SCALE, "within", parameters.target_fmr, int(above[place]), trials, True, allowed >= 1)


def _numbers(labels: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    names = tuple(sorted(set(labels)))
    index = {name: number for number, name in enumerate(names)}
    return names, np.array([index[label] for label in labels], np.int64)


class _Counts:
    """Counts of the pairs within the reporting half of the people, by person and cohort, at one threshold."""

    def __init__(self, pairs: PairEvidence, labels: Sequence[str], threshold: int) -> None:
        self.pairs, self.mine, self.threshold = pairs, ~pairs.choosing, threshold
        self.names, self.group = _numbers(labels)
        people, cohorts = len(labels), len(self.names)
        if people * cohorts > _MOST_CELLS:
            raise DatasetError(f"{people} people in {cohorts} cohorts are too many to count. Use fewer cohorts.")
        self.errors = np.zeros((people, cohorts), np.int64)
        self.trials = np.zeros((people, cohorts), np.int64)
        self.misses = np.zeros(people, np.int64)
        self.genuine = np.zeros(people, np.int64)
        self.near = 0
        for block in pairs.blocks():
            self._add(block)
        self.squares = self._squares()
        self.units = self._units()

    def _used(self, block: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        return block[self.mine[block["a"]] & self.mine[block["b"]]]

    def _impostors(self, block: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        used = self._used(block)
        return used[(used["same"] == 0) & (used["scored"] == 1)]

    def _add(self, block: npt.NDArray[np.void]) -> None:
        people, cohorts = self.errors.shape
        used = self._used(block)
        same = used[used["same"] == 1]
        self.genuine += np.bincount(same["a"], minlength=people)
        self.misses += np.bincount(same["a"][same["score"] < self.threshold], minlength=people)
        scored = used[used["scored"] == 1]
        self.near += int((np.abs(scored["score"].astype(np.int64) - self.threshold) <= 1).sum())
        others = self._impostors(block)
        hit = others["score"] >= self.threshold
        for one, other in (("a", "b"), ("b", "a")):
            key = others[one].astype(np.int64) * cohorts + self.group[others[other]]
            self.trials += np.bincount(key, minlength=people * cohorts).reshape(people, cohorts)
            self.errors += np.bincount(key[hit], minlength=people * cohorts).reshape(people, cohorts)

    def _squares(self) -> npt.NDArray[np.float64]:
        """(3, cohorts, cohorts): sums over pairs of people of e^2, e m and m^2; pairs of people are taken in parts."""
        people, cohorts = self.errors.shape
        sums = np.zeros((3, cohorts * cohorts))
        parts = max(1, math.ceil(len(self.pairs.table) / (2 * BLOCK)))
        for part in range(parts):
            keys, hits = [], []
            for block in self.pairs.blocks():
                others = self._impostors(block)
                low, high = (pick(others["a"], others["b"]).astype(np.int64) for pick in (np.minimum, np.maximum))
                key = low * people + high
                mine = key % parts == part
                keys.append(key[mine])
                hits.append(others["score"][mine] >= self.threshold)
            pair, inverse, m = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
            e = np.bincount(inverse, np.concatenate(hits), minlength=len(pair))
            a, b = self.group[pair // people], self.group[pair % people]
            cell = np.minimum(a, b) * cohorts + np.maximum(a, b)
            for row, values in enumerate((e * e, e * m, m.astype(np.float64) * m)):
                sums[row] += np.bincount(cell, values, minlength=cohorts * cohorts)
        return sums.reshape(3, cohorts, cohorts)

    def _units(self) -> Ints:
        """(cohorts + 1, cohorts): pairs that share nobody, found one after the other; the last row is for all together."""
        people, cohorts = self.errors.shape
        found = np.zeros((cohorts + 1, cohorts), np.int64)
        taken = np.zeros((people, cohorts + 1), dtype=bool)  # by the cohort of the other one; last: by anybody
        for block in self.pairs.blocks():
            others = self._impostors(block)
            a, b = others["a"].astype(np.int64), others["b"].astype(np.int64)
            group_a, group_b = self.group[a], self.group[b]
            for everybody in (False, True):
                column_a = np.full(len(a), cohorts) if everybody else group_b
                column_b = np.full(len(a), cohorts) if everybody else group_a
                free = np.flatnonzero(~taken[a, column_a] & ~taken[b, column_b])
                while len(free):
                    # Rows none of whose two people is in an earlier free row.
                    ends = np.stack(
                        [a[free] * (cohorts + 1) + column_a[free], b[free] * (cohorts + 1) + column_b[free]]
                    )
                    _, first, inverse = np.unique(ends.T.ravel(), return_index=True, return_inverse=True)
                    earliest = (first // 2)[inverse].reshape(-1, 2)
                    won = free[(earliest == np.arange(len(free))[:, None]).all(axis=1)]
                    taken[a[won], column_a[won]] = taken[b[won], column_b[won]] = True
                    if everybody:
                        found[cohorts, 0] += len(won)
                    else:
                        low, high = np.minimum(group_a[won], group_b[won]), np.maximum(group_a[won], group_b[won])
                        cells = np.bincount(low * cohorts + high, minlength=cohorts * cohorts)
                        found[:cohorts] += cells.reshape(cohorts, cohorts)
                    free = free[~taken[a[free], column_a[free]] & ~taken[b[free], column_b[free]]]
        return found

    def rates(self) -> CohortRates:
        count = range(len(self.names))
        members = [np.flatnonzero((self.group == number) & self.mine) for number in count]
        everybody = np.flatnonzero(self.mine)
        fmr = {}
        for x in count:
            for y in count[x:]:
                rate = self._fmr(members[x], members[y], x, y)
                fmr[self.names[x], self.names[y]] = fmr[self.names[y], self.names[x]] = rate
        photos, lost = self.pairs.photos, self.pairs.lost
        return CohortRates(
            threshold=self.threshold,
            cohorts=self.names,
            people=tuple(len(found) for found in members),
            images=tuple(int(photos[found].sum()) for found in members),
            extracted=tuple(int((photos - lost)[found].sum()) for found in members),
            fmr=fmr,
            fnmr={self.names[x]: _of_people(self.misses[members[x]], self.genuine[members[x]]) for x in count},
            fte={self.names[x]: _of_people(lost[members[x]], photos[members[x]]) for x in count},
            all_fmr=self._all_fmr(),
            all_fnmr=_of_people(self.misses[everybody], self.genuine[everybody]),
            all_fte=_of_people(lost[everybody], photos[everybody]),
            near=self.near,
        )

    def _fmr(self, in_x: Ints, in_y: Ints, x: int, y: int) -> Rate:
        sides = [(self.errors[in_x, y], self.trials[in_x, y])]
        if x != y:
            sides.append((self.errors[in_y, x], self.trials[in_y, x]))
        return _clustered(sides, 2 if x == y else 1, self.squares[:, x, y], int(self.units[x, y]))

    def _all_fmr(self) -> Rate:
        sides = [(self.errors.sum(axis=1), self.trials.sum(axis=1))]
        return _clustered(sides, 2, self.squares.sum(axis=(1, 2)), int(self.units[-1, 0]))


def _clustered(sides: list[tuple[Ints, Ints]], twice: int, squares: npt.NDArray[np.float64], units: int) -> Rate:
    """`twice`: how often each pair stands in the first side."""
    errors, trials = int(sides[0][0].sum()) // twice, int(sides[0][1].sum()) // twice
    people = sum(int((m > 0).sum()) for _, m in sides)
    if not trials:
        return Rate(0, 0, people, 0)
    rate = errors / trials
    rest = sum(float(((e - rate * m) ** 2).sum()) for e, m in sides)
    own = max(float(squares[0] - 2 * rate * squares[1] + rate**2 * squares[2]), 0.0)
    return Rate(errors, trials, people, units, (own + max(rest - 2 * own, 0.0)) / trials**2)


def _of_people(errors: Ints, trials: Ints) -> Rate:
    some = trials > 0
    errors, trials = errors[some], trials[some]
    return Rate(int(errors.sum()), int(trials.sum()), len(trials), len(trials), variance_of_mean(errors, trials))


def _accuracies(pairs: PairEvidence) -> Iterator[FoldAccuracy]:
    """The accuracy that the protocols publish: in each fold at the threshold that is best on the other folds."""
    folds = pairs.table["fold"]
    if len(np.unique(folds)) < 2 or not (folds > 0).all():
        return
    a, b, score, same = (pairs.table[name] for name in ("a", "b", "score", "same"))
    for axis, labels in pairs.cohort.items():
        names, group = _numbers(labels)
        for number, name in enumerate(names):
            mine = (group[a] == number) & (group[b] == number)
            found = fold_accuracies(score[mine], same[mine].astype(bool), folds[mine])
            if len(found) > 1:
                error = float(np.std(found, ddof=1) / math.sqrt(len(found)))
                yield FoldAccuracy(
                    axis, name if axis else EVERYBODY, int(mine.sum()), len(found), float(np.mean(found)), error
                )


def fold_accuracies(score: Ints, same: npt.NDArray[np.bool_], fold: Ints) -> list[float]:
    """The share of right decisions in each fold, at the lowest threshold that is best on all other folds."""
    numbers = np.unique(fold).tolist()
    if len(numbers) < 2:
        return []
    found = []
    for number in numbers:
        here = fold == number
        threshold = _best(score[~here], same[~here])
        found.append(float(((score[here] >= threshold) == same[here]).mean()))
    return found


def _best(score: Ints, same: npt.NDArray[np.bool_]) -> int:
    order = np.argsort(score, kind="stable")
    ranked, is_same = score[order].astype(np.int64), same[order]
    candidates, first = np.unique(ranked, return_index=True)
    impostors_below = np.concatenate([[0], np.cumsum(~is_same)])[first]
    genuine_above = int(is_same.sum()) - np.concatenate([[0], np.cumsum(is_same)])[first]
    best = int((impostors_below + genuine_above).argmax())
    if int((~is_same).sum()) > int(impostors_below[best] + genuine_above[best]):
        return int(candidates[-1]) + 1  # calling nothing a match is best
    return int(candidates[best])
