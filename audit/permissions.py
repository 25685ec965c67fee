"""Who may read the log and open what is sealed in it, in pairs: `check_can_x` raises NotAllowed, `can_x` answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.permissions import has, require
from core.person_roles import Permission

if TYPE_CHECKING:
    from core.models import User


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
