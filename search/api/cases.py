"""/api/v1/cases/."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import Access, having
from core.api.fields import PersonNamed, PersonOut
from core.api.parsers import CSV, Table
from core.api.schema import operation
from core.api.views import Pages, View
from core.person_roles import Permission
from search import cases, selectors
from search.models import Case, CaseStatus

MOST_ROWS = 1000
_OUTCOMES = ("imported", "known", "refused")


class CaseOut(serializers.Serializer):
    """A case."""

    id = serializers.UUIDField()
    number = serializers.CharField()
    agency = serializers.CharField(source="agency_id")
    offence = serializers.CharField()
    status = serializers.ChoiceField(choices=CaseStatus.choices)
    officers = PersonOut(many=True)
    opened_by = PersonOut(allow_null=True)
    opened_at = serializers.DateTimeField()
    confirmed_by = PersonOut(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class CaseIn(serializers.Serializer):
    """A new case. Only supervisors name officers; an officer works on the case that he or she opens."""

    number = serializers.CharField(max_length=200, allow_blank=True, required=False, default="")
    offence = serializers.CharField(max_length=80, allow_blank=True, required=False, default="")
    officers = serializers.ListField(child=PersonNamed(), required=False, default=list, max_length=64)


class OfficersIn(serializers.Serializer):
    """Who works on a case: those and nobody else."""

    officers = serializers.ListField(child=PersonNamed(), max_length=64)


class CasesAsked(serializers.Serializer):
    """Which cases to list."""

    status = serializers.ChoiceField(choices=CaseStatus.choices, required=False)


class RowIn(serializers.Serializer):
    """One case to import. What is wrong with it is said about its row."""

    number = serializers.CharField(max_length=200, allow_blank=True, required=False, default="")
    offence = serializers.CharField(max_length=80, allow_blank=True, required=False, default="")
    officers = serializers.CharField(
        max_length=2000, allow_blank=True, required=False, default="", help_text="Usernames, separated by blanks."
    )


class ImportIn(serializers.Serializer):
    """A table of cases; as text/csv with the columns number, offence and officers too."""

    rows = serializers.ListField(child=RowIn(), min_length=1, max_length=MOST_ROWS)


class ImportedOut(serializers.Serializer):
    """What became of one row; lines count from 1."""

    line = serializers.IntegerField()
    number = serializers.CharField()
    outcome = serializers.ChoiceField(choices=_OUTCOMES)
    sentence = serializers.CharField()


class ImportOut(serializers.Serializer):
    """What became of a table."""

    imported = serializers.IntegerField()
    known = serializers.IntegerField()
    refused = serializers.IntegerField()
    rows = ImportedOut(many=True)


class Cases(View):
    """The cases that one may see."""

    access = Access.of("officer", "supervisor", "counsel", "board")
    pagination_class = Pages

    @operation("list_cases", "The cases that one may see, newest first.", query=CasesAsked, gives=CaseOut(many=True))
    def get(self, request: Request) -> Response:
        found = selectors.cases(self.person).select_related("confirmed_by").prefetch_related("officers")
        return self.pages(CaseOut, found.filter(**self.asked(CasesAsked)))

    @operation(
        "open_case", "Opens a case; an officer's waits for a supervisor.", takes=CaseIn, gives=CaseOut, status=201
    )
    @having(Permission.OPEN_CASES)
    def post(self, request: Request) -> Response:
        return self.answer(CaseOut, cases.open_case(by=self.person, **self.given(CaseIn)), 201)


class CaseImport(View):
    """Many cases at once."""

    access = Access.having(Permission.CONFIRM_CASES)
    parser_classes = (Table, CSV)

    @operation(
        "import_cases",
        "Imports cases row by row: a wrong one does not stop the others.",
        takes=ImportIn,
        gives=ImportOut,
    )
    def post(self, request: Request) -> Response:
        report = cases.import_cases(by=self.person, rows=self.given(ImportIn)["rows"])
        return self.answer(ImportOut, {**report.summary, "rows": report.rows})


class CaseDetail(View):
    """One case."""

    access = Access.of("officer", "supervisor", "counsel", "board")

    @operation("read_case", "One case.", gives=CaseOut)
    def get(self, request: Request, case_id: uuid.UUID) -> Response:
        return self.answer(CaseOut, selectors.case(self.person, case_id))


class _Supervisors(View):
    access = Access.having(Permission.CONFIRM_CASES)

    def act(self, act: Callable[..., Case], case_id: uuid.UUID) -> Response:
        return self.answer(CaseOut, act(by=self.person, case=selectors.case(self.person, case_id)))


class CaseConfirm(_Supervisors):
    """Confirmation by a supervisor."""

    @operation("confirm_case", "Confirms a case that somebody else opened.", gives=CaseOut)
    def post(self, request: Request, case_id: uuid.UUID) -> Response:
        return self.act(cases.confirm, case_id)


class CaseClose(_Supervisors):
    """The end of a case."""

    @operation("close_case", "Closes a case: nobody searches in it any more.", gives=CaseOut)
    def post(self, request: Request, case_id: uuid.UUID) -> Response:
        return self.act(cases.close, case_id)


class CaseReopen(_Supervisors):
    """A case that goes on."""

    @operation("reopen_case", "Reopens a closed case.", gives=CaseOut)
    def post(self, request: Request, case_id: uuid.UUID) -> Response:
        return self.act(cases.reopen, case_id)


class CaseOfficers(_Supervisors):
    """Who works on a case."""

    @operation("assign_officers", "Sets who works on a case.", takes=OfficersIn, gives=CaseOut)
    def put(self, request: Request, case_id: uuid.UUID) -> Response:
        case = selectors.case(self.person, case_id)
        return self.answer(CaseOut, cases.assign(by=self.person, case=case, **self.given(OfficersIn)))
