"""What a decision has to hold, and what two of them amount to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import comparison
from search.comparison import Finding
from search.models import ReviewState
from search.vocabulary import CONCLUSIONS
from tests.search.reviewing import differs, same, unsure

TWO = ["one", "two"]


def test_a_well_founded_decision_lacks_nothing() -> None:
    assert comparison.problems([same("one"), differs("two")], TWO, "") == {}
    assert comparison.problems([unsure("two"), unsure("one")], TWO, "") == {}
    assert comparison.problems([], [], "") == {}


@pytest.mark.parametrize(
    ("finding", "note", "field"),
    [
        (Finding(template="one"), "", "one:conclusion"),
        (same("one", conclusion="match"), "", "one:conclusion"),
        (same("one", alike=("nose", "ears")), "", "one:alike"),
        (same("one", alike=("nose", "nose", "ears")), "", "one:alike"),
        (same("one", alike=("nose", "ears", "aura")), "", "one:alike"),
        (same("one", different=("mouth",)), "", "one:different"),
        (same("one", different=("nose",)), "explained", "one:different"),
        (differs("one", different=()), "", "one:different"),
        (unsure("one", caveats=()), "", "one:caveats"),
        (unsure("one", caveats=("fog",)), "x", "one:caveats"),
        (same("three"), "", "findings"),
    ],
)
def test_what_is_missing_is_said_at_its_candidate(finding: Finding, note: str, field: str) -> None:
    wrong = comparison.problems([finding, differs("two")], TWO, note)
    assert field in wrong
    assert all(sentence.endswith(".") for sentences in wrong.values() for sentence in sentences)


def test_every_candidate_is_decided_once() -> None:
    assert "two:conclusion" in comparison.problems([same("one")], TWO, "")
    assert "findings" in comparison.problems([same("one"), same("one"), differs("two")], TWO, "")


def test_a_difference_that_the_note_explains_is_allowed() -> None:
    assert comparison.problems([same("one", different=("skin",))], ["one"], "A sunburn, nine days old.") == {}


def test_where_there_is_no_photo_nothing_but_inconclusive_can_be_said() -> None:
    for wrong in (same("one"), differs("one"), Finding(template="one"), unsure("one", alike=("nose",))):
        assert "one:conclusion" in comparison.problems([wrong], ["one"], "a note", ["one"])
    assert comparison.problems([Finding(template="one", conclusion="inconclusive")], ["one"], "", ["one"]) == {}
    assert "one:caveats" in comparison.problems([unsure("one", caveats=("fog",))], ["one"], "", ["one"])


_conclusions = st.lists(st.sampled_from(list(CONCLUSIONS)), min_size=1, max_size=6)


@given(st.data())
def test_only_a_candidate_that_both_support_makes_a_lead_possible(data: st.DataObject) -> None:
    first = data.draw(_conclusions)
    second = data.draw(st.lists(st.sampled_from(list(CONCLUSIONS)), min_size=len(first), max_size=len(first)))
    one, other = (
        [Finding(template=str(place), conclusion=code) for place, code in enumerate(codes)] for codes in (first, second)
    )
    both = {str(place) for place, pair in enumerate(zip(first, second, strict=True)) if set(pair) == {"support_same"}}
    assert comparison.agreed(one, other) == both == comparison.agreed(other, one)
    outcome = comparison.together(one, other)
    assert outcome == comparison.together(other, one)
    assert (outcome == ReviewState.AGREED) == bool(both)
    assert (outcome == ReviewState.NO_LEAD) == ("support_same" not in first + second)
