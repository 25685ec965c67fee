"""Fixtures for all tests: a PostgreSQL of their own, a fresh clone of the migrated database per test, people, photos.

The tests' server lives below a short temporary directory, is shared by all test processes of one run and stopped at its
end. The database is migrated once, as the migrate role, into a template. A test that asks for `database` gets a clone
of that template, with people and more in it where it asks for them (tests/kits.py); Django is connected to it as the app role and commits for real, because rollback would
hide what the gate is about. Django's own flush is never used: the app role may not truncate, and nothing could.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from core.database import connect, connect_superuser
from tests import brokers, kits, run

_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        run.sweep()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and run.HOME.exists():
        run.remove(run.HOME)


@pytest.fixture(scope="session")
def template(django_db_blocker: Any) -> str:
    """Name of the migrated database that clones are made of; the first test process makes it."""
    from django.core.management import call_command
    from django.db import connections

    name = str(connections.settings["default"]["NAME"])
    with (run.HOME / "template.lock").open("a") as lock, django_db_blocker.unblock():
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = run.HOME / "template.ready"
        if not ready.exists():
            run.server(run.HOME).start()
            call_command("init_database", verbosity=0, stdout=io.StringIO())
            call_command("migrate", verbosity=0, interactive=False)
            with connect_superuser() as superuser:
                superuser.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))
            ready.touch()
    return name


@pytest.fixture
def kit(request: pytest.FixtureRequest) -> kits.Kit | None:
    """What the test's database starts with. Directories with kits of their own override this."""
    return kits.CAST if "cast" in request.fixturenames else None


@pytest.fixture
def database(template: str, kit: kits.Kit | None, django_db_blocker: Any, settings: Any) -> Iterator[kits.Clone]:
    """A fresh clone of the migrated database; Django is connected to it as the app role and really commits.

    Keys, signer state and media go to a home of the test's own; server and role passwords are shared.
    """
    name = f"t_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(_numbers)}"
    with django_db_blocker.unblock():
        mine = kits.clone(name, template, kit, settings)
        try:
            with kits.connected(mine, settings):
                yield mine
        finally:
            kits.drop(mine)


@pytest.fixture
def as_role(database: kits.Clone) -> Iterator[Callable[..., psycopg.Connection]]:
    """`as_role("reader")` opens a connection to the clone as that role (`autocommit=False` for a transaction)."""
    with contextlib.ExitStack() as opened:

        def open_as(role: str, *, autocommit: bool = True) -> psycopg.Connection:
            connection = connect(role, autocommit=autocommit, dbname=database.name)
            opened.callback(connection.close)
            return connection

        yield open_as


@pytest.fixture
def mallory(as_role: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    """A stranger with the app role's password, connected to the clone."""
    return as_role("app")


@pytest.fixture
def as_superuser(database: kits.Clone) -> Iterator[psycopg.Connection]:
    """The bootstrap superuser on the clone: to look at what nobody else may see, never to make a test pass."""
    connection = connect_superuser(database.name)
    yield connection
    connection.close()


@pytest.fixture
def pump(database: kits.Clone, as_role: Callable[..., psycopg.Connection]) -> Iterator[Callable[[], None]]:
    """A call that sequences and signs everything appended so far, so that it is covered by a checkpoint."""
    with kits.pumping(as_role) as step:
        yield step


@pytest.fixture
def cast(database: kits.Clone) -> Any:
    """The people of the tests: Olivia the officer, Sam and Sue the supervisors, and so on (tests/people.py)."""
    return database.made["cast"]


@pytest.fixture(scope="session")
def real_faces() -> Path:
    """Directory with real portraits and a small model pack, named by GLASSCASE_FACES."""
    place = os.environ.get("GLASSCASE_FACES")
    if not place:
        pytest.skip("GLASSCASE_FACES is not set: no real portraits to test with")
    assert Path(place).is_dir(), f"GLASSCASE_FACES names {place}, which is no directory"
    return Path(place)


@pytest.fixture(scope="session")
def portraits(pytestconfig: pytest.Config) -> Callable[..., Path]:
    """`portraits(people, photos, first=0)` gives the manifest of generated people, drawn once and kept by pytest's cache.

    Ranges of `first` … `first + people` that do not overlap share nobody.
    """
    from core.portraits.sets import render_set

    kept = pytestconfig.cache.mkdir("portraits") if hasattr(pytestconfig, "cache") else run.HOME / "portraits"

    def drawn(people: int, photos: int, first: int = 0) -> Path:
        return render_set(kept, people, photos, first=first, manifest=f"{first}-{people}x{photos}.csv", processes=1)

    return drawn


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium for browser tests. Without one they skip, and fail where GLASSCASE_REQUIRE_BROWSER is set."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if os.environ.get("GLASSCASE_REQUIRE_BROWSER"):
            pytest.fail(
                "GLASSCASE_REQUIRE_BROWSER is set and there is no Chromium; on Debian: apt-get install chromium"
            )
        pytest.skip("no Chromium on PATH; on Debian: apt-get install chromium")
    return found


@pytest.fixture
def redis(database: kits.Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Redis of the test's own on loopback, with a password, that this process and its workers have as broker; its URL.

    Without a redis-server the test skips, and fails where GLASSCASE_REQUIRE_REDIS is set.
    """
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("GLASSCASE_REQUIRE_REDIS"):
            pytest.fail("GLASSCASE_REQUIRE_REDIS is set and there is no redis-server; on Debian: apt-get install it")
        pytest.skip("no redis-server on PATH; on Debian: apt-get install redis-server")
    with brokers.redis(program, tmp_path) as url, brokers.sending_to(url):
        # In this order: Celery prefers the variable when it is asked for the broker of before.
        monkeypatch.setenv("CELERY_BROKER_URL", url)
        yield url
