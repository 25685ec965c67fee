"""Who may do what with cases and searches. When it may be done is for `policies` and the states.

Pairs: `check_can_x` raises NotAllowed with a sentence, `can_x` answers. People act inside their own agency.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.exceptions import NotAllowed
from core.models import User
from core.permissions import has
from core.person_roles import Permission as P
from search.models import Case, SearchRequest


def _require(allowed: bool, sentence: str) -> None:
    if not allowed:
        raise NotAllowed(sentence)


def _answers(check: Callable[..., None], *arguments: Any) -> bool:
    try:
        check(*arguments)
    except NotAllowed:
        return False
    return True


def _same_agency(user: User, agency_id: str | None) -> bool:
    return user.agency_id is not None and user.agency_id == agency_id


# Cases


def check_can_open_case(user: User) -> None:
    _require(has(user, P.OPEN_CASES), "Only officers and supervisors open cases.")
    _require(user.agency_id is not None, "You belong to no agency yet. Ask your administrator to enter it.")


def check_can_import_cases(user: User) -> None:
    _require(has(user, P.CONFIRM_CASES), "Only supervisors import cases.")
    _require(user.agency_id is not None, "You belong to no agency yet. Ask your administrator to enter it.")


def check_can_manage_case(user: User, case: Case) -> None:
    """Assigning, closing and reopening."""
    _require(has(user, P.CONFIRM_CASES), "Only a supervisor may do this. Ask yours.")
    _require(_same_agency(user, case.agency_id), "This case belongs to another agency.")


def check_can_confirm_case(user: User, case: Case) -> None:
    check_can_manage_case(user, case)
    _require(case.opened_by_id != user.id, "You opened this case yourself: another supervisor has to confirm it.")


def check_can_see_case(user: User, case: Case) -> None:
    if has(user, P.SAMPLE_SEARCHES):
        return
    _require(_same_agency(user, case.agency_id), "This case belongs to another agency.")
    if has(user, P.CONFIRM_CASES) or has(user, P.DECIDE_HOLDS):
        return
    own = has(user, P.READ_CASES) and (
        case.opened_by_id == user.id or case.caseassignment_set.filter(officer=user).exists()
    )
    _require(own, "You are not assigned to this case. Ask its supervisor to assign you.")


# Galleries


def check_can_keep_galleries(user: User | None, agency_id: str) -> None:
    """Creating, enrolling, removing, expunging. None is the operator at the command line."""
    if user is None:
        return
    _require(has(user, P.KEEP_GALLERIES), "Only a custodian keeps galleries. Ask yours.")
    _require(_same_agency(user, agency_id), "This gallery belongs to another agency.")


def can_keep_galleries(user: User, agency_id: str) -> bool:
    return _answers(check_can_keep_galleries, user, agency_id)


def check_can_acknowledge_licence(user: User | None) -> None:
    """Answering for a face model's licence."""
    _require(
        user is None or has(user, P.KEEP_GALLERIES), "Only a custodian answers for a face model's licence. Ask yours."
    )


def can_acknowledge_licence(user: User) -> bool:
    return _answers(check_can_acknowledge_licence, user)


# Requests


def _decides(user: User) -> bool:
    return any(has(user, one) for one in (P.APPROVE_SEARCHES, P.DECIDE_HOLDS, P.REVIEW_CANDIDATES))


def check_can_request_search(user: User) -> None:
    _require(has(user, P.REQUEST_SEARCHES), "Only officers request searches.")
    _require(user.agency_id is not None, "You belong to no agency yet. Ask your administrator to enter it.")


def check_can_change_request(user: User, request: SearchRequest) -> None:
    """Filling in, submitting, withdrawing: the requester alone."""
    check_can_request_search(user)
    _require(request.requester_id == user.id, "This request belongs to somebody else.")


