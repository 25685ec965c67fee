"""Rules about words see what a reader sees, whatever letters it is written with."""

from __future__ import annotations

import pytest

from core.sign_in import lock_name
from search.justification import fingerprint, is_reused
from search.prohibited import wording
from tests.search.stage import STORY

KEY = bytes(32)


@pytest.mark.parametrize(
    "written",
    [
        STORY.replace("a", "\u0430"),
        STORY.replace("o", "\u043e").replace("e", "\u0435"),
        STORY.replace("e", "e\u0301"),
        STORY.replace("i", "\u0456").replace("c", "\u03c2").replace("o", "\u03bf"),
        STORY.replace(" ", " \u200b").replace("a", "\uff41"),
    ],
)
def test_a_text_in_other_letters_is_the_same_text(written: str) -> None:
    assert written != STORY
    assert is_reused(fingerprint(written, KEY), [fingerprint(STORY, KEY)])


def test_a_prohibited_wording_in_other_letters_is_read() -> None:
    plain = "We want to check the immigration status of everybody in the picture."
    assert wording("immigration_status", plain)
    assert wording("immigration_status", plain.replace("i", "\u0456").replace("a", "\u0430"))
    assert wording("immigration_status", plain.replace("i", "i\u0307"))


def test_an_account_is_locked_however_its_name_is_written() -> None:
    names = ["sam", " SAM ", "\u017fam", "\uff53am"]
    assert len({lock_name(None, {"username": name}) for name in names}) == 1
    assert lock_name(None, {"username": "sue"}) != lock_name(None, {"username": "sam"})
