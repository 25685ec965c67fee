from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from search.facts import Shortfall
from search.justification import EXAMPLE, HELP, fingerprint
from search.law import NoLawPack, pack, packs
from search.law_pack import LawPack
from search.obligations import approvals_needed, authority_owed, emergency_deadline, may_run_without_approval
from search.policies import POLICIES, WITHOUT_LAW_PACK, Kind, as_markdown, refusals, without_law_pack
from search.vocabulary import CODE, PROHIBITED_PURPOSES
from tests.search.request_facts import CASE, GALLERY, KEY, NOW, OTHER_STORY, PROBE, STORY, fine_facts

SMALL = Shortfall(code="face_small", sentence="The face is 20 pixels wide; at least 60 are needed.")
SHORT = "A man robbed the shop on Elm Street at noon."
CHATTER = (
    "Needed for ongoing criminal investigation and law enforcement purposes, please run a facial recognition search on the "
    "attached photo and identify the unknown suspect as requested by the unit today"
)
MASHED = (
    "qwrt zxcv bnmp sdfg hjkl wrtp xcvb dfgh sdfgh zxcvb hjklm wrtz pqrs dfgx xvbn ztrw mnbv lkjh gfds trwq plkm nbvc"
)


def defect(**changes: Any) -> dict[str, Any]:
    return changes


