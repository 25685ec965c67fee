"""What searching refuses, for pages, API and commands alike: a sentence, an HTTP status, and the fields it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg
from django.db import DatabaseError

from core.exceptions import Conflict, GlasscaseError, NotAllowed, Unavailable
from search.gate.client import GateRefused, refusal_of
from search.policies import Kind, Refusal

# Rules about the person who asks (403) and about the moment (409); every other rule is about what was typed (422).
_PERSON: Final = frozenset(
    {"case:not_assigned", "training:missing", "training:expired", "training:too_long", "emergency:overdue"}
)
_MOMENT: Final = frozenset(
    {"case:closed", "case:unconfirmed", "gallery:no_edition", "gallery:server_missing", "evaluation:missing"}
)

# Rules of the gate that say who may not, rather than what cannot be now.
_GATE_PERSON: Final = frozenset({"approver", "locked", "secret"})
_COLLIDED: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class StateConflict(Conflict):
    """The request is in a state in which this cannot be done."""


class Unproven(GlasscaseError):
    """Something in what was to be handed out does not hold: it stays here."""

    status = 409


class SearchRefused(GlasscaseError):
    """A search request that the rules refuse: every rule that failed, already written into the log."""

    status = 422

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(" ".join(refusal.sentence for refusal in refusals))
        self.refusals = list(refusals)

    @property
    def codes(self) -> list[str]:
        return [refusal.code for refusal in self.refusals]

    @property
    def field_errors(self) -> dict[str, list[str]]:
        """The sentences by form field, in the order of the form."""
        found: dict[str, list[str]] = {}
        for refusal in self.refusals:
            found.setdefault(refusal.field, []).append(refusal.sentence)
        return found


class SearchNotAllowed(SearchRefused, NotAllowed):
    """Among the failed rules is one about the person who asks."""

    status = 403


class SearchNotNow(SearchRefused, Conflict):
    """Nothing that was typed is wrong: the search cannot be made at this moment."""

    status = 409


def refused(refusals: Sequence[Refusal]) -> SearchRefused:
    """The exception for these refusals: 403 when a rule about the person failed, else 422, or 409 when nothing typed helps."""
    codes = {refusal.code for refusal in refusals if refusal.kind is Kind.REFUSE}
    if codes & _PERSON:
        return SearchNotAllowed(refusals)
    return SearchRefused(refusals) if codes - _MOMENT else SearchNotNow(refusals)


@contextmanager
def gate_sentences() -> Iterator[None]:
    """Translates the gate's refusals at the border of a service: same sentence, with an HTTP status.

    Also what the database refuses when a transaction ends, and what it breaks off because another act was in its way: a
    deadlock is nobody's fault, and no error 500.
    """
    try:
        yield
    except GateRefused as refused:
        raise _sentence(refused) from refused
    except (psycopg.Error, DatabaseError) as error:
        # Django's exception has the database's as its cause.
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        if isinstance(cause, _COLLIDED):
            raise Unavailable(
                "Two acts met in the database and this one gave way. Nothing was done: try again."
            ) from error
        at_the_end = refusal_of(cause) if isinstance(cause, psycopg.Error) else None
        if at_the_end is None:
            raise
        raise _sentence(at_the_end) from error


def _sentence(refused: GateRefused) -> GlasscaseError:
    if refused.rule in _GATE_PERSON:
        return NotAllowed(refused.sentence)
    if refused.rule == "GC503":
        return Unavailable(refused.sentence)
    return Conflict(refused.sentence)
