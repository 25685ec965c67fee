"""Text as a reader sees it: letters that look alike become one, so that a rule about words cannot be walked around.

Only what passes for a Latin letter in running text is mapped (after Unicode TR 39, confusables.txt); a text that really is
in another script becomes other letters, but always the same ones, which is all that comparing needs.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_LATIN: Final = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u043a\u043c\u0442\u043d\u0432"
    "\u03b1\u03bf\u03c1\u03c5\u03bd\u03b9\u03ba\u03c4\u03c7\u0131\u0251\u0261\u04cf",
    "aeopcyxijshdqwkmthbaopuviktxiagl",
)
_MARKS: Final = range(0x0300, 0x0370)


def unified(text: str) -> str:
    """Small letters without accents and invisible characters, in their plainest form."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    shown = (c for c in plain if ord(c) not in _MARKS and unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", "".join(shown)).translate(_LATIN)