def check_can_see_request(user: User, request: SearchRequest) -> None:
    """Status and receipts. What was found is `check_can_view_candidates`."""
    if request.requester_id == user.id or has(user, P.SAMPLE_SEARCHES):
        return
    _require(_decides(user), "This request belongs to somebody else.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_see_justification(user: User, request: SearchRequest) -> None:
    """The written reason and the probe: the requester, and who has to decide or compare."""
    if request.requester_id == user.id:
        return
    _require(_decides(user), "Only those who decide on this request may read it.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_approve(user: User, request: SearchRequest, roles: frozenset[str]) -> None:
    """`roles` are those of which the law pack accepts an approval."""
    _require(request.requester_id != user.id, "You asked for this search yourself: another person has to approve it.")
    _require(
        bool(user.is_active and roles & set(user.roles)), f"An approval has to come from: {', '.join(sorted(roles))}."
    )
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_override_quality(user: User, request: SearchRequest) -> None:
    _require(has(user, P.OVERRIDE_QUALITY), "Only a supervisor may accept a photo below the quality limits.")
    _require(request.requester_id != user.id, "This is your own request: another supervisor has to decide.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_decide_hold(user: User, request: SearchRequest) -> None:
    _require(has(user, P.DECIDE_HOLDS), "Only counsel decides held searches.")
    _require(request.requester_id != user.id, "This is your own request: another counsel has to decide.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_view_candidates(user: User, request: SearchRequest) -> None:
    _require(has(user, P.REVIEW_CANDIDATES), "Only examiners read candidates. You see the status of the search.")
    _require(request.requester_id != user.id, "You asked for this search yourself: another examiner has to read it.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_review(user: User, request: SearchRequest) -> None:
    """Deciding on candidates: an examiner who neither asked for the search, nor approved it, nor disclosed it."""
    check_can_view_candidates(user, request)
    _require(request.decided_by_id != user.id, "You approved this search: another examiner has to decide on it.")
    _require(
        not request.disclosures.filter(made_by=user).exists(),
        "You disclosed this search, and the file holds ranks and scores: another examiner has to decide on it.",
    )


def check_can_supervise_lead(user: User, request: SearchRequest) -> None:
    """Releasing or withholding what two examiners support: a supervisor who is none of the others."""
    _require(has(user, P.RELEASE_LEADS), "Only a supervisor releases leads. Ask yours.")
    _require(request.requester_id != user.id, "You asked for this search yourself: another supervisor has to decide.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")
    _require(
        not request.decisions.filter(examiner=user).exists(),
        "You examined these candidates yourself: another supervisor has to decide.",
    )


def check_can_see_decisions(user: User, request: SearchRequest) -> None:
    """What the examiners concluded, once the review is over: those who work on it, never the requester."""
    _require(
        request.requester_id != user.id, "You asked for this search yourself: you see the lead, if one is released."
    )
    _require(
        any(has(user, one) for one in (P.REVIEW_CANDIDATES, P.RELEASE_LEADS, P.DECIDE_HOLDS)),
        "Only examiners, supervisors and counsel read the decisions of examiners.",
    )
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_see_lead(user: User, request: SearchRequest) -> None:
    """A released lead: its requester, supervisors and counsel."""
    if request.requester_id == user.id:
        return
    _require(
        has(user, P.RELEASE_LEADS) or has(user, P.DECIDE_HOLDS),
        "A lead is read by whoever asked for the search, by supervisors and by counsel.",
    )
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_record_outcome(user: User, request: SearchRequest) -> None:
    """What became of a lead: its requester, or a supervisor."""
    if request.requester_id == user.id:
        return
    _require(has(user, P.RELEASE_LEADS), "The outcome is recorded by whoever asked for the search, or by a supervisor.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_disclose(user: User, request: SearchRequest) -> None:
    """Handing a search out for the defence or a court."""
    _require(has(user, P.RELEASE_LEADS), "Only a supervisor makes a disclosure bundle. Ask yours.")
    _require(
        request.requester_id != user.id, "You asked for this search yourself: another supervisor has to disclose it."
    )
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def check_can_replay(user: User, request: SearchRequest) -> None:
    _require(
        has(user, P.APPROVE_SEARCHES) or has(user, P.DECIDE_HOLDS), "Only supervisors and counsel run a search again."
    )
    _require(request.requester_id != user.id, "You asked for this search yourself: another person has to approve it.")
    _require(_same_agency(user, request.requester.agency_id), "This request belongs to another agency.")


def can_open_case(user: User) -> bool:
    return _answers(check_can_open_case, user)


def can_import_cases(user: User) -> bool:
    return _answers(check_can_import_cases, user)


def can_manage_case(user: User, case: Case) -> bool:
    return _answers(check_can_manage_case, user, case)


def can_confirm_case(user: User, case: Case) -> bool:
    return _answers(check_can_confirm_case, user, case)


def can_see_case(user: User, case: Case) -> bool:
    return _answers(check_can_see_case, user, case)


def can_request_search(user: User) -> bool:
    return _answers(check_can_request_search, user)


def can_change_request(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_change_request, user, request)


def can_see_request(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_see_request, user, request)


def can_see_justification(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_see_justification, user, request)


def can_approve(user: User, request: SearchRequest, roles: frozenset[str]) -> bool:
    return _answers(check_can_approve, user, request, roles)


def can_override_quality(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_override_quality, user, request)


def can_decide_hold(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_decide_hold, user, request)


def can_view_candidates(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_view_candidates, user, request)


def can_replay(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_replay, user, request)


def can_review(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_review, user, request)


def can_supervise_lead(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_supervise_lead, user, request)


def can_see_decisions(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_see_decisions, user, request)


def can_see_lead(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_see_lead, user, request)


def can_record_outcome(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_record_outcome, user, request)


def can_disclose(user: User, request: SearchRequest) -> bool:
    return _answers(check_can_disclose, user, request)
