from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import kits
from tests.audit.log.drill import Installation
from tests.audit.log.witnessed import Site, witnessed


@pytest.fixture
def site(
    database: Any,
    as_role: Callable[..., psycopg.Connection],
    pump: Callable[[], None],
    settings: Any,
    tmp_path: Path,
) -> Iterator[Site]:
    """A log with three real witnesses, of which two are a quorum."""
    with witnessed(as_role, pump, settings, tmp_path) as made:
        yield made


@pytest.fixture
def log(database: kits.Clone, settings: Any) -> Installation:
    return Installation(database, settings)


@pytest.fixture
def restored(log: Installation, tmp_path: Path) -> Installation:
    """Dump at 40 entries and one that waits, 100 more appended and signed, export and checkpoint kept, dump restored."""
    log.append(40)
    size = log.run()
    assert size is not None
    log.waited = log.append(1)  # type: ignore[attr-defined]
    log.save()
    log.append(99)
    assert log.run() == size + 100
    log.whole = log.export(tmp_path / "whole")  # type: ignore[attr-defined]
    log.before = log.head()  # type: ignore[attr-defined]
    log.restore()
    assert log.head()[0] == size
    return log
