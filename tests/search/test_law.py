from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path

import pytest

from search import law
from search.law import NoLawPack, asked_authority, asked_legal_bases, pack, packs, requirements
from search.law_pack import COMPARABLE, AfterDeadline, LawPack
from search.law_reader import read_folder, read_pack
from search.law_table import LawPackError
from search.vocabulary import ATTACHMENT_KINDS, LEGAL_BASES, OFFENCES, PROBE_KINDS, PROHIBITED_PURPOSES, PURPOSES

NOW = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
UTAH = (law.FOLDER / "utah.toml").read_text(encoding="utf-8")
CODES = ["default", "detroit", "eu", "maine", "maryland", "massachusetts", "montana", "utah", "virginia", "washington"]


def accepts_basis(one: LawPack, purpose: str, basis: str) -> bool:
    return all(basis in rule.allowed for rule in asked_legal_bases(one, purpose))


def at_least_as_strict(rule: str, one: LawPack, other: LawPack) -> bool:
    """Whether everything that `one` lets through by `rule` passes `other`'s rule of that name, too."""
    if rule == "purposes":
        no_crime = one.offences.no_crime_purposes & one.purposes.allowed
        return one.purposes.allowed <= other.purposes.allowed and no_crime <= other.offences.no_crime_purposes
    if rule == "offences":
        return one.offences.allowed_codes <= other.offences.allowed_codes
    if rule == "legal_basis":
        pairs = product(one.purposes.allowed & other.purposes.allowed, LEGAL_BASES)
        return all(accepts_basis(other, *pair) for pair in pairs if accepts_basis(one, *pair))
    if rule == "authority":
        for purpose, basis in product(one.purposes.allowed & other.purposes.allowed, LEGAL_BASES):
            if not (accepts_basis(one, purpose, basis) and accepts_basis(other, purpose, basis)):
                continue
            for theirs in asked_authority(other, purpose, basis):
                ours = asked_authority(one, purpose, basis)
                if not any(
                    r.any_of <= theirs.any_of and (theirs.later_in_emergency or not r.later_in_emergency) for r in ours
                ):
                    return False
        return True
    if rule == "emergency":
        path, theirs_path = one.emergency, other.emergency
        sooner = path.deadline_hours <= theirs_path.deadline_hours
        return not path.allowed or (path.purposes <= theirs_path.purposes and sooner)
    if rule == "approval":
        return one.approval.count >= other.approval.count and one.approval.roles <= other.approval.roles
    if rule == "training":
        return one.training.max_age_days <= other.training.max_age_days
    if rule == "justification":
        return (
            one.justification.min_characters >= other.justification.min_characters
            and one.justification.min_distinct_words >= other.justification.min_distinct_words
        )
    assert rule == "probe"
    return {k for k in PROBE_KINDS if other.refusing(k)} <= {k for k in PROBE_KINDS if one.refusing(k)}


def test_all_law_packs_load() -> None:
    assert sorted({one.code for one in packs()}) == CODES


@pytest.mark.parametrize("one", packs(), ids=lambda one: one.code)
def test_every_code_of_a_pack_is_in_the_closed_lists(one: LawPack) -> None:
    assert one.purposes.allowed <= PURPOSES.keys()
    assert not one.purposes.allowed & PROHIBITED_PURPOSES.keys()
    assert one.offences.allowed_codes <= OFFENCES.keys()
    assert one.offences.no_crime_purposes <= one.purposes.allowed
    assert one.emergency.purposes <= one.purposes.allowed
    for basis in one.legal_basis:
        assert basis.allowed <= LEGAL_BASES.keys()
    for rule in one.authority:
        assert rule.any_of <= ATTACHMENT_KINDS.keys()
        assert rule.except_purposes <= PURPOSES.keys()


@pytest.mark.parametrize("one", packs(), ids=lambda one: one.code)
def test_every_allowed_purpose_has_a_legal_basis_that_can_be_named(one: LawPack) -> None:
    for purpose in one.purposes.allowed:
        assert [basis for basis in LEGAL_BASES if accepts_basis(one, purpose, basis)], purpose


@pytest.mark.parametrize("one", packs(), ids=lambda one: one.code)
def test_every_rule_says_where_it_comes_from(one: LawPack) -> None:
    for name, rule in one.rules:
        if not rule.source.citation:
            assert rule.source.verified, name
        assert bool(rule.source.caveat) is not rule.source.verified
    assert any(rule.source.citation for _, rule in one.rules)


@pytest.mark.parametrize("one", packs(), ids=lambda one: one.code)
def test_sketches_generated_and_moving_images_are_refused_everywhere(one: LawPack) -> None:
    for kind, term in PROBE_KINDS.items():
        assert (one.refusing(kind) is None) is term.possible


