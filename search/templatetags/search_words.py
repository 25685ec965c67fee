"""Codes as the words that people read."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from django import template

from search.models import RequestState
from search.vocabulary import (
    ATTACHMENT_KINDS,
    CONCLUSIONS,
    EVIDENCE_KINDS,
    FEATURES,
    GALLERY_BASES,
    LEGAL_BASES,
    OFFENCES,
    PROBE_KINDS,
    PROCEDURES,
    PURPOSES,
    QUALITY_CAVEATS,
    TRUTHS,
    Term,
)

register = template.Library()

_SHAPES: Final = {
    RequestState.DRAFT: "",
    RequestState.HELD: "warn",
    RequestState.AWAITING_APPROVAL: "warn",
    RequestState.READY: "warn",
    RequestState.RUNNING: "warn",
    RequestState.INCOMPLETE: "warn",
    RequestState.DONE: "good",
    RequestState.REFUSED: "bad",
    RequestState.REJECTED: "bad",
    RequestState.WITHDRAWN: "ended",
    RequestState.EXPIRED: "ended",
    RequestState.FAILED: "bad",
}


@register.filter
def purpose(code: str) -> str:
    """The label of a purpose; the code itself when it is on no list."""
    return PURPOSES[code].label if code in PURPOSES else code


@register.filter
def offence(code: str) -> str:
    """The label of an offence."""
    return OFFENCES[code].label if code in OFFENCES else code


@register.filter
def legal_basis(code: str) -> str:
    """The label of a legal basis."""
    return LEGAL_BASES[code].label if code in LEGAL_BASES else code


@register.filter
def gallery_basis(code: str) -> str:
    """Why a gallery may exist."""
    return GALLERY_BASES[code].label if code in GALLERY_BASES else code


@register.filter
def probe_kind(code: str) -> str:
    """What the photo is."""
    return PROBE_KINDS[code].label if code in PROBE_KINDS else code


@register.filter
def attachment_kind(code: str) -> str:
    """What a document is."""
    return ATTACHMENT_KINDS[code].label if code in ATTACHMENT_KINDS else code


@register.filter
def conclusion(code: str) -> str:
    """What an examiner concluded."""
    return CONCLUSIONS[code].label if code in CONCLUSIONS else code


@register.filter
def truth(code: str) -> str:
    """Who a lead was."""
    return TRUTHS[code].label if code in TRUTHS else code


@register.filter
def procedure(code: str) -> str:
    """What became of a case."""
    return PROCEDURES[code].label if code in PROCEDURES else code


@register.filter
def features(codes: Iterable[str]) -> str:
    """Features of a face, as a list in words."""
    return _listed(codes, FEATURES)


@register.filter
def limits(codes: Iterable[str]) -> str:
    """What limits a comparison, as a list in words."""
    return _listed(codes, QUALITY_CAVEATS)


@register.filter
def evidence(codes: Iterable[str]) -> str:
    """Kinds of evidence, as a list in words."""
    return _listed(codes, EVIDENCE_KINDS)


def _listed(codes: Iterable[str], terms: Mapping[str, Term]) -> str:
    wanted = set(codes)
    return ", ".join(term.label for code, term in terms.items() if code in wanted)


@register.filter
def plain(code: str) -> str:
    """A code that is made of words: "cannot_be_shown" is "Cannot be shown"."""
    return code.replace("_", " ").capitalize()


@register.filter
def state_shape(state: str) -> str:
    """The shape that repeats a request's state: good, warn, bad, ended."""
    return _SHAPES.get(RequestState(state), "")


@register.filter
def short_id(identity: uuid.UUID | str) -> str:
    """The first eight digits of an id: enough to tell the searches of an agency apart."""
    return str(identity)[:8]


@register.filter
def score(milli: int) -> str:
    """A match score in steps of 10^-3, given as an integer: 612 is 0.612."""
    return f"{milli / 1000:.3f}"


@register.filter
def threshold(micro: int) -> str:
    """A threshold in millionths with as many digits as it has, at least three: 512000 is 0.512."""
    text = f"{micro / 1_000_000:.6f}"
    return text[:5] + text[5:].rstrip("0")


@register.filter
def fours(digits: str) -> str:
    """A hash in groups of four, so that two people can compare it aloud."""
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
