"""Fixtures of the tests of searching."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core import shards
from core.faces import registry
from search import life
from search import shards as servers
from search.models import Lead, SearchRequest
from tests import kits
from tests.search import shelf as shelves
from tests.search import spread as world
from tests.search.spread import Spread, away
from tests.search.stage import Stage, running_log

# The fullest first.
_KITS = {
    "searched_everywhere": kits.SEARCHED_EVERYWHERE,
    "spread": kits.SPREAD,
    "lead": kits.RELEASED,
    "agreed": kits.AGREED,
    "searched": kits.SEARCHED,
    "stage": kits.STAGE,
}


@pytest.fixture
def kit(request: pytest.FixtureRequest, kit: kits.Kit | None) -> kits.Kit | None:
    return next((wanted for name, wanted in _KITS.items() if name in request.fixturenames), kit)


@pytest.fixture
def stage(database: kits.Clone) -> Stage:
    """An agency that can search: a case, a gallery with three generated people, an adopted evaluation."""
    found: Stage = database.made["stage"]
    return found


@pytest.fixture
def searched(database: kits.Clone) -> SearchRequest:
    """The stage with a finished search for the first enrolled person, as `stage.done()` makes one."""
    found: SearchRequest = database.made["searched"]
    return found


@pytest.fixture
def agreed(database: kits.Clone) -> SearchRequest:
    """That search, and two examiners who agree on its candidate."""
    found: SearchRequest = database.made["agreed"]
    return found


@pytest.fixture
def lead(database: kits.Clone) -> Lead:
    """The lead of that search, released by Sam."""
    found: Lead = database.made["lead"]
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


Work = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture
def spread(database: kits.Clone, settings: Any) -> Spread:
    """The stage with a gallery that is spread over three servers, and the same on one."""
    settings.GLASSCASE_LOG_WAIT_SECONDS = 2
    found: Spread = database.made["spread"]
    found.shards = shards.configured()
    return found


@pytest.fixture
def searched_everywhere(database: kits.Clone) -> SearchRequest:
    """A finished search of the spread gallery for the first enrolled person."""
    found: SearchRequest = database.made["searched_everywhere"]
    return found


@pytest.fixture
def logs(spread: Spread) -> Work:
    """`with logs(): …`: sequencer and signer of every server, but not of those named in `without` (their signers only)."""
    return partial(world.running_logs, spread.shards)


@pytest.fixture
def torn(spread: Spread, logs: Work, monkeypatch: pytest.MonkeyPatch) -> SearchRequest:
    """A search that main and north have run when south goes away: incomplete, and south is back since."""
    run = life._result
    gone = contextlib.ExitStack()

    def result(request: SearchRequest, bound: uuid.UUID, server: servers.Server) -> uuid.UUID:
        if server.name == "south":
            gone.enter_context(away("south"))
        return run(request, bound, server)

    with logs(), gone:
        request: SearchRequest = spread.request()
        with monkeypatch.context() as patched:
            patched.setattr(life, "_result", result)
            assert spread.stage.run(request) == "done"
    assert request.state == "incomplete", request.problem
    return request
