"""Two reports side by side: which rates of the second lie outside what the first one measured.

Scores of two face models are never compared; their error rates are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audit.reports import STATISTICS, Figure, Report


@dataclass(frozen=True)
class Pair:
    """One rate in both reports; None where a report does not have it. `shifted`: each lies outside the other's interval."""

    division: str
    cohort: str
    statistic: str
    first: Figure | None
    second: Figure | None

    @property
    def shifted(self) -> bool:
        if self.first is None or self.second is None:
            return False
        return self.first.excludes(self.second.rate) and self.second.excludes(self.first.rate)

    @property
    def words(self) -> str:
        """What can be said about the two."""
        if self.first is None or self.second is None:
            return "only in one report"
        if self.first.low is None or self.second.low is None:
            return "cannot be compared: no interval"
        if not self.shifted:
            return "no difference shown"
        return "lower in the second" if (self.second.rate or 0.0) < (self.first.rate or 0.0) else "higher in the second"


def pairs(first: Report, second: Report) -> list[Pair]:
    """Every rate of either report."""
    rows = {row.key: row for row in first.rows}
    others = {row.key: row for row in second.rows}
    return [
        Pair(
            *key,
            statistic,
            getattr(rows[key], statistic) if key in rows else None,
            getattr(others[key], statistic) if key in others else None,
        )
        for key in dict.fromkeys([*rows, *others])
        for statistic in STATISTICS
    ]


def cautions(first: Report, second: Report) -> Iterator[str]:
    """What makes two reports hard to compare, a sentence each."""
    one, other = first.evaluation, second.evaluation
    if one.set_hash != other.set_hash:
        yield "They were measured on different photos: a difference may come from the photos and not from the face model."
    if one.face_model != other.face_model:
        yield "They are about different face models. Each has a threshold and a scale of scores of its own."
    elif one.threshold != other.threshold:
        yield "The thresholds differ, and a rate belongs to its threshold."
    if one.generated_people or other.generated_people:
        yield "At least one of them is about generated people and says nothing about real ones."


def shifts(original: Report, repeated: Report) -> list[str]:
    """The rates of a repetition that lie outside the original's interval, or have vanished, a sentence each."""
    found = []
    for pair in pairs(original, repeated):
        where = pair.cohort if not pair.division else f"{pair.cohort} ({pair.division})"
        name = STATISTICS[pair.statistic]
        if pair.first is None or pair.second is None:
            found.append(f"{where}: {name} is in only one of the two reports.")
        elif pair.first.excludes(pair.second.rate):
            found.append(
                f"{where}: {name} was {pair.first.words} ({pair.first.counts}; 95 % interval {pair.first.interval}) and "
                f"is {pair.second.words} ({pair.second.counts}) now."
            )
    return found
