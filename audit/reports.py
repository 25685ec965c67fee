"""Published reports as pages show them: the record `report.json`, read once, in rows with words and counts.

Nothing is computed anew: every figure on a page is one that the record has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet

from audit import evaluations
from audit.fairness.narrative import ACCURACY_HEADER, ACCURACY_WORDS, accuracy_rows, finding, labels_rows, labels_words
from audit.fairness.wording import one_in
from audit.models import Evaluation
from core.exceptions import NotFound

STATISTICS: Final = {
    "fmr": "Different people taken for the same (FMR)",
    "fnmr": "Same person not recognised (FNMR)",
    "fte": "Photo without an embedding (FTE)",
}


@dataclass(frozen=True)
class Figure:
    """One rate: in words, with its counts. `low` and `high` are the 95 % interval, None where there is none."""

    rate: float | None
    low: float | None
    high: float | None
    errors: int
    trials: int
    people: int

    @classmethod
    def of(cls, rate: Mapping[str, Any]) -> Figure:
        interval = rate["interval"] or {"low": None, "high": None}
        return cls(rate["rate"], interval["low"], interval["high"], rate["errors"], rate["trials"], rate["people"])

    @property
    def words(self) -> str:
        """ "1 in 410", or what can be said without an error: "0 seen, at most 1 in 90"."""
        if self.rate == 0 and self.high is not None:
            return f"none seen, at most {one_in(self.high)}"
        return one_in(self.rate)

    @property
    def interval(self) -> str:
        """The 95 % interval in words."""
        return "none" if self.low is None or self.high is None else f"{one_in(self.low)} to {one_in(self.high)}"

    @property
    def counts(self) -> str:
        """Numerator and denominator."""
        return f"{self.errors:,} of {self.trials:,}"

    def excludes(self, rate: float | None) -> bool:
        """Whether another rate lies outside this one's interval."""
        return rate is not None and self.low is not None and self.high is not None and not self.low <= rate <= self.high


@dataclass(frozen=True)
class Row:
    """The rates of one cohort; division "" is everybody together."""

    division: str
    cohort: str
    fmr: Figure
    fnmr: Figure
    fte: Figure

    @property
    def key(self) -> tuple[str, str]:
        return self.division, self.cohort


@dataclass(frozen=True)
class Searched:
    """FPIR of one group of people in one gallery of benchmark people, measured and as it follows from the FMR."""

    who: str
    people: int
    templates: int
    fpir: Figure
    predicted: str


@dataclass(frozen=True)
class Report:
    """A published report. `sentences` are its findings, the first one first of all."""

    evaluation: Evaluation
    content: Mapping[str, Any]
    sentences: list[str]
    rows: list[Row]

    @property
    def watermark(self) -> str:
        """What has to stand on it where its people are generated."""
        return self.content["benchmark"]["watermark"] or ""

    @property
    def divisions(self) -> list[tuple[str, list[Row]]]:
        """Rows by division, everybody together first."""
        names = list(dict.fromkeys(row.division for row in self.rows))
        return [(name, [row for row in self.rows if row.division == name]) for name in names]

    @property
    def searches(self) -> list[Searched]:
        """Everybody in every gallery that was made, and each cohort in the largest. Older records have none."""
        found = [one for one in self.content.get("identification", ()) if one["fpir"]]
        largest = max((one["templates"] for one in found), default=0)
        return [
            Searched(
                f"{one['cohort']} ({one['division']})" if one["division"] else one["cohort"],
                one["people"],
                one["templates"],
                Figure.of(one["fpir"][0]),
                one_in(one["predicted_fpir"]),
            )
            for one in found
            if not one["division"] or one["templates"] == largest
        ]

    @property
    def accuracy_words(self) -> str:
        """What the accuracy of a protocol with folds is. Empty where there is none."""
        return ACCURACY_WORDS if self.content.get("pair_accuracy") else ""

    @property
    def accuracy_header(self) -> Sequence[str]:
        return ACCURACY_HEADER

    @property
    def accuracy_rows(self) -> list[list[str]]:
        return accuracy_rows(self.content) if self.accuracy_words else []

    @property
    def labels(self) -> str:
        """What the rates without some pairs are; empty where no pair was left out."""
        return labels_words(self.content)

    @property
    def labels_rows(self) -> list[tuple[str, str, Figure]]:
        """(who, with which labels, false-match rate), where a review found labels wrong."""
        return [(who, how, Figure.of(rate)) for who, how, rate in labels_rows(self.content)]

    @property
    def reasons(self) -> list[str]:
        """Why the verdict is what it is."""
        return (self.content["verdict"] or {}).get("reasons", [])


@dataclass(frozen=True)
class File:
    """One file of a report: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


def published(*, face_model: str = "", set_hash: str = "", verdict: str = "") -> QuerySet[Evaluation]:
    """The published evaluations, newest first; empty strings do not narrow."""
    found = Evaluation.objects.exclude(published_at=None).order_by("-published_at")
    asked = {"face_model": face_model, "set_hash": set_hash, "verdict": verdict}
    return found.filter(**{name: value for name, value in asked.items() if value})


def choices() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The face models and the benchmark sets that reports are about: value and words."""
    rows = Evaluation.objects.exclude(published_at=None).order_by("face_model_name", "title")
    models = {row.face_model: f"{row.face_model_name} ({row.face_model[:12]}…)" for row in rows}
    sets = {row.set_hash: f"{row.title} ({row.set_hash[:12]}…)" for row in rows}
    return list(models.items()), list(sets.items())


def read(evaluation: Evaluation) -> Report:
    """The report of a published evaluation. Raises NotFound when its record is gone or is not the one that was logged."""
    try:
        data = evaluations.file(evaluation, "report.json").read_bytes()
    except OSError as problem:
        raise NotFound("The files of this report are not on this machine.") from problem
    if hashlib.sha256(data).hexdigest() != evaluation.report_sha256:
        raise NotFound(
            "The record of this report is not the one that was published: its SHA-256 differs from the entry in the log. "
            "Tell the oversight board."
        )
    content = json.loads(data)
    return Report(evaluation, content, finding(content), list(_rows(content)))


def files(evaluation: Evaluation) -> list[File]:
    """What can be downloaded, with SHA-256."""
    found = []
    for name in evaluations.files(evaluation):
        data = evaluations.file(evaluation, name).read_bytes()
        found.append(File(name, len(data), hashlib.sha256(data).hexdigest()))
    return found


def _rows(content: Mapping[str, Any]) -> Iterator[Row]:
    yield _row("", "Everybody together", content["overall"])
    for division in content["divisions"]:
        for cohort in division["cohorts"]:
            yield _row(division["columns"], cohort["name"], cohort)


def _row(division: str, cohort: str, rates: Mapping[str, Any]) -> Row:
    return Row(division, cohort, *(Figure.of(rates[name]) for name in STATISTICS))