# code -> (changes that break the rule, changes next to it that do not)
TABLE: dict[str, list[tuple[dict[str, Any], bool]]] = {
    "case:missing": [(defect(case_number=""), True), (defect(case_number="  "), True), (defect(), False)],
    "case:unknown": [
        (defect(case=None), True),
        (defect(case=None, case_number=""), False),
        (defect(), False),
    ],
    "case:unconfirmed": [(defect(case=replace(CASE, confirmed=False)), True), (defect(case=None), False)],
    "case:closed": [
        (defect(case=replace(CASE, closed_on=date(2026, 5, 3))), True),
        (defect(case=CASE), False),
        (defect(case=None), False),
    ],
    "case:not_assigned": [(defect(case=replace(CASE, assigned_to_requester=False)), True), (defect(), False)],
    "purpose:missing": [(defect(purpose=""), True), (defect(purpose="undercover_vetting"), False)],
    "purpose:prohibited": [
        (defect(purpose="immigration_status"), True),
        (defect(purpose="prediction"), True),
        (defect(purpose="undercover_vetting"), False),
        (defect(purpose="no such"), False),
    ],
    "purpose:not_allowed": [
        (defect(purpose="undercover_vetting"), True),
        (defect(purpose="no such"), True),
        (defect(purpose="missing_person"), True),
        (defect(purpose=""), False),
        (defect(purpose="identify_victim"), False),
    ],
    "purpose:withheld": [
        (defect(withheld_purposes=frozenset({"identify_suspect"})), True),
        (defect(withheld_purposes=frozenset({"identify_witness"})), False),
    ],
    "offence:missing": [
        (defect(case=replace(CASE, offence="")), True),
        (defect(case=replace(CASE, offence="mopery")), True),
        (defect(), False),
    ],
    "offence:not_allowed": [
        (defect(case=replace(CASE, offence="shoplifting")), True),
        (defect(case=replace(CASE, offence="traffic_violation")), True),
        (defect(case=replace(CASE, offence="shoplifting"), purpose="deceased_person"), True),
        (defect(case=replace(CASE, offence="simple_assault")), False),
        (defect(case=replace(CASE, offence="threat_to_life")), False),
        (defect(case=replace(CASE, offence="unidentified_remains")), False),
    ],
    "offence:no_crime": [
        (defect(case=replace(CASE, offence="unidentified_remains")), True),
        (defect(case=replace(CASE, offence="unidentified_remains"), purpose=""), True),
        (defect(case=replace(CASE, offence="unidentified_remains"), purpose="deceased_person"), False),
        (defect(), False),
    ],
    "legal_basis:missing": [(defect(legal_basis=""), True), (defect(legal_basis="hunch"), False)],
    "legal_basis:not_allowed": [
        (defect(legal_basis="hunch"), True),
        (defect(legal_basis="care_of_person"), True),
        (defect(legal_basis="care_of_person", purpose="deceased_person"), False),
        (defect(legal_basis="warrant"), False),
        (defect(legal_basis=""), False),
    ],
    "emergency:not_allowed": [
        (defect(emergency=True), True),
        (defect(emergency=True, purpose="imminent_threat"), False),
        (defect(), False),
    ],
    "emergency:overdue": [
        (defect(emergency=True, overdue_emergencies=1), True),
        (defect(emergency=True, purpose="imminent_threat", overdue_emergencies=1), True),
        (defect(emergency=True, purpose="imminent_threat"), False),
        (defect(overdue_emergencies=1), False),
    ],
    "justification:missing": [(defect(justification=" \n"), True), (defect(justification="x"), False)],
    "justification:too_short": [
        (defect(justification=SHORT), True),
        (defect(justification=SHORT + " " * 200), True),
        (defect(justification=""), False),
        (defect(), False),
    ],
    "justification:too_long": [
        (defect(justification=STORY + " " * 10_000), True),
        (defect(justification=STORY.ljust(10_000)), False),
    ],
    "justification:boilerplate": [
        (defect(justification="investigative purposes"), True),
        (defect(justification="robbery suspect " * 20), True),
        (defect(justification=CHATTER), True),
        (defect(justification=MASHED), True),
        (defect(justification=HELP), True),
        (defect(justification=EXAMPLE), True),
        (defect(justification=(STORY + " ") * 3), True),
        (defect(justification=""), False),
        (defect(justification=OTHER_STORY), False),
        (defect(), False),
    ],
    "justification:reused": [
        (defect(justification=OTHER_STORY), True),
        (defect(justification=OTHER_STORY.replace("Route 9", "Route 77").replace("Sunday", "Friday")), True),
        (defect(justification=OTHER_STORY.upper()), True),
        (defect(justification=STORY), False),
        (defect(other_fingerprints=()), False),
    ],
    "training:missing": [(defect(training_until=None), True), (defect(), False)],
    "training:expired": [
        (defect(training_until=NOW.date() - timedelta(days=1)), True),
        (defect(training_until=NOW.date()), False),
        (defect(training_until=None), False),
    ],
    "training:too_long": [
        (defect(training_until=NOW.date() + timedelta(days=367)), True),
        (defect(training_until=NOW.date() + timedelta(days=366)), False),
        (defect(training_until=None), False),
    ],
    "probe:missing": [(defect(probe=None), True), (defect(), False)],
    "probe:kind": [
        (defect(probe=replace(PROBE, kind="sketch")), True),
        (defect(probe=replace(PROBE, kind="live_camera")), True),
        (defect(probe=replace(PROBE, kind="hologram")), True),
        (defect(probe=replace(PROBE, kind="video_still")), False),
        (defect(probe=None), False),
    ],
    "probe:no_face": [
        (defect(probe=replace(PROBE, faces_found=0)), True),
        (defect(probe=replace(PROBE, faces_found=11)), False),
        (defect(probe=None), False),
    ],
    "probe:face_not_chosen": [
        (defect(probe=replace(PROBE, faces_found=11)), True),
        (defect(probe=replace(PROBE, faces_found=11, chosen_face=4)), False),
        (defect(probe=replace(PROBE, faces_found=0)), False),
        (defect(), False),
    ],
    "probe:face_not_there": [
        (defect(probe=replace(PROBE, faces_found=3, chosen_face=4)), True),
        (defect(probe=replace(PROBE, faces_found=3, chosen_face=0)), True),
        (defect(probe=replace(PROBE, faces_found=3, chosen_face=-1)), True),
        (defect(probe=replace(PROBE, faces_found=3, chosen_face=3)), False),
        (defect(probe=replace(PROBE, faces_found=3)), False),
    ],
    "probe:quality": [
        (defect(probe=replace(PROBE, shortfalls=(SMALL,))), True),
        (defect(probe=replace(PROBE, shortfalls=(SMALL,), quality_override_by="olivia")), True),
        (defect(probe=replace(PROBE, shortfalls=(SMALL,), quality_override_by="sam")), False),
        (defect(), False),
    ],
    "gallery:unknown": [(defect(gallery=None), True), (defect(), False)],
    "gallery:inactive": [(defect(gallery=replace(GALLERY, active=False)), True), (defect(gallery=None), False)],
    "gallery:no_edition": [(defect(gallery=replace(GALLERY, searchable_edition=False)), True), (defect(), False)],
    "gallery:other_model": [(defect(gallery=replace(GALLERY, same_face_model=False)), True), (defect(), False)],
    "evaluation:missing": [
        (defect(gallery=replace(GALLERY, threshold_floor_micro=None)), True),
        (defect(gallery=None), False),
        (defect(), False),
    ],
    "threshold:below_floor": [
        (defect(threshold_micro=449_999), True),
        (defect(threshold_micro=0), True),
        (defect(threshold_micro=450_000), False),
        (defect(threshold_micro=0, gallery=replace(GALLERY, threshold_floor_micro=None)), False),
    ],
    "threshold:out_of_range": [
        (defect(threshold_micro=0), True),
        (defect(threshold_micro=-1), True),
        (defect(threshold_micro=1_000_001), True),
        (defect(threshold_micro=1_000_000), False),
        (defect(threshold_micro=1), False),
    ],
    "k:out_of_range": [
        (defect(k=0), True),
        (defect(k=-3), True),
        (defect(k=10_000), True),
        (defect(k=51), True),
        (defect(k=50), False),
        (defect(k=1), False),
    ],
}

