"""The law packs: which rules a jurisdiction sets, from which day, and what they ask of one request.

`python -m search.law` prints docs/reference/law-packs.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from search.law_pack import HOUSE, AfterDeadline, AuthorityRule, LawPack, LegalBasisRule, Source
from search.law_reader import read_folder
from search.law_table import LawPackError
from search.vocabulary import (
    ATTACHMENT_KINDS,
    LEGAL_BASES,
    OFFENCES,
    PROBE_KINDS,
    PROCEDURES,
    PROHIBITED_PURPOSES,
    PURPOSES,
    OffenceClass,
    Term,
)

__all__ = [
    "HOUSE",
    "AfterDeadline",
    "LawPack",
    "LawPackError",
    "NoLawPack",
    "Requirement",
    "Source",
    "as_markdown",
    "asked_authority",
    "asked_legal_bases",
    "labels",
    "pack",
    "packs",
    "requirements",
]

FOLDER = Path(__file__).parent / "law_packs"


class NoLawPack(LookupError):
    """No law pack has this code, or none of its editions is in force at the time; the message says which."""


@cache
def packs() -> tuple[LawPack, ...]:
    """Every edition of every law pack that ships, by code and date. Raises LawPackError when one cannot be read."""
    return read_folder(FOLDER)


def pack(code: str, at: datetime) -> LawPack:
    """The edition of law pack `code` in force at `at` (with its time zone, which decides the day).

    Raises NoLawPack, and ValueError for a time without a zone.
    """
    editions = [one for one in packs() if one.code == code]
    if not editions:
        raise NoLawPack(
            f"There is no law pack {code!r}. Choose one of: {', '.join(sorted({p.code for p in packs()}))}."
        )
    for one in editions:
        if one.in_force(at):
            return one
    latest = max(editions, key=lambda one: one.effective_from)
    ended = f"ran until {latest.effective_to:%Y-%m-%d}" if latest.effective_to else "starts later"
    raise NoLawPack(f"No edition of the law pack {latest.name} is in force on {at:%Y-%m-%d}; the latest {ended}.")


@dataclass(frozen=True)
class Requirement:
    """One thing that the law pack asks of the request as chosen so far, for the form to show beside `field`."""

    field: str
    sentence: str
    citation: str
    verified: bool


def requirements(pack: LawPack, purpose: str, offence: str, *, emergency: bool = False) -> list[Requirement]:
    """What `pack` asks for this purpose and offence (empty or unknown codes: what it asks of every request)."""
    found: list[Requirement] = []

    def ask(field: str, sentence: str, source: Source) -> None:
        found.append(Requirement(field, sentence, source.citation, source.verified))

    ask("case_number", "Give the number of the case.", pack.case.source)
    if purpose not in pack.purposes.allowed:
        ask("purpose", f"Choose a purpose: {labels(pack.purposes.allowed, PURPOSES)}.", pack.purposes.source)
    if not pack.offences.allows(offence) and not (
        _names_no_crime(offence) and purpose in pack.offences.no_crime_purposes
    ):
        ask("offence", f"The case must concern one of: {_offences(pack)}.", pack.offences.source)
    for basis in asked_legal_bases(pack, purpose):
        ask("legal_basis", f"Name a legal basis: {labels(basis.allowed, LEGAL_BASES)}.", basis.source)
    ask(
        "justification",
        f"Tell what happened in at least {pack.justification.min_characters} characters.",
        pack.justification.source,
    )
    for authority in asked_authority(pack, purpose, ""):
        sentence = f"Attach: {labels(authority.any_of, ATTACHMENT_KINDS, ' or ')}"
        if authority.except_legal_bases:
            sentence += f" (not for: {labels(authority.except_legal_bases, LEGAL_BASES)})"
        if emergency and authority.later_in_emergency and purpose in pack.emergency.purposes:
            sentence += f", within {pack.emergency.deadline_hours} hours"
        ask("attachments", sentence + ".", authority.source)
    if emergency:
        ask("emergency", _emergency_sentence(pack), pack.emergency.source)
    roles = " or ".join(sorted(pack.approval.roles))
    people = "Another person" if pack.approval.count == 1 else f"{pack.approval.count} other people"
    ask("approval", f"{people} must approve: {roles}.", pack.approval.source)
    ask("training", f"Your training must be at most {pack.training.max_age_days} days old.", pack.training.source)
    ask("chosen_face", "Choose the one face to search for; the others are left alone.", pack.face.source)
    for rule in pack.probe:
        ask("probe", f"Not accepted: {labels(rule.refused, PROBE_KINDS)}.", rule.source)
    return found


def asked_legal_bases(pack: LawPack, purpose: str) -> list[LegalBasisRule]:
    """The rules on the legal basis that apply to a purpose; an unknown or missing one has no exceptions."""
    return [rule for rule in pack.legal_basis if purpose not in rule.except_purposes]


def asked_authority(pack: LawPack, purpose: str, legal_basis: str) -> list[AuthorityRule]:
    """The rules on attached authority that apply; an unknown or missing purpose or legal basis has no exceptions."""
    return [
        rule
        for rule in pack.authority
        if purpose not in rule.except_purposes and legal_basis not in rule.except_legal_bases
    ]


def labels(codes: Iterable[str], terms: Mapping[str, Term], joiner: str = ", ") -> str:
    """Labels of `codes` in the order of the closed list `terms`, starting in lower case for use inside a sentence."""
    wanted = set(codes)
    return joiner.join(_inside(term.label) for code, term in terms.items() if code in wanted)


def as_markdown() -> str:
    """The page docs/reference/law-packs.md."""
    lines = [
        "# Law packs",
        "",
        "Generated from `search/law_packs/*.toml` by `python -m search.law`; do not edit here.",
        "",
        "Nothing here is legal advice. A rule marked *check* was not compared with the primary text of the law. A rule",
        f"without a citation is a {HOUSE}: no law we know asks for it there, Glasscase does.",
        "A pack binds a search by the day on which it is asked for.",
    ]
    for one in packs():
        ends = f" up to, not including, {one.effective_to}" if one.effective_to else ""
        note = f" {one.effective_note}" if one.effective_note else ""
        lines += ["", f"## {one.name} (`{one.code}`)", "", one.summary, ""]
        lines += [f"In force from {one.effective_from}{ends}.{note}", "", "| rule | says | source |", "|---|---|---|"]
        lines += [f"| {name} | {says} | {_source(source)} |" for name, says, source in rows(one)]
        if one.as_strict_as:
            claims = (f"{rule}: {', '.join(codes)}" for rule, codes in one.as_strict_as.items())
            lines += ["", "At least as strict as: " + "; ".join(claims) + "."]
    return "\n".join(lines) + "\n"


def rows(one: LawPack) -> list[tuple[str, str, Source]]:
    """(rule, what it says, where it comes from) for every rule of a pack, as pages and reference show them."""
    o, e, j = one.offences, one.emergency, one.justification
    found = [
        ("case", "a case number", one.case.source),
        ("purposes", labels(one.purposes.allowed, PURPOSES), one.purposes.source),
        ("offences", _offences(one), o.source),
    ]
    if o.no_crime_purposes:
        found.append(("no crime named", f"allowed for: {labels(o.no_crime_purposes, PURPOSES)}", o.source))
    for basis in one.legal_basis:
        found.append(("legal basis", labels(basis.allowed, LEGAL_BASES) + _except(basis.except_purposes), basis.source))
    for rule in one.authority:
        says = labels(rule.any_of, ATTACHMENT_KINDS, " or ") + _except(rule.except_purposes)
        if rule.except_legal_bases:
            says += f"; except on: {labels(rule.except_legal_bases, LEGAL_BASES)}"
        says += "; later in an emergency" if rule.later_in_emergency else "; also in an emergency"
        found.append(("authority", says, rule.source))
    found.append(("emergency", _emergency_sentence(one), e.source))
    found.append(
        ("approval", f"{one.approval.count} by {' or '.join(sorted(one.approval.roles))}", one.approval.source)
    )
    found.append(("training", f"at most {one.training.max_age_days} days old", one.training.source))
    least = f"at least {j.min_characters} characters and {j.min_distinct_words} different words"
    found.append(("justification", least, j.source))
    found.append(("face", "one face is chosen; the others are left alone", one.face.source))
    found += [("refused photos", labels(rule.refused, PROBE_KINDS), rule.source) for rule in one.probe]
    for ban in one.prohibited:
        own = [purpose for purpose in ban.purposes if one.prohibiting(purpose) == ban.source]
        found.append(("prohibited", labels(own, PROHIBITED_PURPOSES), ban.source))
    for owed in one.disclosure:
        found.append(
            ("disclosure", f"after {labels(owed.after, PROCEDURES, ' or ')}: {_inside(owed.duty)}", owed.source)
        )
    return found


def _source(source: Source) -> str:
    says = source.name if source.verified else f"{source.name} (*check*)"
    return f"{says}. {source.note}" if source.note else says


def _except(purposes: frozenset[str]) -> str:
    return f"; except for: {labels(purposes, PURPOSES)}" if purposes else ""


def _emergency_sentence(one: LawPack) -> str:
    if not one.emergency.allowed:
        return "There is no emergency path."
    then = "erased" if one.emergency.after_deadline is AfterDeadline.ERASE else "sealed"
    return (
        f"For {labels(one.emergency.purposes, PURPOSES)} the search may run first; without approval and documents "
        f"within {one.emergency.deadline_hours} hours its result is {then}."
    )


def _offences(one: LawPack) -> str:
    kinds = [str(kind).replace("_", " ") for kind in OffenceClass if kind in one.offences.classes]
    return ", ".join([*kinds, *filter(None, [labels(one.offences.codes, OFFENCES)])])


def _names_no_crime(offence: str) -> bool:
    return offence in OFFENCES and OFFENCES[offence].offence_class is OffenceClass.NO_CRIME


def _inside(label: str) -> str:
    return label[:1].lower() + label[1:]


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
