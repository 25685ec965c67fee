"""The states of a request: one dictionary, one page."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from search import states
from search.exceptions import StateConflict
from search.models import RequestState, SearchRequest


def test_every_state_is_in_the_dictionary_and_can_be_reached() -> None:
    assert set(states.TRANSITIONS) == set(RequestState)
    reached = {RequestState.DRAFT}
    while True:
        more = {after for state in reached for after in states.TRANSITIONS[state]} - reached
        if not more:
            break
        reached |= more
    assert reached == set(RequestState)


def test_every_state_but_the_last_ones_can_end() -> None:
    for state in states.TRANSITIONS:
        seen, edge = {state}, {state}
        while edge:
            edge = {after for one in edge for after in states.TRANSITIONS[one]} - seen
            seen |= edge
        assert seen & states.FINAL


def test_only_the_moves_of_the_dictionary_are_possible() -> None:
    for state in RequestState:
        for to in RequestState:
            request = SearchRequest(state=state)
            if to in states.TRANSITIONS[state]:
                states.move(request, to)
                assert request.state == to
            else:
                with pytest.raises(StateConflict):
                    states.move(request, to)
                assert request.state == state


def test_every_state_has_a_sentence() -> None:
    assert all(states.said(state).endswith(".") for state in RequestState)


def test_the_page_is_what_the_code_says() -> None:
    call_command("request_states", "--check", stdout=io.StringIO())
