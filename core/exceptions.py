"""What services raise when they refuse. Each carries a sentence for the person who asked, and the HTTP status of the answer.

GlasscaseError
  NotAllowed    403   this person may not
  NotFound      404   there is no such thing for this person
  Conflict      409   not in this state
  Invalid       422   what was typed is wrong, field by field
  TooMany       429   too often; later again
  Unavailable   503   a part of the system does not answer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class GlasscaseError(Exception):
    """Something was refused. `sentence` says what to do; `status` is the HTTP status."""

    status: ClassVar[int] = 500

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NotAllowed(GlasscaseError):
    """This person may not do this."""

    status = 403


class NotFound(GlasscaseError):
    """There is no such thing, or none that this person may know of."""

    status = 404


class Conflict(GlasscaseError):
    """It cannot be done in this state."""

    status = 409


class Invalid(GlasscaseError):
    """What was given is wrong. `field_errors` maps a field to its sentences; empty when no single field is to blame."""

    status = 422

    def __init__(self, sentence: str, field_errors: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(sentence)
        self.field_errors: dict[str, list[str]] = {name: list(found) for name, found in (field_errors or {}).items()}


class TooMany(GlasscaseError):
    """This was asked for too often; it works again later."""

    status = 429


class Unavailable(GlasscaseError):
    """A part of the system does not answer now; nothing was done."""

    status = 503
