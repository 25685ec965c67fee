"""Facts of a request with nothing against it, for tests that make one thing wrong at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from search.facts import CaseFacts, Facts, GalleryFacts, ProbeFacts
from search.justification import fingerprint

KEY = b"test key of an installation 0123"
NOW = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
STORY = (
    "On 12 May 2026 at 22:15 two men broke the rear window of the pharmacy at 410 Oak Avenue and beat the owner when he "
    "came down with a torch. The picture shows the taller one under the lamp; the owner says that man hit him. Prints and "
    "the plate of their van led nowhere."
)
OTHER_STORY = (
    "A clerk of the petrol station on Route 9 was stabbed while closing on Sunday evening. A passer-by photographed the "
    "attacker from across the street as he climbed into a grey van. The knife was found, without prints."
)

CASE = CaseFacts(confirmed=True, closed_on=None, assigned_to_requester=True, offence="robbery")
PROBE = ProbeFacts(kind="photo", faces_found=1, chosen_face=None, shortfalls=(), quality_override_by=None)
GALLERY = GalleryFacts(active=True, searchable_edition=True, same_face_model=True, threshold_floor_micro=450_000)


def fine_facts(**changes: Any) -> Facts:
    """A request that the Utah pack has nothing against, with `changes`; a changed justification gets its fingerprint."""
    if "justification" in changes:
        changes.setdefault("fingerprint", fingerprint(changes["justification"], KEY))
    facts = Facts(
        now=NOW,
        requester="olivia",
        case_number="2026-00147",
        case=CASE,
        purpose="identify_suspect",
        legal_basis="fair_probability",
        justification=STORY,
        fingerprint=fingerprint(STORY, KEY),
        other_fingerprints=(fingerprint(OTHER_STORY, KEY),),
        attachments=frozenset(),
        emergency=False,
        overdue_emergencies=0,
        training_until=date(2026, 12, 31),
        probe=PROBE,
        gallery=GALLERY,
        k=20,
        k_max=50,
        threshold_micro=500_000,
        withheld_purposes=frozenset(),
        gate_approvals=0,
        released_holds=frozenset(),
    )
    return replace(facts, **changes)
