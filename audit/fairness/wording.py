"""Rates in plain words: "1 in 10,000"."""

from __future__ import annotations

import math


def one_in(rate: float | None) -> str:
    """A rate as "1 in N" ("1 in 9.4", "1 in 41", "1 in 33,300"), "0", "nearly always", "always" or "not measurable"."""
    if rate is None:
        return "not measurable"
    if rate <= 0:
        return "0"
    if rate >= 1:
        return "always"
    inverse = 1 / rate
    if inverse < 1.05:
        return "nearly always"
    if inverse < 9.95:
        return f"1 in {inverse:.1f}".removesuffix(".0")
    return f"1 in {round(inverse, min(0, 2 - math.floor(math.log10(inverse)))):,.0f}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """ "1 person", "2,000 people": a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
