"""Who may read the log and open what is sealed in it, in pairs: `check_can_x` raises NotAllowed, `can_x` answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.exceptions import NotAllowed
from core.permissions import has, require
from core.person_roles import Permission

if TYPE_CHECKING:
    from audit.models import CourtLink
    from core.models import User
    from search.models import SearchRequest


def check_can_read_log(user: User) -> None:
    """Reading entries, in the browser or as bundles: their fields and commitments, not what is sealed."""
    require(user, Permission.READ_LOG, "Only the oversight board and auditors may read the entries of the log.")


def can_read_log(user: User) -> bool:
    return has(user, Permission.READ_LOG)


def check_can_open_sealed(user: User) -> None:
    """Opening personal values behind commitments, and seeing people's names and case numbers beside entries."""
    require(user, Permission.SAMPLE_SEARCHES, "Only the oversight board may open sealed values. Ask the board.")


def can_open_sealed(user: User) -> bool:
    return has(user, Permission.SAMPLE_SEARCHES)


def check_can_run_evaluations(user: User) -> None:
    """Freezing benchmark sets; starting, pausing, resuming and cancelling evaluations."""
    require(user, Permission.RUN_EVALUATIONS, "Only a custodian may do this. Ask the gallery's custodian.")


def can_run_evaluations(user: User) -> bool:
    return has(user, Permission.RUN_EVALUATIONS)


def check_can_read_evaluations(user: User) -> None:
    """Reading benchmark sets, the progress of evaluations and published reports."""
    require(user, Permission.READ_EVALUATIONS, "Your role does not read evaluation reports.")


def can_read_evaluations(user: User) -> bool:
    return has(user, Permission.READ_EVALUATIONS)


def can_file_findings(user: User) -> bool:
    """Whether this person files and closes findings."""
    return has(user, Permission.FILE_FINDINGS)


def check_can_make_court_link(user: User, request: SearchRequest) -> None:
    """Handing the receipts of a search to a court or counsel: its officer, a supervisor of the agency, the board."""
    if not (
        has(user, Permission.SAMPLE_SEARCHES)
        or (has(user, Permission.REQUEST_SEARCHES) and request.requester_id == user.id)
        or (has(user, Permission.APPROVE_SEARCHES) and _colleagues(user, request.requester))
    ):
        raise NotAllowed("Only the officer of the search, a supervisor of the agency and the board make court links.")


def can_make_court_link(user: User, request: SearchRequest) -> bool:
    return _passes(check_can_make_court_link, user, request)


def check_can_revoke_court_link(user: User, link: CourtLink) -> None:
    """One's own links; a supervisor those of the agency; the board all. What the board handed out, no agency takes back."""
    if not (
        link.made_by_id == user.id
        or has(user, Permission.SAMPLE_SEARCHES)
        or (has(user, Permission.APPROVE_SEARCHES) and _colleagues(user, link.made_by))
    ):
        raise NotAllowed("This link was made by somebody else. Ask them, a supervisor or the board to revoke it.")


def can_revoke_court_link(user: User, link: CourtLink) -> bool:
    return _passes(check_can_revoke_court_link, user, link)


def _colleagues(one: User, other: User) -> bool:
    return one.agency_id is not None and one.agency_id == other.agency_id


def _passes(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except NotAllowed:
        return False
    return True
