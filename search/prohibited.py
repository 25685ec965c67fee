"""Words that make a justification read like a prohibited purpose.

A hit proves nothing: it holds the request until counsel has read it. A miss proves nothing either; whoever means harm
can choose other words, which is why approvers read, the log remembers and the board samples. The patterns are English
and stand in prohibited.toml; they meet text in lower case, with look-alike characters unified.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from search.lookalikes import unified
from search.vocabulary import PROHIBITED_PURPOSES


def wording(topic: str, text: str) -> str | None:
    """The first words of `text` that read like the prohibited purpose `topic`, in lower case; None when there are none.

    Raises KeyError for a topic outside `vocabulary.PROHIBITED_PURPOSES`.
    """
    found = _patterns()[topic].search(_plain(text))
    return found.group(0) if found else None


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    words = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    if words.keys() != PROHIBITED_PURPOSES.keys():
        raise ValueError(
            f"prohibited.toml must name every prohibited purpose once: {words.keys() ^ PROHIBITED_PURPOSES}"
        )
    return {topic: re.compile(r"(?<!\w)(?:" + "|".join(words[topic]) + r")(?!\w)") for topic in words}


def _plain(text: str) -> str:
    plain = unified(text).replace("’", "'")
    return " ".join(re.sub(r"[‐‑‒–—]", "-", plain).split())
