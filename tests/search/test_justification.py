from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.justification import (
    EXAMPLE,
    SKETCH_SIZE,
    boilerplate,
    fingerprint,
    is_reused,
    similarity,
)
from tests.search.request_facts import KEY, OTHER_STORY, STORY

HONEST = [
    STORY,
    OTHER_STORY,
    "A woman of about 70 was found unconscious on the riverside path on 2 June. She carries no papers and nobody has "
    "reported her missing. The hospital took this photo so that her family can be told.",
    "Lopez was shot outside a bar on 5 March. The camera of the bar opposite shows the shooter's face clearly when he "
    "turns. We canvassed the street; two neighbours recognise him by sight but know no name.",
    "Na místě činu dne 3. května zůstala kamera obchodu v chodu. Záběr ukazuje muže, který pokladní vyhrožoval nožem a "
    "odnesl tržbu; podle svědkyně z lékárny odjel tramvají číslo 9 směrem k nádraží.",
]


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_account_is_not_boilerplate(text: str) -> None:
    assert boilerplate(text, distinct_at_least=15) is None


def test_honest_accounts_of_different_events_are_far_apart() -> None:
    prints = [fingerprint(text, KEY) for text in [*HONEST, EXAMPLE]]
    pairs = [similarity(a, b) for i, a in enumerate(prints) for b in prints[i + 1 :]]
    assert max(pairs) < 0.2


def test_numbers_dates_and_a_few_words_do_not_make_a_text_new() -> None:
    used = fingerprint(STORY, KEY)
    renumbered = STORY.replace("12 May 2026", "30 May 2027").replace("410", "9").replace("22:15", "03:40")
    assert similarity(fingerprint(renumbered, KEY), used) == 1.0
    words = STORY.split()
    for position in (4, 15, 26, 37):
        words[position] = f"other{chr(97 + position % 26)}"
    assert similarity(fingerprint(" ".join(words), KEY), used) >= 0.6
    assert is_reused(fingerprint(STORY + " The van was white.", KEY), [fingerprint(OTHER_STORY, KEY), used])
    assert not is_reused(fingerprint(OTHER_STORY, KEY), [used])


def test_a_long_text_is_thinned_and_still_recognised() -> None:
    long = " ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(1500))
    one = fingerprint(long, KEY)
    assert len(one) == SKETCH_SIZE
    half = " ".join(long.split()[:750])
    assert abs(similarity(fingerprint(half, KEY), one) - 0.5) < 0.2


def test_a_fingerprint_tells_nothing_without_the_key() -> None:
    assert not fingerprint(STORY, KEY) & fingerprint(STORY, b"another key of another place")


@given(st.text(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_judged(text: str) -> None:
    said = boilerplate(text, distinct_at_least=15)
    assert said is None or said
    own = fingerprint(text, KEY)
    assert len(own) <= SKETCH_SIZE
    assert similarity(own, own) == (1.0 if own else 0.0)
    assert is_reused(own, [own]) is bool(own)


def test_similarity_is_symmetric_and_between_none_and_all() -> None:
    one, two = fingerprint(HONEST[0], KEY), fingerprint(HONEST[0] + " " + HONEST[1], KEY)
    assert similarity(one, two) == similarity(two, one)
    assert 0.2 < similarity(one, two) < 1
