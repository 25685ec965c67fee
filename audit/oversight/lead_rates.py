"""The error rates of released leads, counted for the board and auditors; each time they are read is an entry."""

from __future__ import annotations

from audit.fairness import operational
from audit.fairness.operational import Operational
from audit.log import journal
from audit.permissions import check_can_read_log
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import outcomes


def read(by: User, file: str) -> Operational:
    """The count over every released lead of this installation. `file` says in which form: page, csv, api.

    Raises NotAllowed, LogUnavailable.
    """
    check_can_read_log(by)
    truths = outcomes.truths()
    journal.record_now("search:rates:viewed", leads=len(truths), file=file, **signature(by, Permission.READ_LOG))
    return operational.count(truths)
