"""Agencies: whose people sign in, how their case numbers look, which jurisdiction's rules hold."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from audit.log import journal
from core.exceptions import Conflict, Invalid, NotAllowed
from core.models import Agency, User
from core.permissions import check_can_manage_people, signature
from core.person_roles import Permission

# What the log can name: see the kind `code` in audit.log.events.
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def add(
    *,
    by: User | None,
    code: str,
    name: str,
    case_number_pattern: str = "",
    case_number_example: str = "",
    law_pack: str = "default",
) -> Agency:
    """Add an agency. `case_number_pattern` is a regular expression that a whole canonical case number has to fit.

    None for `by` is the operator. Raises NotAllowed, Invalid, Conflict when there is an agency with this code.
    """
    check_can_manage_people(by)
    if by is not None and by.agency_id is not None:
        raise NotAllowed("Only an administrator who belongs to no agency may add one. Ask the operator.")
    code = code.strip()
    if _CODE.fullmatch(code) is None:
        sentence = "Write the code with up to 40 small letters, digits, hyphens and underscores, such as “provo-pd”."
        raise Invalid(sentence, {"code": [sentence]})
    agency = Agency(code=code, name=name.strip(), case_number_example=case_number_example.strip(), law_pack=law_pack)
    if case_number_pattern:
        agency.case_number_pattern = case_number_pattern
    _check_case_numbers(agency)
    try:
        agency.full_clean(validate_unique=False)
    except ValidationError as error:
        raise Invalid("The agency is incomplete: see the fields.", error.message_dict) from error
    try:
        with transaction.atomic():
            agency.save(force_insert=True)
            journal.record(
                "core:agency:added", agency=code, law_pack=law_pack, **signature(by, Permission.MANAGE_PEOPLE)
            )
    except IntegrityError as error:
        raise Conflict(f"There is already an agency with the code “{code}”. Choose another code.") from error
    return agency


def _check_case_numbers(agency: Agency) -> None:
    try:
        pattern = re.compile(agency.case_number_pattern)
    except re.error as error:
        sentence = f"The pattern of case numbers is no regular expression: {error}."
        raise Invalid(sentence, {"case_number_pattern": [sentence]}) from error
    if agency.case_number_example and pattern.fullmatch(agency.case_number_example) is None:
        sentence = "The example does not fit the pattern of case numbers. Correct one of them."
        raise Invalid(sentence, {"case_number_example": [sentence]})
