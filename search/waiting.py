"""How many things wait for a person at each place: the start page says so."""

from __future__ import annotations

from core.models import User
from search.models import RequestState, SearchRequest


def cases(user: User) -> int:
    """Cases that this supervisor has to confirm."""
    from search import selectors

    return selectors.unconfirmed_cases(user).count()


def drafts(user: User) -> int:
    """Drafts that this officer has not submitted."""
    return SearchRequest.objects.filter(requester=user, state=RequestState.DRAFT).count()


def approvals(user: User) -> int:
    """Requests and photos that this person may decide about."""
    from search import approvals as waiting
    from search import selectors

    return waiting.queue(user).count() + selectors.photos_to_accept(user).count()


def holds(user: User) -> int:
    """Held requests that this counsel may decide."""
    from search import holds as waiting

    return waiting.queue(user).count()


def reviews(user: User) -> int:
    """Finished searches on whose candidates this examiner has not decided."""
    from search import reviews as waiting

    return waiting.queue(user).count()


def releases(user: User) -> int:
    """Leads that this supervisor has to release or withhold."""
    from search import leads

    return leads.queue(user).count()


def overdue(user: User) -> int:
    """Leads of which nothing was recorded for too long."""
    from search import outcomes

    return outcomes.overdue(user).count()
