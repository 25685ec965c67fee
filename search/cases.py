"""Cases: opened by a supervisor, or by an officer and confirmed by a supervisor; imported; assigned, closed, reopened.

Every act is one transaction with its entry. The log holds the case number as a commitment only; the number itself is
sealed in the vault under the key of the case.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.log import case_numbers, journal
from core.exceptions import Conflict, GlasscaseError, Invalid
from core.models import Agency, User
from core.permissions import has, signature
from core.person_roles import Permission
from search import permissions
from search.models import Case, CaseAssignment, CaseStatus
from search.vocabulary import OFFENCES

_LONGEST = 60
_MOST_OFFICERS = 64  # what one entry of the log can name


def canonical(agency: Agency, number: str) -> str:
    """The case number in the one form that is stored and compared: upper case, no blanks, plain dashes.

    Raises Invalid (field case_number) when it does not follow the agency's pattern.
    """
    plain = case_numbers.canonical(number)
    if not plain:
        raise _invalid("case_number", "Enter the case number. Every search belongs to a case.")
    if len(plain) > _LONGEST or re.fullmatch(agency.case_number_pattern, plain) is None:
        example = f" It looks like {agency.case_number_example}." if agency.case_number_example else ""
        raise _invalid("case_number", f"This is not a case number of {agency.name}.{example}")
    return plain


def open_case(
    *, by: User, agency: Agency | None = None, number: str, offence: str, officers: Iterable[User] = ()
) -> Case:
    """Opens a case: confirmed at once when a supervisor does it, else waiting for one. An officer is assigned to it.

    Raises NotAllowed, Invalid, and Conflict when the number is taken.
    """
    permissions.check_can_open_case(by)
    agency = _own_agency(by, agency)
    supervises = has(by, Permission.CONFIRM_CASES)
    people = list(dict.fromkeys(officers)) or ([] if supervises else [by])
    if not supervises and people != [by]:
        raise _invalid("officers", "Only a supervisor assigns others to a case.")
    _check_officers(agency, people)
    return _store(
        by=by,
        agency=agency,
        number=canonical(agency, number),
        offence=_known(offence),
        officers=people,
        event="search:case:opened",
        confirmed=supervises,
    )


def confirm(*, by: User, case: Case) -> Case:
    """A supervisor other than the one who opened it confirms a case. Raises NotAllowed, Conflict."""
    permissions.check_can_confirm_case(by, case)
    with transaction.atomic():
        case = _locked(case)
        if case.status != CaseStatus.UNCONFIRMED:
            raise Conflict("This case does not wait for confirmation.")
        case.status, case.confirmed_by, case.confirmed_at = CaseStatus.OPEN, by, timezone.now()
        case.save()
        journal.record("search:case:confirmed", case=case.id, **signature(by, Permission.CONFIRM_CASES))
    return case


def assign(*, by: User, case: Case, officers: Iterable[User]) -> Case:
    """Sets who works on the case: those and nobody else. Raises NotAllowed, Invalid, Conflict."""
    permissions.check_can_manage_case(by, case)
    people = list(dict.fromkeys(officers))
    _check_officers(case.agency, people)
    with transaction.atomic():
        case = _locked(case)
        if case.status == CaseStatus.CLOSED:
            raise Conflict("This case is closed. Reopen it first.")
        case.caseassignment_set.exclude(officer__in=people).delete()
        _add_officers(by, case, people)
        _record_assignment(by, case, people)
    return case


def close(*, by: User, case: Case) -> Case:
    """Closes a case: nobody searches in it any more. Raises NotAllowed, Conflict."""
    permissions.check_can_manage_case(by, case)
    with transaction.atomic():
        case = _locked(case)
        if case.status == CaseStatus.CLOSED:
            raise Conflict("This case is closed already.")
        case.status, case.closed_by, case.closed_at = CaseStatus.CLOSED, by, timezone.now()
        case.save()
        journal.record("search:case:closed", case=case.id, **signature(by, Permission.CONFIRM_CASES))
    return case


def reopen(*, by: User, case: Case) -> Case:
    """Reopens a closed case; one that was never confirmed waits for confirmation again. Raises NotAllowed, Conflict."""
    permissions.check_can_manage_case(by, case)
    with transaction.atomic():
        case = _locked(case)
        if case.status != CaseStatus.CLOSED:
            raise Conflict("This case is not closed.")
        case.status = CaseStatus.OPEN if case.confirmed_at else CaseStatus.UNCONFIRMED
        case.closed_by = case.closed_at = None
        case.save()
        journal.record("search:case:reopened", case=case.id, **signature(by, Permission.CONFIRM_CASES))
    return case


@dataclass(frozen=True)
class ImportRow:
    """What became of one row; `line` counts from 1 without the heading."""

    line: int
    number: str
    outcome: str  # imported, known, refused
    sentence: str = ""


@dataclass
class ImportReport:
    rows: list[ImportRow] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        return sum(1 for row in self.rows if row.outcome == outcome)

    @property
    def summary(self) -> dict[str, int]:
        return {outcome: self.count(outcome) for outcome in ("imported", "known", "refused")}


def import_cases(*, by: User, agency: Agency | None = None, rows: Iterable[Mapping[str, str | None]]) -> ImportReport:
    """Imports cases from rows with the columns number, offence and (optional) officers: usernames separated by blanks.

    Each row stands for itself: a wrong one is reported and the others are imported. A case that is known is left as it
    is. Raises NotAllowed.
    """
    permissions.check_can_import_cases(by)
    agency = _own_agency(by, agency)
    report = ImportReport()
    for line, row in enumerate(rows, 1):
        given = (row.get("number") or row.get("case_number") or "").strip()
        try:
            number = canonical(agency, given)
            if Case.objects.filter(agency=agency, number=number).exists():
                report.rows.append(ImportRow(line, number, "known", "This case is known already."))
                continue
            people = _named(agency, (row.get("officers") or row.get("officer") or "").replace(",", " ").split())
            _store(
                by=by,
                agency=agency,
                number=number,
                offence=_known((row.get("offence") or "").strip()),
                officers=people,
                event="search:case:imported",
                confirmed=True,
            )
            report.rows.append(ImportRow(line, number, "imported"))
        except GlasscaseError as problem:
            report.rows.append(ImportRow(line, given[:_LONGEST], "refused", str(problem)))
    return report


def _invalid(name: str, sentence: str) -> Invalid:
    return Invalid(sentence, field_errors={name: [sentence]})


def _own_agency(by: User, agency: Agency | None) -> Agency:
    assert by.agency is not None, "checked by the permission"
    if agency is not None and agency != by.agency:
        raise _invalid("agency", "You open cases for your own agency only.")
    return by.agency


def _known(offence: str) -> str:
    if offence not in OFFENCES:
        raise _invalid("offence", "Choose the offence from the list.")
    return offence


def _check_officers(agency: Agency, people: list[User]) -> None:
    if len(people) > _MOST_OFFICERS:
        raise _invalid("officers", f"At most {_MOST_OFFICERS} officers work on one case.")
    for person in people:
        if not has(person, Permission.REQUEST_SEARCHES) or person.agency_id != agency.pk:
            raise _invalid("officers", f"{person} is not an officer of {agency.name}.")


def _named(agency: Agency, usernames: list[str]) -> list[User]:
    people = []
    for username in usernames:
        person = User.objects.filter(username__iexact=username, agency=agency).first()
        if person is None:
            raise _invalid("officers", f"There is no {username!r} in {agency.name}.")
        people.append(person)
    _check_officers(agency, people)
    return people


def _locked(case: Case) -> Case:
    return Case.objects.select_for_update(of=("self",)).select_related("agency").get(pk=case.pk)


def _store(
    *, by: User, agency: Agency, number: str, offence: str, officers: list[User], event: str, confirmed: bool
) -> Case:
    now = timezone.now()
    case = Case(
        id=uuid.uuid4(),
        agency=agency,
        number=number,
        offence=offence,
        status=CaseStatus.OPEN if confirmed else CaseStatus.UNCONFIRMED,
        opened_by=by,
        opened_at=now,
        confirmed_by=by if confirmed else None,
        confirmed_at=now if confirmed else None,
    )
    try:
        with transaction.atomic():
            case.save(force_insert=True)
            _add_officers(by, case, officers)
            journal.record(
                event,
                vault_record=case.id,
                values={"number": number},
                case=case.id,
                offence=offence,
                confirmed=confirmed if event == "search:case:opened" else None,
                **signature(by, Permission.CONFIRM_CASES if confirmed else Permission.OPEN_CASES),
            )
            if officers:
                _record_assignment(by, case, officers)
    except IntegrityError as error:
        if "one_case_number_per_agency" not in str(error):
            raise
        raise Conflict("A case with this number is open here already.") from None
    return case


def _add_officers(by: User, case: Case, people: list[User]) -> None:
    present = set(case.caseassignment_set.values_list("officer_id", flat=True))
    now = timezone.now()
    CaseAssignment.objects.bulk_create(
        CaseAssignment(case=case, officer=person, assigned_by=by, assigned_at=now)
        for person in people
        if person.id not in present
    )


def _record_assignment(by: User, case: Case, people: list[User]) -> None:
    journal.record(
        "search:case:assigned",
        case=case.id,
        officers=[person.id for person in people],
        **signature(by, Permission.OPEN_CASES),
    )
