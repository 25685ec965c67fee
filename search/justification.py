"""How the words of a justification are judged: is it real, is it new.

A word list cannot tell a true reason from a false one, and does not claim to. It stops the reasons that audits of
police look-ups keep finding: two words, a phrase that fits every case, last week's text with another number in it.
What passes is read by the approver and sampled by the board.

Earlier justifications are compared by *fingerprints*, so that nobody has to open the sealed texts of other cases: a
fingerprint is a set of keyed 64-bit hashes of the text's word pairs, thinned to the smallest ones (a bottom-k sketch:
Broder, On the resemblance and containment of documents, 1997). Without the key a fingerprint cannot be looked up in a
dictionary of phrases.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise

from search.lookalikes import unified

HELP = (
    "Say what happened, when and where, why the person in the photo is connected to it, where the photo comes from, "
    "and what you have tried already. Write it for a reader who does not know the case."
)
EXAMPLE = (
    "On 3 May at 21:40 a man threatened the cashier of a grocery on Elm Street with a knife and took the till. The "
    "photo is a still from the shop's camera above the door; the cashier pointed him out on the recording. Prints gave "
    "no result."
)
"""Both stand beside the form's field, and a justification copied from them is refused: rule and form share them."""

SKETCH_SIZE = 128
"""Hashes kept per text. Texts below about 130 words are kept whole, so their comparison is exact."""
REUSED_FROM = 0.5
"""Share of common word pairs from which two justifications count as one text. Two honest accounts of different events
stay below 0.2; a text of 40 words with four of them exchanged stays at or above 0.6."""

Fingerprint = frozenset[int]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FILLERS = re.compile(
    r"\b(?:"
    r"for|in|of|the|an?|our|my|this|is|are|am|be|to|and|on|as|by|with|we|i|it|need|needs|needed|want|would|like|please|"
    r"have|has|case|file|number|report|official|police|law|enforcement|business|purposes?|use|duties|duty|reasons?|"
    r"criminal|ongoing|active|internal|investigati(?:on|ons|ve)|leads?|suspects?|subjects?|persons?|individuals?|"
    r"people|perpetrators?|possible|potential|unknown|unidentified|interest|run|do|perform|conduct|request|requesting|"
    r"requested|search(?:ing|ed)?|look(?:ing)?|up|check(?:ing|ed)?|identif(?:y|ying|ication)|find(?:ing)?|face|facial|"
    r"recognition|see|attached|above|notes?|discussed|per|n/?a|none|test(?:ing)?|lorem|ipsum|dolor|sit|amet|photo|image|"
    r"picture|database|gallery|system|intelligence|gathering|follow(?:ing)?|routine|standard|urgent|asap|important|"
    r"justification|pursuant|regarding|related|crime|incident|matter|help|assist|order|that|who|was|will|from|at"
    r")\b"
)
"""Words that fit every case. A justification is judged by what is left without them."""


def normalise(text: str) -> str:
    """Lower-case words separated by single blanks; look-alike forms unified, every number written as `#`."""
    return " ".join("#" if any(c.isdigit() for c in word) else word for word in _WORD.findall(unified(text)))


def fingerprint(text: str, key: bytes) -> Fingerprint:
    """The keyed sketch of `text` (see the module). `key`: 16 to 64 bytes, the same for all texts of an installation."""
    if not 16 <= len(key) <= 64:
        raise ValueError("the fingerprint key must have 16 to 64 bytes")
    hashes = (blake2b(pair.encode(), digest_size=8, key=key).digest() for pair in _pairs(text))
    return frozenset(sorted(int.from_bytes(h) for h in hashes)[:SKETCH_SIZE])


def similarity(one: Fingerprint, other: Fingerprint) -> float:
    """Estimated share of word pairs that two texts have in common (Jaccard index, 0 to 1); 0 when either is empty."""
    if not one or not other:
        return 0.0
    union = sorted(one | other)[:SKETCH_SIZE]
    return sum(1 for h in union if h in one and h in other) / len(union)


def is_reused(own: Fingerprint, others: Iterable[Fingerprint]) -> bool:
    return any(similarity(own, other) >= REUSED_FROM for other in others)


def distinct_words(text: str) -> int:
    return len(set(normalise(text).split()))


def boilerplate(text: str, *, distinct_at_least: int) -> str | None:
    """Why `text` says nothing about a case, as the rest of a sentence that starts with "Your justification".

    None when it seems to say something, and for an empty text, which is another rule's.
    """
    words = normalise(text).split()
    if not words:
        return None
    if len(set(words)) < distinct_at_least:
        return f"uses {len(set(words))} different words; tell what happened in at least {distinct_at_least}"
    if len(words) >= 20 and len(set(words)) / len(words) < 0.35:
        return "repeats the same words"
    pairs = list(pairwise(words))
    if pairs and len(set(pairs)) / len(pairs) < 0.6:
        return "repeats the same words"
    if _unreadable(words) > 0.3:
        return "is not readable text"
    told = [word for word in _FILLERS.sub(" ", " ".join(words)).split() if word != "#"]
    if len(set(told)) * 2 < distinct_at_least:
        return "would fit any case; say what happened in this one"
    for given in (HELP, EXAMPLE):
        if _contained(text, given) >= REUSED_FROM:
            return "is taken from the help beside the field; write your own"
    return None


def _pairs(text: str) -> set[str]:
    words = normalise(text).split()
    if len(words) == 1:
        return {words[0]}
    return {f"{one} {two}" for one, two in pairwise(words)}


def _contained(text: str, given: str) -> float:
    own = _pairs(text)
    return len(own & _pairs(given)) / len(own) if own else 0.0


def _unreadable(words: list[str]) -> float:
    """Share of longer words without any vowel, counting letters of the Latin script only."""
    latin = [unicodedata.normalize("NFD", word) for word in words if len(word) >= 4]
    latin = [word for word in latin if all(c < "\u0250" or unicodedata.combining(c) or c in "'’" for c in word)]
    if not latin:
        return 0.0
    return sum(1 for word in latin if not any(c in "aeiouyæøœ" for c in word)) / len(latin)
