"""What was measured about the face model of a search: said beside every candidate, or said to be missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit import evaluations
from audit.fairness.rates import predicted_fpir
from audit.fairness.wording import one_in
from audit.models import Evaluation
from core import database
from core.exceptions import NotFound
from search import shards
from search.gate import client
from search.models import SearchRequest

_PERCENT: Final = 95
_ALWAYS: Final = 0.995


@dataclass(frozen=True)
class CohortRate:
    """The rate within one cohort, in words: "1 in 410", with its interval and counts.

    `searches`: how often a search of somebody of this cohort who is *not* enrolled would return somebody, predicted for the
    gallery's size; empty where the size is not known.
    """

    name: str
    rate: str
    interval: str
    counts: str
    searches: str = ""


@dataclass(frozen=True)
class Measured:
    """False-match rate of the face model at `threshold` (millionths), in words. A comparison is one photo against one other.

    `searches` is predicted for the gallery that was searched, `seen` measured in the largest gallery of benchmark people; both
    say how often a search of somebody who is not enrolled returns somebody. `watermark` is empty for real people. `evaluation` is the page's id of the report.
    """

    rate: str
    interval: str
    counts: str
    threshold: int
    title: str
    evaluation: str
    watermark: str = ""
    searches: str = ""
    seen: str = ""
    cohorts: list[CohortRate] = field(default_factory=list)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Measured:
        """From its JSON form."""
        return cls(**{**values, "cohorts": [CohortRate(**one) for one in values["cohorts"]]})


def of(request: SearchRequest, templates: int | None = None) -> Measured | None:
    """What the latest adopted evaluation of the search's face model measured at or below its threshold.

    With `templates` (how many were searched) also what that means for one search of such a gallery.

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
        overall = _words("", report["overall"]["fmr"], templates)
        cohorts = (
            [_words(one["name"], one["fmr"], templates) for one in report["divisions"][0]["cohorts"]]
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
        searches=overall.searches,
        seen=_seen(report),
        cohorts=cohorts,
    )


def gallery_size(request: SearchRequest) -> int | None:
    """Templates in what a search looks through now, edition or sub-gallery, on all its servers; None before one was chosen, or where
    one is away."""
    if request.gallery_id is None or request.edition is None:
        return None
    try:
        with database.connect("app") as own, shards.opened(request, own) as servers:
            sizes = [_size(request, server) for server in servers]
    except shards.ServerTrouble:
        return None
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _size(request: SearchRequest, server: shards.Server) -> int | None:
    if request.sub_gallery:
        parts = (one for one in client.sub_galleries(server.connection) if one.edition == server.edition)
        return next((one.templates for one in parts if one.name == request.sub_gallery), None)
    found = client.editions(server.connection, request.gallery_id)
    return next((one.templates for one in found if one.edition == server.edition), None)


def _words(name: str, rate: Mapping[str, Any], templates: int | None) -> CohortRate:
    interval = rate["interval"]
    return CohortRate(
        name=name,
        rate=one_in(rate["rate"]),
        interval="no interval"
        if interval is None
        else f"{_PERCENT} % interval {one_in(interval['low'])} to {one_in(interval['high'])}",
        counts=f"{rate['errors']:,} of {rate['trials']:,} comparisons",
        searches=_searches(rate, templates) if templates else "",
    )


def _seen(report: Mapping[str, Any]) -> str:
    everybody = [one for one in report.get("identification", ()) if not one["division"] and one["fpir"]]
    if not everybody:
        return ""
    largest = max(everybody, key=lambda one: one["templates"])
    rate = largest["fpir"][0]
    return f"{rate['errors']:,} of {rate['trials']:,} searches of a gallery of {largest['templates']:,} photos"


def _searches(rate: Mapping[str, Any], templates: int) -> str:
    """1 - (1 - FMR)^N of the rate and of both ends of its interval (NISTIR 8429 Annex B; comparisons taken as independent)."""
    interval = rate["interval"]
    if rate["rate"] is None or interval is None:
        return "cannot be said from so few people"
    low, middle, high = (
        _in_searches(predicted_fpir(value, templates)) for value in (interval["low"], rate["rate"], interval["high"])
    )
    if rate["errors"] == 0:
        return f"at most {high}"
    return f"about {middle}" if low == high else f"about {middle} ({_PERCENT} % interval {low} to {high})"


def _in_searches(fpir: float) -> str:
    return "every search" if fpir >= _ALWAYS else one_in(fpir)
