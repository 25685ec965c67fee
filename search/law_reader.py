"""Reads law packs from TOML and refuses whatever it does not understand.

A law pack is law for whoever runs this software, so nothing in it is guessed: an unknown key, an unknown code, a rule
without a source, a missing rule or two editions of one pack in force on the same day is an error that names the file.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from search.law_pack import (
    COMPARABLE,
    AfterDeadline,
    ApprovalRule,
    AuthorityRule,
    CaseRule,
    DisclosureRule,
    EmergencyRule,
    FaceRule,
    JustificationRule,
    LawPack,
    LegalBasisRule,
    OffenceRule,
    ProbeRule,
    ProhibitedRule,
    PurposeRule,
    TrainingRule,
)
from search.law_table import LawPackError, Table, listed
from search.vocabulary import (
    APPROVER_ROLES,
    ATTACHMENT_KINDS,
    LEGAL_BASES,
    OFFENCES,
    PROBE_KINDS,
    PROCEDURES,
    PROHIBITED_PURPOSES,
    PURPOSES,
    OffenceClass,
)


def read_folder(folder: Path) -> tuple[LawPack, ...]:
    """All packs of `folder` (*.toml), by code and date. Raises LawPackError, also for overlapping effective dates."""
    found = [read_pack(path.read_text(encoding="utf-8"), path.name) for path in sorted(folder.glob("*.toml"))]
    found.sort(key=lambda pack: (pack.code, pack.effective_from))
    for one, later in pairwise(found):
        if one.code == later.code and (one.effective_to is None or one.effective_to > later.effective_from):
            raise LawPackError(f"{one.code}: two editions are in force on {later.effective_from}")
    for pack in found:
        unknown = {code for codes in pack.as_strict_as.values() for code in codes} - {other.code for other in found}
        if unknown:
            raise LawPackError(f"{pack.code}: as_strict_as: unknown pack: {listed(unknown)}")
    return tuple(found)


def read_pack(text: str, name: str) -> LawPack:
    """One pack from TOML. `name` is what errors call the file. Raises LawPackError."""
    try:
        top = Table(name, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise LawPackError(f"{name}: not TOML: {error}") from None
    rules = top.table("rules")
    pack = LawPack(
        code=top.code("code"),
        name=top.text("name"),
        summary=top.text("summary"),
        effective_from=top.day("effective_from"),
        effective_to=top.optional_day("effective_to"),
        effective_note=top.text("effective_note", optional=True),
        case=_case(rules.table("case")),
        purposes=_purposes(rules.table("purposes")),
        offences=_offences(rules.table("offences")),
        legal_basis=tuple(_legal_basis(table) for table in rules.tables("legal_basis")),
        authority=tuple(_authority(table) for table in rules.tables("authority", optional=True)),
        emergency=_emergency(rules.table("emergency")),
        approval=_approval(rules.table("approval")),
        training=_training(rules.table("training")),
        justification=_justification(rules.table("justification")),
        face=_face(rules.table("face")),
        probe=tuple(_probe(table) for table in rules.tables("probe")),
        prohibited=tuple(_prohibited(table) for table in rules.tables("prohibited")),
        disclosure=tuple(_disclosure(table) for table in rules.tables("disclosure", optional=True)),
        as_strict_as=MappingProxyType(_claims(top.table("as_strict_as", optional=True))),
    )
    rules.done(None)
    top.done(None)
    if pack.effective_to is not None and pack.effective_to <= pack.effective_from:
        top.fail("effective_to", "must be later than effective_from")
    missing = PROHIBITED_PURPOSES.keys() - {purpose for rule in pack.prohibited for purpose in rule.purposes}
    if missing:
        top.fail("rules: prohibited", f"must name every prohibited purpose; missing: {listed(missing)}")
    # An exception for a purpose that is not allowed would quietly open what the list of purposes closes.
    spoken_of = {
        "offences: no_crime_purposes": pack.offences.no_crime_purposes,
        "emergency: purposes": pack.emergency.purposes,
        "legal_basis: except_purposes": frozenset().union(*(rule.except_purposes for rule in pack.legal_basis)),
        "authority: except_purposes": frozenset().union(*(rule.except_purposes for rule in pack.authority)),
    }
    for place, purposes in spoken_of.items():
        if not purposes <= pack.purposes.allowed:
            top.fail(f"rules: {place}", f"not an allowed purpose: {listed(purposes - pack.purposes.allowed)}")
    return pack


def _case(table: Table) -> CaseRule:
    return table.done(CaseRule(source=table.source()))


def _purposes(table: Table) -> PurposeRule:
    return table.done(PurposeRule(source=table.source(), allowed=table.codes("allowed", PURPOSES)))


def _offences(table: Table) -> OffenceRule:
    classes = table.codes("classes", [str(c) for c in OffenceClass if c != OffenceClass.NO_CRIME], may_be_empty=True)
    rule = OffenceRule(
        source=table.source(),
        classes=frozenset(OffenceClass(code) for code in classes),
        codes=table.codes("codes", OFFENCES, may_be_empty=True),
        no_crime_purposes=table.codes("no_crime_purposes", PURPOSES, may_be_empty=True),
    )
    if not rule.allowed_codes:
        table.fail("codes", "no offence is allowed")
    return table.done(rule)


def _legal_basis(table: Table) -> LegalBasisRule:
    rule = LegalBasisRule(
        source=table.source(),
        allowed=table.codes("allowed", LEGAL_BASES),
        except_purposes=table.codes("except_purposes", PURPOSES, may_be_empty=True),
    )
    return table.done(rule)


def _authority(table: Table) -> AuthorityRule:
    rule = AuthorityRule(
        source=table.source(),
        any_of=table.codes("any_of", ATTACHMENT_KINDS),
        except_purposes=table.codes("except_purposes", PURPOSES, may_be_empty=True),
        except_legal_bases=table.codes("except_legal_bases", LEGAL_BASES, may_be_empty=True),
        later_in_emergency=table.flag("later_in_emergency"),
    )
    return table.done(rule)


def _emergency(table: Table) -> EmergencyRule:
    allowed = table.flag("allowed")
    source = table.source()
    if not allowed:
        return table.done(EmergencyRule(source=source, purposes=frozenset(), deadline_hours=0, after_deadline=None))
    after = table.text("after_deadline")
    if after not in set(AfterDeadline):
        table.fail("after_deadline", f"unknown value: {after}")
    rule = EmergencyRule(
        source=source,
        purposes=table.codes("purposes", PURPOSES),
        deadline_hours=table.number("deadline_hours", 1, 168),
        after_deadline=AfterDeadline(after),
    )
    return table.done(rule)


def _approval(table: Table) -> ApprovalRule:
    rule = ApprovalRule(
        source=table.source(), count=table.number("count", 1, 3), roles=table.codes("roles", APPROVER_ROLES)
    )
    return table.done(rule)


def _training(table: Table) -> TrainingRule:
    return table.done(TrainingRule(source=table.source(), max_age_days=table.number("max_age_days", 1, 1830)))


def _justification(table: Table) -> JustificationRule:
    rule = JustificationRule(
        source=table.source(),
        min_characters=table.number("min_characters", 40, 2000),
        min_distinct_words=table.number("min_distinct_words", 8, 200),
    )
    return table.done(rule)


def _face(table: Table) -> FaceRule:
    return table.done(FaceRule(source=table.source()))


def _probe(table: Table) -> ProbeRule:
    return table.done(ProbeRule(source=table.source(), refused=table.codes("refused", PROBE_KINDS)))


def _prohibited(table: Table) -> ProhibitedRule:
    return table.done(ProhibitedRule(source=table.source(), purposes=table.codes("purposes", PROHIBITED_PURPOSES)))


def _disclosure(table: Table) -> DisclosureRule:
    rule = DisclosureRule(source=table.source(), duty=table.text("duty"), after=table.codes("after", PROCEDURES))
    return table.done(rule)


def _claims(table: Table) -> dict[str, tuple[str, ...]]:
    unknown = set(table.keys) - COMPARABLE
    if unknown:
        table.fail(listed(unknown), "no such rule to compare")
    claims = {rule: tuple(table.names(rule)) for rule in table.keys}
    return table.done(claims)
