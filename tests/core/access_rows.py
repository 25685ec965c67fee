"""What rows of the access table are made of (tests/core/access_table.py)."""

from __future__ import annotations

import itertools
from typing import Any, Final

from core import people
from core.models import User
from core.person_roles import CODES
from tests.people import Cast

ANONYMOUS: Final = "anonymous"
Row = dict[str, int]
_numbers = itertools.count(1)


def page(default: int = 403, *, anonymous: int = 302, **codes: int) -> Row:
    """A page: signed-out people are sent to the sign-in page, `codes` are for single roles, `default` for the rest."""
    assert codes.keys() <= set(CODES), codes
    return {ANONYMOUS: anonymous, **dict.fromkeys(CODES, default), **codes}


def api(default: int = 403, **codes: int) -> Row:
    """An API view: without a sign-in it answers 401."""
    return page(default, anonymous=401, **codes)


def somebody(cast: Cast, **fields: Any) -> User:
    """A fresh person of the agency, to be changed by one request."""
    return people.add(
        by=None,
        username=f"somebody-{next(_numbers)}",
        full_name="Some Body",
        agency=fields.pop("agency", cast.agency),
        roles=fields.pop("roles", ["examiner"]),
        **fields,
    )
