"""How often leads were wrong: for the board and auditors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit.fairness import operational
from audit.fairness.operational import Division, Share
from audit.oversight import lead_rates
from core import access
from core.person_roles import Permission
from core.views.requests import person
from search.vocabulary import OFFENCES

# The figure, in its own units: bars run from LEFT to LEFT + WIDTH.
_LEFT: Final = 190
_WIDTH: Final = 420
_ROW: Final = 34


@dataclass(frozen=True)
class _Bar:
    """One line of the figure: where interval and rate lie, in the figure's units; without both only the name stands."""

    name: str
    y: int
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    said: str = ""


@access.having(Permission.READ_LOG)
@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    """The rates with intervals, divided by offence, face model and cohort."""
    found = lead_rates.read(person(request), "page")
    divisions = [
        (division.name, [(_label(division, share), share, operational.sentence(share)) for share in division.shares])
        for division in found.divisions
    ]
    context = {
        "total": found.total,
        "said": operational.sentence(found.total),
        "nothing": found.total.state == "too_few",
        "divisions": divisions,
        "smallest": operational.SMALLEST,
        "figures": [(division.name, *_figure(division)) for division in found.divisions],
        "ticks": [(_x(share), f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)],
    }
    return render(request, "audit/lead_rates.html", context)


@access.having(Permission.READ_LOG)
@require_safe
@never_cache
def table(request: HttpRequest) -> HttpResponse:
    """The same as CSV."""
    found = lead_rates.read(person(request), "csv")
    response = HttpResponse(operational.as_csv(found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="lead-rates.csv"'
    return response


def _figure(division: Division) -> tuple[list[_Bar], int]:
    bars = []
    for place, share in enumerate(division.shares):
        y = 30 + place * _ROW
        if share.rate is None:
            bars.append(_Bar(_label(division, share), y, said="not shown" if share.state == "too_few" else "not known"))
        else:
            low, high = (None if one is None else _x(one) for one in (share.low, share.high))
            bars.append(_Bar(_label(division, share), y, _x(share.rate), low, high))
    return bars, 30 + len(bars) * _ROW


def _x(share: float) -> float:
    return round(_LEFT + _WIDTH * share, 1)


def _label(division: Division, share: Share) -> str:
    if division.name == "offence" and share.name in OFFENCES:
        return OFFENCES[share.name].label
    return f"{share.name[:12]}…" if division.name == "face model" else share.name
