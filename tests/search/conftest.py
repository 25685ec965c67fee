"""Fixtures of the tests of searching."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.search.stage import Stage, build, running_log


@pytest.fixture
def stage(cast: Any) -> Stage:
    """An agency that can search: a case, a gallery with three generated people, an adopted evaluation."""
    return build(cast)


@pytest.fixture
def log_at_work(database: Any, settings: Any) -> Iterator[None]:
    """Sequencer and signer in the background."""
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        yield


@pytest.fixture
def entries(database: Any) -> Callable[..., list[dict[str, Any]]]:
    """`entries("search:request:refused", request=…)`: the entries of a type that have these fields, oldest first."""
    from core.database import session

    def find(type_: str, **fields: Any) -> list[dict[str, Any]]:
        rows = session().execute("SELECT body FROM log.entry WHERE type = %s ORDER BY id", [type_]).fetchall()
        found = [json.loads(bytes(row[0])) for row in rows]
        return [one for one in found if all(one.get(name) == str(value) for name, value in fields.items())]

    return find
