"""One form of a case number, whoever spells it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.log.case_numbers import canonical


@pytest.mark.parametrize(
    "typed",
    [
        "rv-2026-0042",
        " RV–2026–0042 ",
        "RV\u00a02026 0042".replace("\u00a02026 ", "\u20112026\u2212"),
        "ＲＶ－２０２６－００４２",
        "R\u200bV-2026-\u00ad0042\u2069",
        "RV - 2026 -\t0042\n",
    ],
)
def test_spellings_of_one_number_are_the_same(typed: str) -> None:
    assert canonical(typed) == "RV-2026-0042"


def test_different_numbers_stay_different() -> None:
    numbers = ["RV-2026-0042", "RV-2026-042", "RV20260042", "RV-2026-0O42", "RV/2026/0042", "\u0420V-2026-0042"]
    assert len({canonical(number) for number in numbers}) == len(numbers)
    assert canonical(" \u200b\n") == ""


@given(st.text(max_size=30))
def test_the_form_is_its_own_form(typed: str) -> None:
    assert canonical(canonical(typed)) == canonical(typed)
