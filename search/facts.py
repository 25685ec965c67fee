"""What the rules need to know about one request at one moment, gathered beforehand so that the rules stay pure.

Nothing here has a default: a fact that a caller forgot must not look like a fact that is fine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from search.justification import Fingerprint


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """The case that the request's number names."""

    confirmed: bool
    closed_on: date | None
    assigned_to_requester: bool
    offence: str


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """One quality limit that the chosen face misses: code for the log, sentence with the measured value for people."""

    code: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ProbeFacts:
    """The photo as read and measured. `faces_found` counts from 0, `chosen_face` from 1 as the boxes are numbered."""

    kind: str
    faces_found: int
    chosen_face: int | None
    shortfalls: tuple[Shortfall, ...]
    quality_override_by: str | None


@dataclass(frozen=True, kw_only=True)
class GalleryFacts:
    """The gallery that was asked for. `threshold_floor_micro` is the least threshold that a current, accepted evaluation
    of this edition's face model allows (match score x 10^6); None when there is no such evaluation."""

    active: bool
    searchable_edition: bool
    same_face_model: bool
    threshold_floor_micro: int | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One request at `now`, whose time zone decides what day it is for the agency. Raises ValueError for a naive `now`.

    `case`, `probe` and `gallery` are None when what was typed or sent names none. `other_fingerprints` are those of
    justifications used in other cases, under the same key as `fingerprint`. `withheld_purposes` are purposes that the
    agency itself switched off; `gate_approvals` is what `gate.policy` demands for this gallery and purpose.
    `released_holds` are codes of holding rules that counsel has released for this request.
    """

    now: datetime
    requester: str
    case_number: str
    case: CaseFacts | None
    purpose: str
    legal_basis: str
    justification: str = field(repr=False)
    fingerprint: Fingerprint = field(repr=False)
    other_fingerprints: tuple[Fingerprint, ...] = field(repr=False)
    attachments: frozenset[str]
    emergency: bool
    overdue_emergencies: int
    training_until: date | None
    probe: ProbeFacts | None
    gallery: GalleryFacts | None
    k: int
    k_max: int
    threshold_micro: int
    withheld_purposes: frozenset[str]
    gate_approvals: int
    released_holds: frozenset[str]

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("now must carry its time zone")

    @property
    def offence(self) -> str:
        return self.case.offence if self.case else ""

    @property
    def today(self) -> date:
        return self.now.date()