HELD: dict[str, list[tuple[str, bool]]] = {
    "immigration_status": [
        ("The federal partner wants to know his immigration status.", True),
        ("He will be handed over to ICE after arrest.", True),
        ("An UNDOCUMENTED worker was seen there.", True),
        ("The seller kept the drinks on ice.", False),
    ],
    "protected_activity": [
        ("She spoke at the protest on Saturday.", True),
        ("One of the demonstrators held a banner.", True),
        ("He was seen in March near the shop.", False),
    ],
    "religion": [
        ("He attends the evening prayer at the mosque.", True),
        ("The victim, Christian Lopez, lives next to the church.", False),
    ],
    "politics": [("An activist known for his views.", True), ("The mayor's office was robbed.", False)],
    "lawful_association": [
        ("We want everyone who attended the meeting.", True),
        ("The officers who attended found the knife.", False),
    ],
    "race_or_origin": [
        ("He was picked because he looks foreign.", True),
        ("A white man of about thirty in a black coat ran off.", False),
    ],
    "gender_or_orientation": [("They meet at a gay bar.", True), ("A woman of about forty.", False)],
    "age_or_disability": [("Chosen because of their disability.", True), ("A man aged about 40.", False)],
    "live_surveillance": [
        ("Compare with the live feed of the square.", True),
        ("We want to track his daily movements.", True),
        ("The attacker followed her home.", False),
    ],
    "prediction": [("He is likely to commit burglaries.", True), ("Two offenders ran away.", False)],
    "private_interest": [
        ("She is my ex-girlfriend's new flatmate.", True),
        ("My partner and I canvassed the street.", False),
    ],
}


def utah() -> LawPack:
    return pack("utah", NOW)


def codes(facts: Any, law: LawPack) -> set[str]:
    return {refusal.code for refusal in refusals(facts, law)}


def test_nothing_is_said_against_a_request_that_has_everything() -> None:
    assert refusals(fine_facts(), utah()) == []


@pytest.mark.parametrize(
    ("code", "changes", "refused"),
    [(code, changes, refused) for code, rows in TABLE.items() for changes, refused in rows],
)
def test_a_rule_refuses_what_it_is_about_and_nothing_beside_it(code: str, changes: Any, refused: bool) -> None:
    said = POLICIES[code](fine_facts(**changes), utah())
    assert (said is not None) is refused
    if said is not None:
        assert said.kind is Kind.REFUSE
        assert (said.code, said.field) == (code, POLICIES[code].field)


