"""How often released leads were wrong, from what was recorded about them: the false-discovery rate of leads.

Always called by that full name: FDR alone means the Fairness Discrepancy Rate here, and FPIR is another question (how often a
search of somebody who is not enrolled returns anybody at all). The share is taken over leads of which it is known who they
were; the others are counted beside it, and two bounds say what the share would be if all of them had been right, or wrong.

Leads of one case are not independent, so the interval is clustered by case (`intervals`). Small numbers are not shown: a
reader who knows one case could learn from them who was wrongly accused.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from audit.fairness.intervals import clustered_interval, variance_of_mean
from audit.fairness.wording import counted

SMALLEST: Final = 10
"""Leads of known truth that a share has to rest on; below it neither share nor counts are shown."""
State = Literal["shown", "too_few", "undefined"]
NOT_RECORDED: Final = "not recorded"


@dataclass(frozen=True)
class LeadTruth:
    """One released lead. `truth` is same_person, wrong_person or not_known; `cohorts` what the gallery's record says."""

    case: str
    offence: str
    face_model: str
    truth: str
    cohorts: Mapping[str, str]


@dataclass(frozen=True)
class Share:
    """The false-discovery rate of the leads of one group.

    `too_few`: not shown, and every number is None. `undefined`: of no lead it is known who it was; counts are shown where
    they are large enough. `low` and `high` are the 95 % interval, None where it cannot be told; `if_right` and `if_wrong`
    what the share would be if every lead of unknown truth had been right, or wrong.
    """

    name: str
    state: State
    leads: int | None = None
    cases: int | None = None
    known: int | None = None
    wrong: int | None = None
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    if_right: float | None = None
    if_wrong: float | None = None


@dataclass(frozen=True)
class Division:
    """The leads divided by one property."""

    name: str
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class Operational:
    """The whole count: all leads together, and divided."""

    total: Share
    divisions: tuple[Division, ...]


def count(leads: Sequence[LeadTruth]) -> Operational:
    """Counts released leads: all of them, by offence, by face model, and by every cohort column that a record has."""
    by: list[tuple[str, Callable[[LeadTruth], str]]] = [
        ("offence", lambda lead: lead.offence),
        ("face model", lambda lead: lead.face_model),
    ]
    columns = sorted({column for lead in leads for column in lead.cohorts})
    by += [(column, _cohort(column)) for column in columns]
    return Operational(_share("all leads", leads), tuple(divide(name, leads, key) for name, key in by))


def divide(name: str, leads: Sequence[LeadTruth], key: Callable[[LeadTruth], str]) -> Division:
    """The shares of the groups that `key` makes, in alphabetical order; what is small is left out, and as many others as it
    takes that nobody can subtract the rest from the total."""
    groups: dict[str, list[LeadTruth]] = {}
    for lead in leads:
        groups.setdefault(key(lead), []).append(lead)
    hidden = _hidden({group: len(found) for group, found in groups.items()}, _known_by_group(groups))
    return Division(
        name,
        tuple(Share(group, "too_few") if group in hidden else _share(group, groups[group]) for group in sorted(groups)),
    )


def sentence(share: Share) -> str:
    """A share in plain words."""
    if share.state == "too_few":
        return f"Fewer than {SMALLEST} leads, or shown they would give away another group: not shown."
    if share.state == "undefined" or share.wrong is None or share.known is None or share.leads is None:
        return f"Of none of {counted(share.leads or 0, 'lead')} it is recorded who the person was: not measurable."
    said = f"{share.wrong} of {counted(share.known, 'lead')} of which it is known were another person"
    if share.low is not None and share.high is not None:
        said += f" (95 % interval {share.low:.1%} to {share.high:.1%})"
    if unknown := share.leads - share.known:
        said += f"; of {counted(unknown, 'more lead')} it is not known"
    return said + "."


def as_csv(found: Operational) -> str:
    """Every number of the page, one row a group; what is not shown is empty and says why."""
    columns = ("leads", "cases", "known", "wrong", "rate", "low", "high", "if_right", "if_wrong")
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["division", "group", "state", *columns])
    for division in (Division("all", (found.total,)), *found.divisions):
        for share in division.shares:
            values = (getattr(share, column) for column in columns)
            table.writerow(
                [division.name, _cell(share.name), share.state, *("" if value is None else value for value in values)]
            )
    return written.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _share(name: str, leads: Sequence[LeadTruth]) -> Share:
    known = [lead for lead in leads if lead.truth != "not_known"]
    if 0 < len(known) < SMALLEST or len(leads) < SMALLEST:
        return Share(name, "too_few")
    cases = len({lead.case for lead in leads})
    if not known:
        return Share(name, "undefined", leads=len(leads), cases=cases, known=0)
    wrong = sum(lead.truth == "wrong_person" for lead in known)
    trials = Counter(lead.case for lead in known)
    errors = Counter(lead.case for lead in known if lead.truth == "wrong_person")
    of_cases = sorted(trials)
    variance = variance_of_mean(
        np.array([errors[case] for case in of_cases], dtype=np.int64),
        np.array([trials[case] for case in of_cases], dtype=np.int64),
    )
    interval = clustered_interval(wrong, len(known), variance, len(of_cases))
    unknown = len(leads) - len(known)
    return Share(
        name,
        "shown",
        leads=len(leads),
        cases=cases,
        known=len(known),
        wrong=wrong,
        rate=wrong / len(known),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        if_right=wrong / len(leads),
        if_wrong=(wrong + unknown) / len(leads),
    )


def _known_by_group(groups: Mapping[str, Iterable[LeadTruth]]) -> dict[str, int]:
    return {group: sum(lead.truth != "not_known" for lead in found) for group, found in groups.items()}


def _hidden(sizes: Mapping[str, int], known: Mapping[str, int]) -> set[str]:
    """The groups that are not shown: the small ones, and then the smallest others until those hidden cannot be told apart."""
    hidden = {group for group, size in sizes.items() if size < SMALLEST or 0 < known[group] < SMALLEST}
    for group in sorted(sizes, key=lambda one: (sizes[one], one)):
        if not hidden or (len(hidden) > 1 and sum(sizes[one] for one in hidden) >= SMALLEST):
            break
        hidden.add(group)
    return hidden


def _cohort(column: str) -> Callable[[LeadTruth], str]:
    return lambda lead: lead.cohorts.get(column) or NOT_RECORDED
