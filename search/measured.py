"""What was measured about the face model of a search: said beside every candidate, or said to be missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit import evaluations
from audit.fairness.wording import one_in
from audit.models import Evaluation
from core.exceptions import NotFound
from search.models import SearchRequest

_PERCENT: Final = 95


@dataclass(frozen=True)
class CohortRate:
    """The rate within one cohort, in words: "1 in 410", with its interval and counts."""

    name: str
    rate: str
    interval: str
    counts: str


@dataclass(frozen=True)
class Measured:
    """False-match rate of the face model at `threshold` (millionths), in words. A comparison is one photo against one other.

    `watermark` is empty for real people. `evaluation` is the page's id of the report.
    """

    rate: str
    interval: str
    counts: str
    threshold: int
    title: str
    evaluation: str
    watermark: str = ""
    cohorts: list[CohortRate] = field(default_factory=list)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Measured:
        """From its JSON form."""
        return cls(**{**values, "cohorts": [CohortRate(**one) for one in values["cohorts"]]})


def of(request: SearchRequest) -> Measured | None:
    """What the latest adopted evaluation of the search's face model measured at or below its threshold.

    None when there is none, or its files are not here: then the page says "not measured".
    """
    found = (
        Evaluation.objects.filter(
            face_model=request.face_model, adopted_at__isnull=False, threshold__lte=request.threshold or 0
        )
        .order_by("-adopted_at")
        .first()
    )
    if found is None or found.threshold is None:
        return None
    try:
        report = json.loads(evaluations.file(found, "report.json").read_bytes())
        overall = _words("", report["overall"]["fmr"])
        cohorts = (
            [_words(one["name"], one["fmr"]) for one in report["divisions"][0]["cohorts"]]
            if report["divisions"]
            else []
        )
    except (NotFound, OSError, ValueError, KeyError, TypeError):
        return None
    return Measured(
        rate=overall.rate,
        interval=overall.interval,
        counts=overall.counts,
        threshold=found.threshold,
        title=found.title,
        evaluation=str(found.pk),
        watermark=report["benchmark"].get("watermark") or "",
        cohorts=cohorts,
    )


def _words(name: str, rate: Mapping[str, Any]) -> CohortRate:
    interval = rate["interval"]
    return CohortRate(
        name=name,
        rate=one_in(rate["rate"]),
        interval="no interval"
        if interval is None
        else f"{_PERCENT} % interval {one_in(interval['low'])} to {one_in(interval['high'])}",
        counts=f"{rate['errors']:,} of {rate['trials']:,} comparisons",
    )
