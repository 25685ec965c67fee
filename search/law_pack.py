"""A jurisdiction's rules as frozen data: what one file of search/law_packs/ says.

Every rule carries its source. A rule that no law asks for is a house rule of Glasscase: it has no citation and says so.
Exceptions are always written as exceptions ("all purposes but these"), never as lists of the cases a rule applies to:
so a missing or wrong purpose can only make a request meet more rules, not fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum

from search.vocabulary import OFFENCES, PROBE_KINDS, OffenceClass

HOUSE = "Glasscase house rule"
COMPARABLE = frozenset(
    {"purposes", "offences", "legal_basis", "authority", "emergency", "approval", "training", "justification", "probe"}
)
"""Rules of which one pack can be stricter than another."""


@dataclass(frozen=True)
class Source:
    """Where a rule comes from. `citation` is empty for a house rule; `verified` is false until somebody has compared the
    rule with the primary text, and `note` then says what was read instead."""

    citation: str = ""
    verified: bool = True
    note: str = ""

    @property
    def caveat(self) -> str:
        """What a page says beside an unverified citation; empty for a verified one."""
        if self.verified:
            return ""
        return f"{self.note} Check the primary text." if self.note else "From memory: check the primary text."

    @property
    def name(self) -> str:
        return self.citation or HOUSE


@dataclass(frozen=True, kw_only=True)
class Rule:
    source: Source


@dataclass(frozen=True, kw_only=True)
class CaseRule(Rule):
    """Every search names a case."""


@dataclass(frozen=True, kw_only=True)
class PurposeRule(Rule):
    allowed: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class OffenceRule(Rule):
    """`classes` and `codes` together are the whitelist; `no_crime_purposes` may be pursued where no crime is named."""

    classes: frozenset[OffenceClass]
    codes: frozenset[str]
    no_crime_purposes: frozenset[str]

    def allows(self, offence: str) -> bool:
        found = OFFENCES.get(offence)
        return found is not None and (found.code in self.codes or found.offence_class in self.classes)

    @property
    def allowed_codes(self) -> frozenset[str]:
        return frozenset(code for code in OFFENCES if self.allows(code))


@dataclass(frozen=True, kw_only=True)
class LegalBasisRule(Rule):
    """One of `allowed` must be named, except for `except_purposes`."""

    allowed: frozenset[str]
    except_purposes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class AuthorityRule(Rule):
    """One document of the kinds `any_of` must be attached, except for some purposes or legal bases, or later in an
    emergency when `later_in_emergency`."""

    any_of: frozenset[str]
    except_purposes: frozenset[str]
    except_legal_bases: frozenset[str]
    later_in_emergency: bool


class AfterDeadline(StrEnum):
    """What happens to an emergency search's results when approval or authority is not there in time."""

    SEAL = "seal"
    ERASE = "erase"


@dataclass(frozen=True, kw_only=True)
class EmergencyRule(Rule):
    """For which purposes a search may run first and be justified later; no purposes: there is no emergency path."""

    purposes: frozenset[str]
    deadline_hours: int
    after_deadline: AfterDeadline | None

    @property
    def allowed(self) -> bool:
        return bool(self.purposes)


@dataclass(frozen=True, kw_only=True)
class ApprovalRule(Rule):
    """`count` other people who hold one of `roles` must approve."""

    count: int
    roles: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class TrainingRule(Rule):
    max_age_days: int


@dataclass(frozen=True, kw_only=True)
class JustificationRule(Rule):
    min_characters: int
    min_distinct_words: int


@dataclass(frozen=True, kw_only=True)
class FaceRule(Rule):
    """One face is chosen, and the others are left alone."""


@dataclass(frozen=True, kw_only=True)
class ProbeRule(Rule):
    """Kinds of photo that are refused."""

    refused: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class ProhibitedRule(Rule):
    """Purposes nobody may pursue; wording that reads like them is held for counsel."""

    purposes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class DisclosureRule(Rule):
    """Somebody has to be told of the search: `duty` is the sentence, `after` the steps (PROCEDURES) that make it due."""

    duty: str
    after: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class LawPack:
    """The rules of one jurisdiction, in force from `effective_from` up to but not including `effective_to`."""

    code: str
    name: str
    summary: str
    effective_from: date
    effective_to: date | None
    effective_note: str
    case: CaseRule
    purposes: PurposeRule
    offences: OffenceRule
    legal_basis: tuple[LegalBasisRule, ...]
    authority: tuple[AuthorityRule, ...]
    emergency: EmergencyRule
    approval: ApprovalRule
    training: TrainingRule
    justification: JustificationRule
    face: FaceRule
    probe: tuple[ProbeRule, ...]
    prohibited: tuple[ProhibitedRule, ...]
    disclosure: tuple[DisclosureRule, ...]
    as_strict_as: Mapping[str, tuple[str, ...]]
    """Rule name -> codes of packs that this pack claims to be at least as strict as in that rule (only `default`)."""

    def in_force(self, at: datetime) -> bool:
        """Whether the pack applies at `at`, by the calendar of its time zone. Raises ValueError for a naive time."""
        if at.tzinfo is None:
            raise ValueError("the time must carry its time zone")
        day = at.date()
        return self.effective_from <= day and (self.effective_to is None or day < self.effective_to)

    def prohibiting(self, purpose: str) -> Source | None:
        """The source that prohibits `purpose`; a source with a citation goes before a house rule."""
        sources = [rule.source for rule in self.prohibited if purpose in rule.purposes]
        return next((source for source in sources if source.citation), sources[0] if sources else None)

    def refusing(self, kind: str) -> Source | None:
        """The source that refuses a kind of probe; None when it is allowed."""
        found = next((rule.source for rule in self.probe if kind in rule.refused), None)
        if found is None and (kind not in PROBE_KINDS or not PROBE_KINDS[kind].possible):
            return Source()
        return found

    @property
    def rules(self) -> list[tuple[str, Rule]]:
        """(name, rule) of every rule of the pack, in the order of the fields."""
        found: list[tuple[str, Rule]] = []
        for field in fields(self):
            value = getattr(self, field.name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Rule):
                    found.append((field.name, item))
        return found
