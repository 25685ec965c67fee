"""When a search may be asked for: one small pure function per rule.

Who may do something is permissions.py's question; whether this request, of this case, with this photo, on this day, may
go on is answered here. A rule looks at the facts and the law pack and either has nothing to say or gives the sentence
that the officer reads. All rules are always asked, so that everything that is missing is said at once.

Two kinds: a *refusal* ends the request; a *hold* sends it to counsel, who may release it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from search.facts import Facts
from search.justification import boilerplate, is_reused
from search.law import NoLawPack, asked_legal_bases, labels
from search.law_pack import LawPack, Source
from search.obligations import authority_lacking
from search.prohibited import wording
from search.vocabulary import (
    ATTACHMENT_KINDS,
    LEGAL_BASES,
    OFFENCES,
    PROBE_KINDS,
    PROHIBITED_PURPOSES,
    PURPOSES,
    OffenceClass,
)


class Kind(StrEnum):
    REFUSE = "refuse"
    HOLD = "hold"


@dataclass(frozen=True)
class Refusal:
    """What one rule says about a request: `field` is the form field it belongs to, `sentence` tells what to do,
    `citation` names the law (empty for a house rule), `caveat` warns where the citation was not verified."""

    code: str
    field: str
    sentence: str
    citation: str
    kind: Kind
    verified: bool
    caveat: str


Said = str | tuple[str, Source] | None
Check = Callable[[Facts, LawPack], Said]


@dataclass(frozen=True)
class Policy:
    """A rule: called with facts and law pack it returns a Refusal or None. `summary` is the rule in one sentence."""

    code: str
    field: str
    summary: str
    kind: Kind
    check: Check

    def __call__(self, facts: Facts, pack: LawPack) -> Refusal | None:
        said = self.check(facts, pack)
        if said is None:
            return None
        sentence, source = said if isinstance(said, tuple) else (said, Source())
        return Refusal(
            self.code, self.field, sentence, source.citation, self.kind, verified=source.verified, caveat=source.caveat
        )


POLICIES: dict[str, Policy] = {}
"""Every rule by its code, in the order of the form."""
WITHOUT_LAW_PACK = "law_pack:none"
LONGEST_JUSTIFICATION = 10_000
"""Characters; about four printed pages."""


def refusals(facts: Facts, pack: LawPack) -> list[Refusal]:
    """Everything that stands against the request, in the order of the form. Empty: it may go on to approval."""
    return [said for policy in POLICIES.values() if (said := policy(facts, pack)) is not None]


def _policy(code: str, field: str, summary: str, kind: Kind = Kind.REFUSE) -> Callable[[Check], Policy]:
    def register(check: Check) -> Policy:
        if code in POLICIES:
            raise ValueError(f"two rules have the code {code}")
        POLICIES[code] = Policy(code, field, summary, kind, check)
        return POLICIES[code]

    return register


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


# --- the case ------------------------------------------------------------------------------------------------------


@_policy("case:missing", "case_number", "Every search names a case.")
def case_named(facts: Facts, pack: LawPack) -> Said:
    if facts.case_number.strip():
        return None
    return "Enter the case number. Every search belongs to a case.", pack.case.source


@_policy("case:unknown", "case_number", "The case number is known here.")
def case_known(facts: Facts, pack: LawPack) -> Said:
    if facts.case or not facts.case_number.strip():
        return None
    return "No case has this number. Check it, or ask your supervisor to open the case."


@_policy("case:unconfirmed", "case_number", "A case that an officer opened has been confirmed.")
def case_confirmed(facts: Facts, pack: LawPack) -> Said:
    if facts.case is None or facts.case.confirmed:
        return None
    return "This case waits for confirmation. Ask your supervisor to confirm it, then ask again."


@_policy("case:closed", "case_number", "The case is open.")
def case_open(facts: Facts, pack: LawPack) -> Said:
    if facts.case is None or facts.case.closed_on is None:
        return None
    return f"The case is closed since {_day(facts.case.closed_on)}. Ask the case's supervisor to reopen it."


@_policy("case:not_assigned", "case_number", "The officer works on the case.")
def case_assigned(facts: Facts, pack: LawPack) -> Said:
    if facts.case is None or facts.case.assigned_to_requester:
        return None
    return "You are not assigned to this case. Ask its supervisor to assign you."


# --- purpose and offence ---------------------------------------------------------------------------------------------


@_policy("purpose:missing", "purpose", "A purpose is named.")
def purpose_named(facts: Facts, pack: LawPack) -> Said:
    return None if facts.purpose else ("Choose the purpose of this search.", pack.purposes.source)


@_policy("purpose:prohibited", "purpose", "The purpose is not one that nobody may pursue.")
def purpose_not_prohibited(facts: Facts, pack: LawPack) -> Said:
    if facts.purpose not in PROHIBITED_PURPOSES:
        return None
    label = labels([facts.purpose], PROHIBITED_PURPOSES)
    return f"Nobody may search faces for this purpose ({label}).", pack.prohibiting(facts.purpose) or Source()


@_policy("purpose:not_allowed", "purpose", "The law pack allows the purpose.")
def purpose_allowed(facts: Facts, pack: LawPack) -> Said:
    if not facts.purpose or facts.purpose in pack.purposes.allowed or facts.purpose in PROHIBITED_PURPOSES:
        return None
    return "This purpose is not allowed here. Choose one from the list.", pack.purposes.source


@_policy("purpose:withheld", "purpose", "The agency has not switched the purpose off.")
def purpose_not_withheld(facts: Facts, pack: LawPack) -> Said:
    if facts.purpose not in facts.withheld_purposes:
        return None
    return "Your agency does not search for this purpose. Ask your supervisor what else can be done."


@_policy("offence:missing", "offence", "The case says what it is about.")
def offence_named(facts: Facts, pack: LawPack) -> Said:
    if facts.case is None or facts.case.offence in OFFENCES:
        return None
    return "The case names no offence. Ask its supervisor to enter it.", pack.offences.source


@_policy("offence:not_allowed", "offence", "The law pack allows searches for the offence.")
def offence_allowed(facts: Facts, pack: LawPack) -> Said:
    offence = OFFENCES.get(facts.offence)
    if offence is None or offence.offence_class is OffenceClass.NO_CRIME or pack.offences.allows(offence.code):
        return None
    return (
        f"Faces may not be searched here for this offence ({labels([offence.code], OFFENCES)}).",
        pack.offences.source,
    )


@_policy("offence:no_crime", "purpose", "Where no crime is named, only some purposes are open.")
def offence_fits_purpose(facts: Facts, pack: LawPack) -> Said:
    offence = OFFENCES.get(facts.offence)
    if offence is None or offence.offence_class is not OffenceClass.NO_CRIME:
        return None
    if facts.purpose in pack.offences.no_crime_purposes:
        return None
    open_to = labels(pack.offences.no_crime_purposes, PURPOSES) or "none"
    return f"The case names no crime. Purposes open to it: {open_to}.", pack.offences.source


# --- legal basis and authority -----------------------------------------------------------------------------------------


@_policy("legal_basis:missing", "legal_basis", "A legal basis is named.")
def legal_basis_named(facts: Facts, pack: LawPack) -> Said:
    return None if facts.legal_basis else ("Choose the legal basis of this search.", pack.legal_basis[0].source)


@_policy("legal_basis:not_allowed", "legal_basis", "The law pack accepts the legal basis for the purpose.")
def legal_basis_accepted(facts: Facts, pack: LawPack) -> Said:
    if not facts.legal_basis:
        return None
    for rule in asked_legal_bases(pack, facts.purpose):
        if facts.legal_basis not in rule.allowed:
            return f"This needs another legal basis: {labels(rule.allowed, LEGAL_BASES)}.", rule.source
    return None


@_policy("attachments:missing", "attachments", "The authority that the law pack asks for is attached.")
def authority_attached(facts: Facts, pack: LawPack) -> Said:
    lacking = authority_lacking(facts, pack)
    if not lacking:
        return None
    kinds = "; and ".join(labels(rule.any_of, ATTACHMENT_KINDS, " or ") for rule in lacking)
    return f"Attach the document that allows this search: {kinds}.", lacking[0].source


# --- emergency ---------------------------------------------------------------------------------------------------------


@_policy("emergency:not_allowed", "emergency", "The law pack has an emergency path for the purpose.")
def emergency_allowed(facts: Facts, pack: LawPack) -> Said:
    if not facts.emergency or facts.purpose in pack.emergency.purposes:
        return None
    if not pack.emergency.allowed:
        return "There is no emergency path here. Ask for approval first.", pack.emergency.source
    purposes = labels(pack.emergency.purposes, PURPOSES)
    return f"An emergency is only possible for: {purposes}. Ask for approval first.", pack.emergency.source


@_policy("emergency:overdue", "emergency", "No earlier emergency of the officer is past its deadline.")
def emergency_not_overdue(facts: Facts, pack: LawPack) -> Said:
    if not facts.emergency or not facts.overdue_emergencies:
        return None
    return "An earlier emergency search of yours is past its deadline. Settle it, or ask for approval first."


# --- the justification ---------------------------------------------------------------------------------------------------


@_policy("justification:missing", "justification", "A reason is written down.")
def justification_given(facts: Facts, pack: LawPack) -> Said:
    if facts.justification.strip():
        return None
    return "Write why this search is needed: what happened, and how the person shown is connected to it.", (
        pack.justification.source
    )


@_policy("justification:too_short", "justification", "The reason is long enough to tell what happened.")
def justification_long_enough(facts: Facts, pack: LawPack) -> Said:
    length, least = len(" ".join(facts.justification.split())), pack.justification.min_characters
    if not length or length >= least:
        return None
    return f"Your justification has {length} characters. Tell what happened in at least {least}.", (
        pack.justification.source
    )


@_policy("justification:too_long", "justification", "The reason can be read by those who approve and audit it.")
def justification_readable(facts: Facts, pack: LawPack) -> Said:
    length = len(facts.justification)
    if length <= LONGEST_JUSTIFICATION:
        return None
    return (
        f"Your justification has {length} characters. Keep it below {LONGEST_JUSTIFICATION}; attach documents instead."
    )


@_policy("justification:boilerplate", "justification", "The reason says something about this case.")
def justification_specific(facts: Facts, pack: LawPack) -> Said:
    why = boilerplate(facts.justification, distinct_at_least=pack.justification.min_distinct_words)
    return (f"Your justification {why}.", pack.justification.source) if why else None


@_policy("justification:reused", "justification", "The reason was not used for another case.")
def justification_new(facts: Facts, pack: LawPack) -> Said:
    if not is_reused(facts.fingerprint, facts.other_fingerprints):
        return None
    return "This justification was used in another case. Write what happened in this one."


def _hold_wording(topic: str) -> None:
    label = labels([topic], PROHIBITED_PURPOSES)

    @_policy(f"wording:{topic}", "justification", f"The reason does not read like: {label}.", Kind.HOLD)
    def wording_harmless(facts: Facts, pack: LawPack) -> Said:
        if f"wording:{topic}" in facts.released_holds:
            return None
        words = wording(topic, facts.justification)
        if words is None:
            return None
        return f"Counsel must read this first, because of the words “{words}” ({label}). You will be told.", (
            pack.prohibiting(topic) or Source()
        )


for _topic in PROHIBITED_PURPOSES:
    _hold_wording(_topic)


# --- training ------------------------------------------------------------------------------------------------------------


@_policy("training:missing", "training", "The officer's training is on record.")
def training_recorded(facts: Facts, pack: LawPack) -> Said:
    if facts.training_until is not None:
        return None
    return "No training of yours is on record. Ask your administrator to enter it.", pack.training.source


@_policy("training:expired", "training", "The officer's training is current.")
def training_current(facts: Facts, pack: LawPack) -> Said:
    if facts.training_until is None or facts.training_until >= facts.today:
        return None
    return f"Your training expired on {_day(facts.training_until)}. Renew it, then ask again.", pack.training.source


@_policy("training:too_long", "training", "No training counts for longer than the law pack allows.")
def training_plausible(facts: Facts, pack: LawPack) -> Said:
    last = facts.today + timedelta(days=pack.training.max_age_days)
    if facts.training_until is None or facts.training_until <= last:
        return None
    return (
        f"Your training is entered as valid until {_day(facts.training_until)}, but it counts for "
        f"{pack.training.max_age_days} days. Ask your administrator to correct it."
    ), pack.training.source


# --- the photo -------------------------------------------------------------------------------------------------------------


@_policy("probe:missing", "probe", "A photo is attached.")
def probe_given(facts: Facts, pack: LawPack) -> Said:
    return None if facts.probe else "Attach the photo to search for."


@_policy("probe:kind", "probe", "The photo is of a kind that may be searched.")
def probe_kind_allowed(facts: Facts, pack: LawPack) -> Said:
    if facts.probe is None:
        return None
    source = pack.refusing(facts.probe.kind)
    if source is None:
        return None
    label = labels([facts.probe.kind], PROBE_KINDS) or "unknown kind"
    return f"This kind of image is not searched ({label}). Use a still photo of the person.", source


@_policy("probe:no_face", "probe", "The photo shows a face.")
def face_found(facts: Facts, pack: LawPack) -> Said:
    if facts.probe is None or facts.probe.faces_found:
        return None
    return "No face was found in this photo. Use another photo."


@_policy("probe:face_not_chosen", "chosen_face", "Where several faces are shown, one is chosen.")
def face_chosen(facts: Facts, pack: LawPack) -> Said:
    if facts.probe is None or facts.probe.faces_found < 2 or facts.probe.chosen_face is not None:
        return None
    return f"{facts.probe.faces_found} faces were found. Choose the one to search for.", pack.face.source


@_policy("probe:face_not_there", "chosen_face", "The chosen face is one of those found.")
def chosen_face_exists(facts: Facts, pack: LawPack) -> Said:
    if facts.probe is None or facts.probe.chosen_face is None or not facts.probe.faces_found:
        return None
    if 1 <= facts.probe.chosen_face <= facts.probe.faces_found:
        return None
    return f"There is no face {facts.probe.chosen_face} in this photo. Choose one from 1 to {facts.probe.faces_found}."


@_policy("probe:quality", "probe", "The chosen face is good enough, or a supervisor accepted it as it is.")
def quality_enough(facts: Facts, pack: LawPack) -> Said:
    probe = facts.probe
    if probe is None or not probe.shortfalls or probe.quality_override_by not in (None, facts.requester):
        return None
    measured = " ".join(shortfall.sentence for shortfall in probe.shortfalls)
    return f"{measured} Use a better photo, or ask a supervisor to accept this one."


# --- gallery, face model, list length and threshold ------------------------------------------------------------------------


@_policy("gallery:unknown", "gallery", "The gallery exists.")
def gallery_known(facts: Facts, pack: LawPack) -> Said:
    return None if facts.gallery else "Choose a gallery from the list."


@_policy("gallery:inactive", "gallery", "The gallery is in use.")
def gallery_active(facts: Facts, pack: LawPack) -> Said:
    if facts.gallery is None or facts.gallery.active:
        return None
    return "This gallery is not in use. Choose another one."


@_policy("gallery:no_edition", "gallery", "The gallery has a sealed edition that can be searched.")
def gallery_searchable(facts: Facts, pack: LawPack) -> Said:
    if facts.gallery is None or facts.gallery.searchable_edition:
        return None
    return "Nothing in this gallery can be searched yet. Ask its custodian to finish the enrolment."


@_policy("gallery:other_model", "gallery", "Gallery and photo are under the same face model.")
def gallery_same_model(facts: Facts, pack: LawPack) -> Said:
    if facts.gallery is None or facts.gallery.same_face_model:
        return None
    return "This gallery edition was made with another face model. Choose its current edition."


@_policy("evaluation:missing", "gallery", "The face model has a current, accepted evaluation.")
def evaluation_current(facts: Facts, pack: LawPack) -> Said:
    if facts.gallery is None or facts.gallery.threshold_floor_micro is not None:
        return None
    return "The face model of this gallery has no current, accepted evaluation. Ask its custodian for one."


@_policy("threshold:below_floor", "threshold", "The threshold is at or above the evaluated floor.")
def threshold_high_enough(facts: Facts, pack: LawPack) -> Said:
    floor = facts.gallery.threshold_floor_micro if facts.gallery else None
    if floor is None or facts.threshold_micro >= floor:
        return None
    # Rounded apart, so that the sentence never asks for the very number that it refuses.
    return f"The threshold {facts.threshold_micro // 1000 / 1000:.3f} is too low. Choose {-(-floor // 1000) / 1000:.3f} or more."


@_policy("threshold:out_of_range", "threshold", "The threshold is a match score that can occur.")
def threshold_possible(facts: Facts, pack: LawPack) -> Said:
    if 0 < facts.threshold_micro <= 1_000_000:
        return None
    return "Choose a threshold above 0 and up to 1."


@_policy("k:out_of_range", "k", "The list of candidates is not longer than allowed.")
def list_short_enough(facts: Facts, pack: LawPack) -> Said:
    return None if 1 <= facts.k <= facts.k_max else f"Ask for 1 to {facts.k_max} candidates."


def without_law_pack(reason: NoLawPack) -> Refusal:
    """The refusal when no law pack is in force for the agency: without rules nothing may be searched."""
    sentence = f"{reason} Ask your administrator to choose a law pack that is in force."
    return Refusal(WITHOUT_LAW_PACK, "purpose", sentence, "", Kind.REFUSE, verified=True, caveat="")


def as_markdown() -> str:
    """The page docs/reference/search-rules.md."""
    lines = [
        "# Rules of a search request",
        "",
        "Generated by `python -m search.policies`; do not edit here.",
        "",
        "All rules are asked of every request, and everything that fails is said at once. A *refuse* ends the request;",
        "a *hold* sends it to counsel. The code is what the log's refusal entry names.",
        "",
        "| code | form field | rule | if not |",
        "|---|---|---|---|",
        f"| `{WITHOUT_LAW_PACK}` | purpose | A law pack is in force for the agency. | refuse |",
    ]
    lines += [f"| `{p.code}` | {p.field} | {p.summary} | {p.kind} |" for p in POLICIES.values()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
