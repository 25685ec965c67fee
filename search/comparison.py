"""What an examiner finds about candidates, when it is well founded, and what two findings together amount to. Pure functions.

The scale and the features follow FISWG's morphological analysis; two examiners who work independently are the V of ACE-V
(analysis, comparison, evaluation, verification). Both from memory: check the primary texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from search.models import ReviewState
from search.vocabulary import CONCLUSIONS, FEATURES, QUALITY_CAVEATS, Term

SUPPORT: Final = "support_same"
LEAST_ALIKE: Final = 3
"""House rule: so many features have to agree before anybody supports that two photos show one person."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one examiner says about one candidate: codes of CONCLUSIONS, FEATURES and QUALITY_CAVEATS."""

    template: str
    conclusion: str = ""
    alike: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Finding:
        """From its JSON form."""
        lists = {name: tuple(values.get(name) or ()) for name in ("alike", "different", "caveats")}
        return cls(template=str(values["template"]), conclusion=str(values.get("conclusion") or ""), **lists)


def problems(
    findings: Sequence[Finding], templates: Iterable[str], note: str, unseen: Collection[str] = ()
) -> dict[str, list[str]]:
    """What is missing or wrong, as sentences by field (`<template>:<field>`, or `note`); empty when nothing is.

    `unseen` are the templates of which there is no photo to compare.
    """
    found: dict[str, list[str]] = {}
    wanted, given = list(templates), [finding.template for finding in findings]
    if len(set(given)) != len(given):
        found["findings"] = ["A candidate is named twice."]
    elif set(given) - set(wanted):
        found["findings"] = ["A candidate is named that was not in this reading."]
    for template in wanted:
        if template not in given:
            found[f"{template}:conclusion"] = ["Choose a conclusion for this candidate."]
    for finding in findings:
        about = _unseen(finding) if finding.template in unseen else _one(finding, note)
        for field, sentence in about:
            found.setdefault(f"{finding.template}:{field}", []).append(sentence)
    return found


def _one(finding: Finding, note: str) -> Iterable[tuple[str, str]]:
    if finding.conclusion not in CONCLUSIONS:
        yield "conclusion", "Choose a conclusion for this candidate."
    for field, terms in (("alike", FEATURES), ("different", FEATURES), ("caveats", QUALITY_CAVEATS)):
        if _unknown(getattr(finding, field), terms):
            yield field, "Choose from the list, each once."
    if both := set(finding.alike) & set(finding.different):
        labels = ", ".join(FEATURES[code].label for code in FEATURES if code in both)
        yield "different", f"A feature cannot be alike and different: {labels}."
    if finding.conclusion == SUPPORT and len(set(finding.alike)) < LEAST_ALIKE:
        yield "alike", f"To support the same person, name at least {LEAST_ALIKE} features that agree."
    if finding.conclusion == SUPPORT and finding.different and not note.strip():
        yield "different", "A difference speaks against the same person. Explain it in the note, or conclude otherwise."
    if finding.conclusion == "support_different" and not finding.different:
        yield "different", "To support different people, name at least one feature that differs."
    if finding.conclusion == "inconclusive" and not finding.caveats and not note.strip():
        yield "caveats", "Say what limits the comparison, here or in the note."


def _unseen(finding: Finding) -> Iterable[tuple[str, str]]:
    if finding.conclusion != "inconclusive" or finding.alike or finding.different:
        yield "conclusion", "There is no photo of this candidate to compare: conclude “inconclusive”, without features."
    if _unknown(finding.caveats, QUALITY_CAVEATS):
        yield "caveats", "Choose from the list, each once."


def _unknown(codes: tuple[str, ...], terms: Mapping[str, Term]) -> bool:
    return len(set(codes)) != len(codes) or not set(codes) <= set(terms)


def supported(findings: Iterable[Finding]) -> set[str]:
    """The candidates that an examiner supports as the same person."""
    return {finding.template for finding in findings if finding.conclusion == SUPPORT}


def agreed(first: Iterable[Finding], second: Iterable[Finding]) -> set[str]:
    """The candidates that both support: only such a one can become a lead."""
    return supported(first) & supported(second)


def together(first: Iterable[Finding], second: Iterable[Finding]) -> ReviewState:
    """What two decisions amount to. Where they support nobody together, doubt stands: there is no third vote."""
    one, other = supported(first), supported(second)
    if one & other:
        return ReviewState.AGREED
    return ReviewState.DISAGREED if one | other else ReviewState.NO_LEAD
