"""Cases: who opens, confirms, imports, assigns and closes them, and what the log says about each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core import keystore
from core.exceptions import Conflict, Invalid, NotAllowed
from core.models import Agency
from search import cases, selectors
from search.models import Case, CaseStatus
from tests.people import Cast

Entries = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def agency(cast: Cast) -> Agency:
    cast.agency.case_number_pattern = r"[0-9]{4}-[0-9]{5}"
    cast.agency.case_number_example = "2026-00147"
    cast.agency.save()
    for user in (cast.olivia, cast.oscar, cast.sam, cast.sue):
        user.agency = cast.agency
    return cast.agency


@pytest.mark.parametrize("written", ["2026-00147", " 2026 - 00147 ", "2026–00147", "２０２６-00147"])
def test_a_case_number_has_one_canonical_form(agency: Agency, written: str) -> None:
    assert cases.canonical(agency, written) == "2026-00147"


@pytest.mark.parametrize("written", ["", "  ", "2026-147", "x", "2026-00147\n2026-00148", "9" * 500])
def test_a_number_that_does_not_follow_the_pattern_is_invalid(agency: Agency, written: str) -> None:
    with pytest.raises(Invalid) as caught:
        cases.canonical(agency, written)
    assert list(caught.value.field_errors) == ["case_number"]


def test_a_supervisor_opens_a_case_that_is_confirmed_at_once(cast: Cast, agency: Agency, entries: Entries) -> None:
    case = cases.open_case(by=cast.sam, number="2026-00147", offence="robbery", officers=[cast.olivia])

    assert case.status == CaseStatus.OPEN
    assert list(selectors.searchable_cases(cast.olivia)) == [case]
    assert list(selectors.searchable_cases(cast.oscar)) == []
    [entry] = entries("search:case:opened", case=case.id)
    assert entry["confirmed"] is True
    assert entry["actor"] == str(cast.sam.id)
    assert entry["role"] == "supervisor"
    assert list(entry["c"]) == ["number"]
    assert "00147" not in str(entry)
    assert keystore.get(case.id)
    [assigned] = entries("search:case:assigned", case=case.id)
    assert assigned["officers"] == [str(cast.olivia.id)]


def test_an_officers_case_waits_for_another_person(cast: Cast, agency: Agency, entries: Entries) -> None:
    case = cases.open_case(by=cast.olivia, number="2026-00148", offence="murder")
    assert case.status == CaseStatus.UNCONFIRMED
    assert list(selectors.searchable_cases(cast.olivia)) == []
    assert list(selectors.unconfirmed_cases(cast.sam)) == [case]
    with pytest.raises(NotAllowed):
        cases.confirm(by=cast.olivia, case=case)

    case = cases.confirm(by=cast.sam, case=case)

    assert case.status == CaseStatus.OPEN
    assert list(selectors.searchable_cases(cast.olivia)) == [case]
    assert len(entries("search:case:confirmed", case=case.id)) == 1
    with pytest.raises(Conflict):
        cases.confirm(by=cast.sue, case=case)


def test_a_supervisor_who_is_also_an_officer_does_not_confirm_the_own_case(cast: Cast, agency: Agency) -> None:
    case = cases.open_case(by=cast.olivia, number="2026-00148", offence="murder")
    cast.olivia.roles = ["officer", "supervisor"]
    with pytest.raises(NotAllowed, match="yourself"):
        cases.confirm(by=cast.olivia, case=case)


@pytest.mark.parametrize("role", ["examiner", "counsel", "custodian", "board", "auditor", "administrator"])
def test_nobody_else_opens_a_case(cast: Cast, agency: Agency, role: str) -> None:
    with pytest.raises(NotAllowed):
        cases.open_case(by=cast.by_role[role], number="2026-00149", offence="murder")
    assert not Case.objects.exists()


def test_a_number_is_used_once_in_an_agency(cast: Cast, agency: Agency, entries: Entries) -> None:
    cases.open_case(by=cast.sam, number="2026-00147", offence="robbery")
    with pytest.raises(Conflict, match="open here already"):
        cases.open_case(by=cast.sue, number="2026 00147".replace(" ", "-"), offence="robbery")
    assert len(entries("search:case:opened")) == 1


def test_an_unknown_offence_and_a_stranger_are_invalid(cast: Cast, agency: Agency) -> None:
    with pytest.raises(Invalid) as caught:
        cases.open_case(by=cast.sam, number="2026-00147", offence="jaywalking")
    assert "offence" in caught.value.field_errors
    with pytest.raises(Invalid) as caught:
        cases.open_case(by=cast.sam, number="2026-00147", offence="robbery", officers=[cast.xavier])
    assert "officers" in caught.value.field_errors
    with pytest.raises(Invalid):
        cases.open_case(by=cast.olivia, number="2026-00147", offence="robbery", officers=[cast.oscar])
    assert not Case.objects.exists()


def test_assigning_replaces_who_works_on_a_case(cast: Cast, agency: Agency, entries: Entries) -> None:
    case = cases.open_case(by=cast.sam, number="2026-00147", offence="robbery", officers=[cast.olivia])
    cases.assign(by=cast.sue, case=case, officers=[cast.oscar])
    assert list(case.officers.all()) == [cast.oscar]
    assert entries("search:case:assigned", case=case.id)[-1]["officers"] == [str(cast.oscar.id)]
    with pytest.raises(NotAllowed):
        cases.assign(by=cast.olivia, case=case, officers=[cast.olivia])


def test_closing_and_reopening_are_entries(cast: Cast, agency: Agency, entries: Entries) -> None:
    case = cases.open_case(by=cast.olivia, number="2026-00147", offence="robbery")
    case = cases.close(by=cast.sam, case=case)
    assert case.status == CaseStatus.CLOSED
    with pytest.raises(Conflict):
        cases.close(by=cast.sam, case=case)
    with pytest.raises(Conflict):
        cases.assign(by=cast.sam, case=case, officers=[cast.oscar])
    case = cases.reopen(by=cast.sam, case=case)
    assert case.status == CaseStatus.UNCONFIRMED, "it was never confirmed"
    assert len(entries("search:case:closed", case=case.id)) == 1
    assert len(entries("search:case:reopened", case=case.id)) == 1


def test_a_case_of_another_agency_is_out_of_reach(cast: Cast, agency: Agency) -> None:
    case = cases.open_case(by=cast.sam, number="2026-00147", offence="robbery")
    cast.xavier.roles = ["supervisor"]
    for act in (cases.close, cases.confirm):
        with pytest.raises(NotAllowed):
            act(by=cast.xavier, case=case)
    assert list(selectors.cases(cast.xavier)) == []


def test_an_import_reports_row_by_row(cast: Cast, agency: Agency, entries: Entries) -> None:
    cases.open_case(by=cast.sam, number="2026-00001", offence="robbery")
    report = cases.import_cases(
        by=cast.sam,
        rows=[
            {"number": "2026-00001", "offence": "robbery"},
            {"number": "2026-00002", "offence": "murder", "officers": "olivia OSCAR"},
            {"number": "nonsense", "offence": "murder"},
            {"number": "2026-00003", "offence": "jaywalking"},
            {"number": "2026-00004", "offence": "murder", "officers": "nobody"},
            {"number": None, "offence": None},
            {"number": "2026-00002", "offence": "murder"},
        ],
    )
    assert [row.outcome for row in report.rows] == [
        "known",
        "imported",
        "refused",
        "refused",
        "refused",
        "refused",
        "known",
    ]
    assert all(row.sentence for row in report.rows if row.outcome != "imported")
    assert report.summary == {"imported": 1, "known": 2, "refused": 4}
    case = Case.objects.get(number="2026-00002")
    assert case.status == CaseStatus.OPEN
    assert set(case.officers.all()) == {cast.olivia, cast.oscar}
    assert len(entries("search:case:imported", case=case.id)) == 1
    with pytest.raises(NotAllowed):
        cases.import_cases(by=cast.olivia, rows=[])
