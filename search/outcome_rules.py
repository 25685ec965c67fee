"""When an outcome may be recorded, and what it says. Pure functions.

What happened is always recorded, also what should not have happened: a step against a person without other evidence is
not refused here, it is asked about and stays visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from search.vocabulary import AGAINST_A_PERSON, EVIDENCE_KINDS, PROCEDURES, TRUTHS


@dataclass(frozen=True, kw_only=True)
class OutcomeFields:
    """What was typed: codes of TRUTHS, PROCEDURES and EVIDENCE_KINDS, the day on which the defence was told, and a note."""

    truth: str = ""
    procedure: str = ""
    evidence: tuple[str, ...] = ()
    disclosed_on: date | None = None
    note: str = ""

    @property
    def rests_on_the_lead_alone(self) -> bool:
        """A step against a person although nothing independent of the search is named."""
        return self.procedure in AGAINST_A_PERSON and not self.evidence


def problems(fields: OutcomeFields, *, released_on: date, today: date) -> Mapping[str, list[str]]:
    """What is missing or wrong, as sentences by field; empty when nothing is."""
    found: dict[str, list[str]] = {}
    if fields.truth not in TRUTHS:
        found["truth"] = ["Say who the lead was, as far as other evidence shows."]
    if fields.procedure not in PROCEDURES:
        found["procedure"] = ["Say what became of the case."]
    if len(set(fields.evidence)) != len(fields.evidence) or not set(fields.evidence) <= set(EVIDENCE_KINDS):
        found["evidence"] = ["Choose from the list, each once."]
    elif fields.truth == "same_person" and not fields.evidence:
        found["evidence"] = ["A lead does not confirm itself: name evidence that is independent of the search."]
    elif fields.truth == "wrong_person" and not fields.evidence and not fields.note.strip():
        found["evidence"] = ["Name what showed that it was another person, here or in the note."]
    if fields.rests_on_the_lead_alone and not fields.note.strip():
        found["note"] = ["No evidence independent of the search is named. Write what this step rested on."]
    if fields.disclosed_on is not None and not released_on <= fields.disclosed_on <= today:
        found["disclosed_on"] = ["Give a day from the release of the lead up to today."]
    return found
