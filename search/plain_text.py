"""The little of Markdown that our own documents use, as values that a template draws: no HTML is made here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_SPAN: Final = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`|\[(?P<link>[^\]]+)\]\([^)]*\)")


@dataclass(frozen=True)
class Span:
    """A run of text: plain, strong or code."""

    kind: str
    text: str


@dataclass
class Block:
    """A heading (h1, h2, h3), a paragraph (p) or a list (ul) with one list of spans for each item."""

    kind: str
    items: list[list[Span]] = field(default_factory=list)


def blocks(text: str) -> list[Block]:
    """The blocks of a document in order."""
    found: list[Block] = []
    for kind, words in _gathered(text.splitlines()):
        if kind == "ul" and found and found[-1].kind == "ul":
            found[-1].items.append(_spans(words))
        else:
            found.append(Block(kind, [_spans(words)]))
    return found


def _gathered(lines: list[str]) -> Iterator[tuple[str, str]]:
    kind, words = "", ""
    for line in [*lines, ""]:
        heading = re.match(r"(#{1,3}) (.+)", line)
        bullet = re.match(r"- (.+)", line)
        if words and (heading or bullet or not line.strip()):
            yield kind, words
            kind, words = "", ""
        if heading:
            yield f"h{len(heading[1])}", heading[2]
        elif bullet:
            kind, words = "ul", bullet[1]
        elif line.strip():
            kind, words = kind or "p", f"{words} {line.strip()}".strip()


def _spans(words: str) -> list[Span]:
    found, at = [], 0
    for match in _SPAN.finditer(words):
        if match.start() > at:
            found.append(Span("plain", words[at : match.start()]))
        kind = str(match.lastgroup)
        found.append(Span("plain" if kind == "link" else kind, match[kind]))
        at = match.end()
    if at < len(words):
        found.append(Span("plain", words[at:]))
    return found