def test_what_was_remembered_and_not_read_is_marked() -> None:
    sketches = next(rule for rule in pack("washington", NOW).probe if "sketch" in rule.refused)
    assert (sketches.source.verified, sketches.source.caveat) == (False, "From memory: check the primary text.")
    assert not pack("massachusetts", NOW).case.source.verified
    assert pack("utah", NOW).purposes.source.verified
    assert pack("maryland", NOW).offences.source.verified


def test_the_default_pack_is_as_strict_as_it_claims() -> None:
    default = pack("default", NOW)
    assert default.as_strict_as.keys() == COMPARABLE
    for rule, claimed in default.as_strict_as.items():
        stricter = {
            other.code for other in packs() if other.code != "default" and at_least_as_strict(rule, default, other)
        }
        assert set(claimed) == stricter, rule


def test_the_default_pack_has_the_strictest_offences_authority_training_and_photos() -> None:
    others = set(CODES) - {"default"}
    for rule in ("offences", "legal_basis", "authority", "approval", "training", "justification", "probe"):
        assert set(pack("default", NOW).as_strict_as[rule]) >= others - {"eu"}, rule


@pytest.mark.parametrize(
    ("code", "day", "in_force"),
    [
        ("utah", (2021, 5, 4), False),
        ("utah", (2021, 5, 5), True),
        ("maryland", (2024, 9, 30), False),
        ("maryland", (2024, 10, 1), True),
        ("virginia", (2026, 6, 30), True),
        ("virginia", (2026, 7, 1), False),
        ("eu", (2026, 8, 1), False),
        ("eu", (2026, 8, 2), True),
    ],
)
def test_a_pack_applies_from_its_first_day_to_the_day_before_its_end(
    code: str, day: tuple[int, int, int], in_force: bool
) -> None:
    at = datetime(*day, 12, 0, tzinfo=UTC)
    if in_force:
        assert pack(code, at).code == code
    else:
        with pytest.raises(NoLawPack, match="No edition"):
            pack(code, at)


def test_an_unknown_pack_names_the_known_ones() -> None:
    with pytest.raises(NoLawPack, match="detroit, eu, maine"):
        pack("atlantis", NOW)


def test_a_time_without_a_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="time zone"):
        pack("utah", datetime(2026, 5, 14))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "Utah"', 'name = "Utah"\nnickname = "x"', "utah.toml: unknown key: nickname"),
        ("[rules.face]\nhouse = true", "[rules.face]\nhouse = true\nhat = 1", "rules: face: unknown key: hat"),
        ("[rules.face]\nhouse = true", "", "rules: face: is missing"),
        ("[rules.face]\nhouse = true", '[rules.face]\nhouse = true\ncitation = "x"', "either house = true"),
        ("[rules.face]\nhouse = true", '[rules.face]\ncitation = "x"', "face: verified: is missing"),
        ('"identify_suspect", ', '"identify_suspekt", ', "purposes: allowed: unknown code: identify_suspekt"),
        ('"identify_suspect", ', '"immigration_status", ', "unknown code: immigration_status"),
        ('"identify_suspect", ', '"identify_suspect", "identify_suspect", ', "a code is listed twice"),
        ('classes = ["violent_felony", ', 'classes = ["no_crime", ', "offences: classes: unknown code: no_crime"),
        ("classes = [", "clases = [", "no offence is allowed|unknown key: clases"),
        ("effective_from = 2021-05-05", 'effective_from = "2021"', "effective_from: must be a date"),
        ("effective_from = 2021-05-05", "effective_from = 2021-05-05T00:00:00Z", "a date without a time"),
        ("effective_from = 2021-05-05", "", "effective_from: is missing"),
        (
            "effective_from = 2021-05-05",
            "effective_from = 2021-05-05\neffective_to = 2021-05-05",
            "effective_to: must be later",
        ),
        ("count = 1", "count = 0", "approval: count: must be a whole number from 1 to 3"),
        ("count = 1", "count = true", "approval: count: must be a whole number"),
        ('roles = ["supervisor"]', 'roles = ["officer"]', "approval: roles: unknown code: officer"),
        ("deadline_hours = 24", "deadline_hours = 0", "emergency: deadline_hours"),
        ('after_deadline = "seal"', 'after_deadline = "forget"', "after_deadline: unknown value: forget"),
        ("allowed = true\npurposes", "allowed = false\npurposes", "emergency: unknown key"),
        ('purposes = ["*"]', 'purposes = ["religion"]', "must name every prohibited purpose; missing: age_or"),
        (
            'no_crime_purposes = ["imminent_threat"',
            'no_crime_purposes = ["missing_person"',
            "offences: no_crime_purposes: not an allowed purpose: missing_person",
        ),
        (
            'except_purposes = ["imminent_threat"',
            'except_purposes = ["undercover_vetting"',
            "legal_basis: except_purposes: not an allowed purpose: undercover_vetting",
        ),
        (
            'purposes = ["imminent_threat", "inc',
            'purposes = ["missing_person", "inc',
            "emergency: purposes: not an allowed",
        ),
        ("[[rules.probe]]", "[rules.probe]", "probe: must be a list"),
        ('code = "utah"', 'code = "Utah!"', "not a code"),
        ('code = "utah"', "code = utah", "not TOML"),
        ('name = "Utah"', 'name = " "', "name: is empty"),
    ],
)
def test_a_pack_with_a_mistake_is_refused_with_its_place(old: str, new: str, message: str) -> None:
    assert old in UTAH
    with pytest.raises(LawPackError, match=message) as caught:
        read_pack(UTAH.replace(old, new), "utah.toml")
    assert str(caught.value).startswith("utah.toml")


