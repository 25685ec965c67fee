from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests import kits
from tests.enforcement.coded import build
from tests.enforcement.world import World


@pytest.fixture
def kit(request: pytest.FixtureRequest, kit: kits.Kit | None) -> kits.Kit | None:
    return kits.GATE if "world" in request.fixturenames else kit


@pytest.fixture
def world(database: kits.Clone, as_role: Callable[..., psycopg.Connection], pump: Callable[[], None]) -> World:
    return World(as_role("app"), as_role("sequencer"), as_role("registrar"), pump).with_facts(database.made["world"])


@pytest.fixture
def allowed(world: World) -> World:
    """Two people have allowed searches in two stages, and every template has its code."""
    world.set_policy("two_stage_from", 200)
    build(world.app, world.edition)
    return world
