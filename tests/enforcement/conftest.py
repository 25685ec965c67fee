from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.enforcement.world import World


@pytest.fixture
def world(as_role: Callable[..., psycopg.Connection], pump: Callable[[], None]) -> World:
    return World(as_role("app"), as_role("sequencer"), as_role("registrar"), pump).build()
