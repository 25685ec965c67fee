"""Rules do not hide each other: whatever else is wrong, one more defect never makes a refusal disappear."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from search.law import packs
from search.law_pack import LawPack
from tests.search.request_facts import CASE, GALLERY, NOW, OTHER_STORY, PROBE, STORY, fine_facts
from tests.search.test_policies import CHATTER, SHORT, SMALL, codes, defect

# One list per part of a request. The first variant is as good as that part can be; the others each have one defect.
PARTS: dict[str, list[dict[str, Any]]] = {
    "case": [
        defect(),
        defect(case=replace(CASE, confirmed=False)),
        defect(case=replace(CASE, closed_on=date(2026, 5, 1))),
        defect(case=replace(CASE, assigned_to_requester=False)),
        defect(case=replace(CASE, offence="shoplifting")),
        defect(case=replace(CASE, offence="")),
        defect(case=None),
        defect(case=None, case_number=""),
    ],
    "purpose": [defect(), defect(purpose=""), defect(purpose="no such"), defect(purpose="religion")],
    "withheld": [defect(), defect(withheld_purposes=frozenset({"identify_suspect"}))],
    "legal_basis": [defect(), defect(legal_basis=""), defect(legal_basis="hunch")],
    "attachments": [defect(attachments=frozenset({"warrant"})), defect()],
    "overdue": [defect(), defect(overdue_emergencies=1)],
    "words": [
        defect(),
        defect(justification=""),
        defect(justification=SHORT),
        defect(justification=CHATTER),
        defect(justification=OTHER_STORY),
        defect(justification=f"{STORY} He protested."),
    ],
    "training": [defect(), defect(training_until=None), defect(training_until=date(2020, 1, 1))],
    "probe": [
        defect(),
        defect(probe=None),
        defect(probe=replace(PROBE, kind="sketch")),
        defect(probe=replace(PROBE, faces_found=0)),
        defect(probe=replace(PROBE, faces_found=2)),
        defect(probe=replace(PROBE, shortfalls=(SMALL,))),
    ],
    "gallery": [defect(), defect(gallery=None), defect(gallery=replace(GALLERY, active=False))],
    "k": [defect(), defect(k=10_000)],
    "threshold": [defect(), defect(threshold_micro=-1), defect(threshold_micro=440_000)],
}
# What the rules on a part itself say may change when that part gets worse (no case: nothing to say about its offence).
OWN: dict[str, tuple[str, ...]] = {
    "case": ("case:", "offence:"),
    "purpose": ("purpose:", "offence:no_crime"),
    "withheld": ("purpose:withheld",),
    "legal_basis": ("legal_basis:",),
    "attachments": ("attachments:",),
    "overdue": ("emergency:overdue",),
    "words": ("justification:", "wording:"),
    "training": ("training:",),
    "probe": ("probe:",),
    "gallery": ("gallery:", "evaluation:", "threshold:below_floor"),
    "k": ("k:",),
    "threshold": ("threshold:",),
}


@settings(max_examples=400, deadline=None)
@given(
    law=st.sampled_from([law for law in packs() if law.effective_from <= NOW.date()]),
    picks=st.fixed_dictionaries({part: st.integers(0, len(rows) - 1) for part, rows in PARTS.items()}),
    part=st.sampled_from(sorted(PARTS)),
    purpose=st.sampled_from(["identify_suspect", "imminent_threat", "deceased_person", "missing_person"]),
    legal_basis=st.sampled_from(["probable_cause", "warrant", "objective_facts", "care_of_person"]),
    emergency=st.booleans(),
)
def test_one_more_defect_never_removes_a_refusal(
    law: LawPack, picks: dict[str, int], part: str, purpose: str, legal_basis: str, *, emergency: bool
) -> None:
    def said(chosen: dict[str, int]) -> set[str]:
        changes: dict[str, Any] = {"purpose": purpose, "legal_basis": legal_basis, "emergency": emergency}
        for name, index in chosen.items():
            changes |= PARTS[name][index]
        return codes(fine_facts(**changes), law)

    lost = said(picks | {part: 0}) - said(picks)
    assert {code for code in lost if not code.startswith(OWN[part])} == set()
