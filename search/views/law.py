"""The law packs, for everybody signed in; what the product cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core import access
from core.exceptions import NotFound
from core.views.requests import person
from search import law, plain_text

_ROWS: Final = (
    "case", "purposes", "offences", "no crime named", "legal basis", "authority", "emergency", "approval", "training",
    "justification", "face", "refused photos", "prohibited", "disclosure",
)  # fmt: skip


@access.everyone_signed_in
@require_safe
def law_packs(request: HttpRequest) -> HttpResponse:
    """Every law pack that ships; one's own first."""
    agency = person(request).agency
    own = agency.law_pack if agency else ""
    now = timezone.now()
    rows = [{"pack": one, "own": one.code == own, "in_force": one.in_force(now)} for one in law.packs()]
    rows.sort(key=lambda row: (not row["own"], str(row["pack"])))
    return render(request, "search/law_packs.html", {"rows": rows, "agency": agency})


@access.everyone_signed_in
@require_safe
def law_pack(request: HttpRequest, code: str) -> HttpResponse:
    """One law pack: every rule in words, with its source."""
    editions = [one for one in law.packs() if one.code == code]
    if not editions:
        raise NotFound("There is no such law pack.")
    now = timezone.now()
    chosen = next((one for one in editions if one.in_force(now)), editions[-1])
    context = {"pack": chosen, "rows": law.rows(chosen), "in_force": chosen.in_force(now)}
    return render(request, "search/law_pack.html", context)


@access.everyone_signed_in
@require_safe
def limitations(request: HttpRequest) -> HttpResponse:
    """LIMITATIONS.md, as it ships."""
    file = Path(settings.BASE_DIR) / "LIMITATIONS.md"
    if not file.is_file():
        raise NotFound("The list of limitations is missing from this installation. Tell your administrator.")
    return render(request, "search/limitations.html", {"blocks": plain_text.blocks(file.read_text("utf-8"))})
