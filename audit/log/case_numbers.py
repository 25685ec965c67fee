"""The one form of a case number: what is stored, compared, committed to and tagged, however it was typed.

Compatibility forms are resolved (NFKC), invisible characters and blanks are dropped, every dash becomes "-", letters are
upper case. An outsider who checks a statement of absence spells a number by these rules; no Django here.
"""

from __future__ import annotations

import unicodedata

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣－"), "-")
# Control and format characters: what they do to a line nobody sees in a number.
_INVISIBLE = ("Cc", "Cf")
_ROUNDS = 4  # upper case can undo a compatibility form, which can undo upper case; two rounds settle all known letters


def canonical(number: str) -> str:
    """The number in its one form; empty when nothing visible is in it."""
    for _ in range(_ROUNDS):
        before = number
        number = unicodedata.normalize("NFKC", number).translate(_DASHES).upper()
        number = "".join(
            letter for letter in number if not letter.isspace() and unicodedata.category(letter) not in _INVISIBLE
        )
        if number == before:
            break
    return number
