"""The states of a review and how it gets from one to the next: what happens to a search after its result is logged."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from search import states
from search.exceptions import StateConflict
from search.models import Review, ReviewState

_S = ReviewState

# state -> next state -> what happened
TRANSITIONS: Final[Mapping[ReviewState, Mapping[ReviewState, str]]] = MappingProxyType(
    {
        _S.FIRST: {
            _S.SECOND: "an examiner decided",
            _S.NO_LEAD: "an examiner confirmed that there is no candidate",
        },
        _S.SECOND: {
            _S.AGREED: "another examiner decided; both support one candidate",
            _S.DISAGREED: "another examiner decided; they support nobody together",
            _S.NO_LEAD: "another examiner decided; neither supports a candidate",
        },
        _S.AGREED: {
            _S.RELEASED: "a supervisor released it",
            _S.WITHHELD: "a supervisor withheld it",
        },
        _S.RELEASED: {_S.RECORDED: "what became of every lead was recorded"},
        _S.DISAGREED: {},
        _S.NO_LEAD: {},
        _S.WITHHELD: {},
        _S.RECORDED: {},
    }
)
OPEN: Final = frozenset({_S.FIRST, _S.SECOND})
"""An examiner still has to decide; until then nobody is shown what another one concluded."""

_SAID: Final[Mapping[ReviewState, str]] = MappingProxyType(
    {
        _S.FIRST: "No examiner has decided on these candidates yet.",
        _S.SECOND: "A second examiner has not decided on these candidates yet.",
        _S.AGREED: "Two examiners have decided. A supervisor releases or withholds the lead.",
        _S.DISAGREED: "Two examiners have decided, and they do not agree: there is no lead.",
        _S.NO_LEAD: "The review has ended without a lead.",
        _S.RELEASED: "The lead has been released.",
        _S.WITHHELD: "The lead was withheld.",
        _S.RECORDED: "The lead was released, and its outcome recorded.",
    }
)


def said(state: str) -> str:
    """The sentence for somebody who asks for something that a review in this state cannot do."""
    return _SAID[ReviewState(state)]


def move(review: Review, to: ReviewState) -> None:
    """Changes the state of a review whose row the caller has locked; the caller saves it.

    Raises StateConflict when there is no such transition.
    """
    if to not in TRANSITIONS[ReviewState(review.state)]:
        raise StateConflict(said(review.state))
    review.state = to


def as_markdown() -> str:
    """The second half of the page docs/reference/request-states.md."""
    lines = ["", "## States of a review", "", "What happens after `done`: a row of its own beside the request.", ""]
    return "\n".join([*lines, *states.diagram(TRANSITIONS)]) + "\n"