@pytest.mark.parametrize(("topic", "words", "held"), [(t, w, h) for t, rows in HELD.items() for w, h in rows])
def test_wording_of_a_prohibited_purpose_is_held_for_counsel(topic: str, words: str, held: bool) -> None:
    facts = fine_facts(justification=f"{STORY} {words}")
    assert (f"wording:{topic}" in codes(facts, utah())) is held
    if held:
        [said] = [refusal for refusal in refusals(facts, utah()) if refusal.code == f"wording:{topic}"]
        assert said.kind is Kind.HOLD
        assert "Counsel" in said.sentence


def test_a_hold_that_counsel_released_does_not_come_back_and_releases_nothing_else() -> None:
    story = f"{STORY} She spoke at the protest and is undocumented."
    released = frozenset({"wording:protected_activity"})
    assert codes(fine_facts(justification=story, released_holds=released), utah()) == {"wording:immigration_status"}


def test_hidden_characters_and_look_alikes_do_not_hide_the_words() -> None:
    for words in ("im\u200bmigration status", "ＩＭＭＩＧＲＡＴＩＯＮ status", "immigration\n\n status"):
        assert codes(fine_facts(justification=f"{STORY} {words}"), utah()) == {"wording:immigration_status"}


@pytest.mark.parametrize("law", packs(), ids=lambda law: f"{law.code}-{law.effective_from}")
def test_authority_is_asked_for_exactly_where_the_law_pack_says(law: LawPack) -> None:
    for purpose in sorted(law.purposes.allowed):
        basis = sorted(law.legal_basis[-1].allowed & law.legal_basis[0].allowed)[0]
        asked = [r for r in law.authority if purpose not in r.except_purposes and basis not in r.except_legal_bases]
        bare = fine_facts(purpose=purpose, legal_basis=basis)
        assert ("attachments:missing" in codes(bare, law)) is bool(asked)
        held = frozenset(min(rule.any_of) for rule in asked)
        assert "attachments:missing" not in codes(replace(bare, attachments=held), law)
        assert ("attachments:missing" in codes(replace(bare, attachments=frozenset({"other"})), law)) is bool(asked)


def test_an_accepted_emergency_runs_first_and_owes_approval_and_document_by_the_deadline() -> None:
    law = pack("eu", datetime(2026, 9, 1, 8, 0, tzinfo=UTC))
    now = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
    calm = fine_facts(now=now, purpose="imminent_threat", legal_basis="authorisation")
    assert codes(calm, law) == {"attachments:missing"}
    assert emergency_deadline(calm, law) is None
    assert not may_run_without_approval(calm, law)
    urgent = replace(calm, emergency=True)
    assert refusals(urgent, law) == []
    assert may_run_without_approval(urgent, law)
    assert approvals_needed(urgent, law).deadline == now + timedelta(hours=48)
    assert [rule.any_of for rule in authority_owed(urgent, law)] == [law.authority[0].any_of]


def test_an_emergency_that_the_law_pack_does_not_accept_waives_nothing() -> None:
    law = pack("montana", NOW)
    base = fine_facts(legal_basis="probable_cause")
    for changes in (
        defect(emergency=True, purpose="identify_witness"),
        defect(emergency=True, overdue_emergencies=1),
    ):
        facts = replace(base, **changes)
        assert "attachments:missing" in codes(facts, law)
        assert not may_run_without_approval(facts, law)
    assert "attachments:missing" not in codes(replace(base, emergency=True), law)


def test_detroit_has_no_emergency_path() -> None:
    facts = fine_facts(emergency=True, legal_basis="reasonable_suspicion")
    assert codes(facts, pack("detroit", NOW)) == {"emergency:not_allowed"}


def test_the_gate_may_ask_for_more_approvals_than_the_law_and_never_for_fewer() -> None:
    assert approvals_needed(fine_facts(), utah()).count == 1
    assert approvals_needed(fine_facts(gate_approvals=2), utah()).count == 2
    assert approvals_needed(fine_facts(), utah()).roles == {"supervisor"}
    assert approvals_needed(fine_facts(), utah()).deadline is None


