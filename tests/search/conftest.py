"""Fixtures of the tests of searching."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.faces import registry
from tests import kits
from tests.search import shelf as shelves
from tests.search.stage import Stage, running_log


@pytest.fixture
def kit(request: pytest.FixtureRequest, kit: kits.Kit | None) -> kits.Kit | None:
    return kits.STAGE if "stage" in request.fixturenames else kit


@pytest.fixture
def stage(database: kits.Clone) -> Stage:
    """An agency that can search: a case, a gallery with three generated people, an adopted evaluation."""
    found: Stage = database.made["stage"]
    return found


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
        return [one for one in found if all(str(one.get(name)) == str(value) for name, value in fields.items())]

    return find


@pytest.fixture
def shelf(cast: Any, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> shelves.Shelf:
    """A gallery to enrol photos of blocks into, under a face model that knows only those."""
    engine = shelves.BlockEngine()
    monkeypatch.setattr(registry, "engine", lambda name, models_dir=None: engine)
    return shelves.build(cast, database.home, tmp_path)


@pytest.fixture
def real_shelf(cast: Any, database: Any, tmp_path: Path) -> shelves.Shelf:
    """The same under the default face model, for photos of faces."""
    return shelves.build(cast, database.home, tmp_path)