def test_two_editions_in_force_on_one_day_are_refused(tmp_path: Path) -> None:
    (tmp_path / "old.toml").write_text(UTAH)
    (tmp_path / "new.toml").write_text(UTAH.replace("2021-05-05", "2023-05-03"))
    with pytest.raises(LawPackError, match="utah: two editions are in force on 2023-05-03"):
        read_folder(tmp_path)


def test_an_edition_follows_the_one_that_ends(tmp_path: Path) -> None:
    ended = UTAH.replace("effective_from = 2021-05-05", "effective_from = 2021-05-05\neffective_to = 2023-05-03")
    (tmp_path / "a.toml").write_text(ended)
    (tmp_path / "b.toml").write_text(UTAH.replace("2021-05-05", "2023-05-03"))
    one, two = read_folder(tmp_path)
    assert (one.effective_to, two.effective_from, two.effective_to) == (date(2023, 5, 3), date(2023, 5, 3), None)


def test_a_claim_about_an_unknown_pack_or_rule_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(UTAH + '\n[as_strict_as]\noffences = ["atlantis"]\n')
    with pytest.raises(LawPackError, match="unknown pack: atlantis"):
        read_folder(tmp_path)
    with pytest.raises(LawPackError, match="hats: no such rule"):
        read_pack(UTAH + '\n[as_strict_as]\nhats = ["utah"]\n', "a.toml")


def test_the_form_learns_what_utah_asks_for() -> None:
    asked = {r.field: r for r in requirements(pack("utah", NOW), "identify_suspect", "robbery")}
    assert asked.keys() == {
        "case_number",
        "legal_basis",
        "justification",
        "approval",
        "training",
        "chosen_face",
        "probe",
    }
    assert asked["case_number"].citation == "Utah Code 77-23e-103(2)(b)(ii)"
    assert "120 characters" in asked["justification"].sentence
    assert asked["approval"].citation == ""


def test_the_form_asks_for_purpose_and_offence_until_they_fit() -> None:
    utah = pack("utah", NOW)
    fields = [r.field for r in requirements(utah, "", "")]
    assert {"purpose", "offence"} <= set(fields)
    assert "offence" in [r.field for r in requirements(utah, "identify_suspect", "shoplifting")]
    assert "offence" not in [r.field for r in requirements(utah, "deceased_person", "unidentified_remains")]
    assert "offence" in [r.field for r in requirements(utah, "identify_suspect", "unidentified_remains")]


def test_the_form_asks_for_a_warrant_now_or_in_an_emergency_later() -> None:
    montana = pack("montana", NOW)
    [calm] = [r for r in requirements(montana, "identify_suspect", "murder") if r.field == "attachments"]
    assert calm.sentence == "Attach: warrant."
    assert not calm.verified
    urgent = requirements(montana, "identify_suspect", "murder", emergency=True)
    assert [r.sentence for r in urgent if r.field == "attachments"] == ["Attach: warrant, within 24 hours."]
    assert [r.field for r in urgent if r.field == "emergency"]
    assert not [r for r in requirements(montana, "deceased_person", "murder") if r.field == "attachments"]


def test_europe_erases_what_was_not_authorised_in_48_hours() -> None:
    eu = pack("eu", datetime(2026, 9, 1, tzinfo=UTC))
    assert (eu.emergency.deadline_hours, eu.emergency.after_deadline) == (48, AfterDeadline.ERASE)


def test_a_law_goes_before_a_house_rule_as_the_source_of_a_prohibition() -> None:
    detroit = pack("detroit", NOW)
    source = detroit.prohibiting("immigration_status")
    assert source is not None
    assert source.citation == "DPD 307.5-3.6 (2022)"
    house = detroit.prohibiting("private_interest")
    assert house is not None
    assert house.citation == ""
    assert detroit.prohibiting("identify_suspect") is None


def test_the_page_of_law_packs_is_the_one_in_the_repository() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "law-packs.md"
    assert page.read_text(encoding="utf-8") == law.as_markdown(), (
        "run: python -m search.law > docs/reference/law-packs.md"
    )