def test_everything_that_is_missing_is_said_at_once() -> None:
    facts = fine_facts(
        case_number="", case=None, purpose="", legal_basis="", justification="", probe=None, gallery=None
    )
    assert codes(facts, utah()) == {
        "case:missing",
        "purpose:missing",
        "legal_basis:missing",
        "justification:missing",
        "probe:missing",
        "gallery:unknown",
    }


def test_a_rule_from_the_law_names_it_and_warns_where_it_was_not_checked() -> None:
    [said] = refusals(fine_facts(purpose="undercover_vetting"), utah())
    assert (said.citation, said.verified, said.caveat) == ("Utah Code 77-23e-103(2)(c)", True, "")
    [said] = refusals(fine_facts(k=0), utah())
    assert (said.citation, said.verified) == ("", True)
    [said] = refusals(fine_facts(legal_basis="fair_probability"), pack("maine", NOW))
    assert said.citation == "25 MRSA §6001"
    assert not said.verified
    assert "Check the primary text" in said.caveat


def test_the_threshold_sentence_never_asks_for_the_number_it_refuses() -> None:
    facts = fine_facts(threshold_micro=450_100, gallery=replace(GALLERY, threshold_floor_micro=450_200))
    [said] = refusals(facts, utah())
    assert said.sentence == "The threshold 0.450 is too low. Choose 0.451 or more."


def test_the_day_is_that_of_the_agencys_time_zone() -> None:
    until = date(2026, 5, 13)
    late = datetime(2026, 5, 14, 3, 0, tzinfo=UTC)
    assert codes(fine_facts(now=late, training_until=until), utah()) == {"training:expired"}
    there = late.astimezone(ZoneInfo("America/Denver"))
    assert refusals(fine_facts(now=there, training_until=until), utah()) == []


def test_a_time_without_a_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="time zone"):
        fine_facts(now=datetime(2026, 5, 14))  # noqa: DTZ001


def test_no_search_without_a_law_pack_in_force() -> None:
    with pytest.raises(NoLawPack) as caught:
        pack("virginia", datetime(2026, 7, 1, tzinfo=UTC))
    said = without_law_pack(caught.value)
    assert said.code == WITHOUT_LAW_PACK
    assert "2026-07-01" in said.sentence


def test_facts_do_not_print_the_justification() -> None:
    assert "pharmacy" not in repr(fine_facts())


def test_every_rule_has_a_code_a_field_a_documented_sentence_and_a_row_in_a_table() -> None:
    tested = TABLE.keys() | {f"wording:{topic}" for topic in HELD} | {"attachments:missing"}
    assert tested == POLICIES.keys()
    assert HELD.keys() == PROHIBITED_PURPOSES.keys()
    fields = {
        "case_number",
        "purpose",
        "offence",
        "legal_basis",
        "attachments",
        "emergency",
        "justification",
        "training",
    }
    fields |= {"probe", "chosen_face", "gallery", "threshold", "k"}
    for policy in POLICIES.values():
        assert CODE.match(policy.code)
        assert policy.field in fields
        assert policy.summary.endswith(".")
        assert f"`{policy.code}`" in as_markdown()


def test_sentences_are_short_and_say_what_to_do() -> None:
    cases = [(code, changes) for code, rows in TABLE.items() for changes, refused in rows if refused]
    for code, changes in cases:
        said = POLICIES[code](fine_facts(**changes), utah())
        assert said is not None
        assert not said.sentence[0].islower()
        assert said.sentence.endswith(".")
        assert len(said.sentence) <= 220, said.sentence
        assert "match" not in said.sentence.lower()
        assert "%" not in said.sentence


def test_the_page_of_rules_is_the_one_in_the_repository() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "search-rules.md"
    assert page.read_text(encoding="utf-8") == as_markdown(), (
        "run: python -m search.policies > docs/reference/search-rules.md"
    )


def test_a_short_fingerprint_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="16 to 64"):
        fingerprint(STORY, b"short")
    assert fingerprint(STORY, KEY) != fingerprint(STORY, KEY + b"2")
    assert fingerprint("", KEY) == frozenset()
