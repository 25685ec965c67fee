"""Examiners at work, for tests: readings and decisions through the services."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from core.models import User
from search import leads, readings, reviews
from search.comparison import Finding
from search.models import Lead, ReviewDecision, SearchRequest
from search.readings import Reading
from tests.search.stage import Stage

REMARK = "The left ear agrees in every fold."
LEAD_NOTE = "Seen in the quarter before."
ALIKE = ("nose", "ears", "eyebrows")


def same(template: Any, **changes: Any) -> Finding:
    return Finding(**{"template": str(template), "conclusion": "support_same", "alike": ALIKE, **changes})


def differs(template: Any, **changes: Any) -> Finding:
    return Finding(**{"template": str(template), "conclusion": "support_different", "different": ("ears",), **changes})


def unsure(template: Any, **changes: Any) -> Finding:
    return Finding(**{"template": str(template), "conclusion": "inconclusive", "caveats": ("blur",), **changes})


def opened(by: User, request: SearchRequest) -> Reading:
    return readings.open_candidates(by=by, request=request)


def decided(by: User, request: SearchRequest, make: Any = same, note: str = "") -> ReviewDecision:
    """Opens and decides: `make` on the first candidate of the gate's list, different people on every other one."""
    reading = opened(by, request)
    kept = reviews.reading(by, request, reading.view)
    listed = [template for template, _ in readings.shown(kept)["candidates"]]
    findings = [make(template) if place == 0 else differs(template) for place, template in enumerate(listed)]
    return reviews.decide(by=by, request=request, view=reading.view, findings=findings, note=note)


def as_json(finding: Finding) -> dict[str, Any]:
    return asdict(finding)


def as_form(*findings: Finding, **fields: Any) -> dict[str, Any]:
    """The fields of the page's form."""
    data: dict[str, Any] = dict(fields)
    for one in findings:
        for name in ("conclusion", "alike", "different", "caveats"):
            data[f"{one.template}-{name}"] = getattr(one, name)
    return data


def agree(stage: Stage, request: SearchRequest) -> None:
    """Both examiners support the first candidate; the one who decides first has a remark."""
    decided(stage.cast.erin, request, note=REMARK)
    decided(stage.cast.ed, request)


def release(stage: Stage, request: SearchRequest) -> Lead:
    """What they agree on, released by Sam."""
    [lead] = leads.release(by=stage.cast.sam, request=request, templates=reviews.agreed(request), note=LEAD_NOTE)
    return lead
