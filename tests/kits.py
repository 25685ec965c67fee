"""What a test's database starts with: the migrated tables, or also people, or a whole agency; each built once a run.

A kit is built by the product's own functions, on a clone of the kit that it is based on, and becomes a template itself:
a database, a home directory (keys, signer, media), and the objects that the tests are handed, pickled. Every test gets
copies of all three, so that nothing one test does can be seen by another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from core import broker, initialise, shard_file, state
from core.database import connect
from tests import acts, run

Made = dict[str, Any]
_SHARED = ("pg", "run", "secrets")


@dataclass(frozen=True)
class Kit:
    """`build` gets what the base has made and returns what this kit hands to the tests, by name of the fixture."""

    name: str
    build: Callable[[Made], Made]
    base: Kit | None = None
    shards: tuple[str, ...] = ()  # further databases that `build` makes, by what their names end with

    @property
    def database(self) -> str:
        return f"kit_{self.name}"


@dataclass(frozen=True)
class Clone:
    """A test's own database and state directory. `environment` makes a subprocess use both; `made`: see Kit."""

    name: str
    home: Path
    made: Made
    shards: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "GLASSCASE_HOME": str(self.home), "GLASSCASE_DB_NAME": self.name}


def clone(name: str, template: str, kit: Kit | None, settings: Any) -> Clone:
    """A database and home called `name`, of a kit or of the bare migrated `template`; the kit is built when missing."""
    made = _prepared(kit, template, settings) if kit else {}
    home = _home(name)
    home.mkdir(parents=True, mode=0o711)
    for shared in _SHARED:
        (home / shared).symlink_to((run.HOME / shared).resolve())
    if kit:
        for part in _home(kit.database).iterdir():
            if part.name not in _SHARED:
                shutil.copytree(part, home / part.name, symlinks=True)
    source, shards = (kit.database, kit.shards) if kit else (template, ())
    with run.server(run.HOME).connect() as superuser:
        copy_database(superuser, source, name)
        for shard in shards:
            copy_database(superuser, f"{source}_{shard}", f"{name}_{shard}")
    if shards:
        listed = shard_file.place(home)
        listed.write_text(listed.read_text().replace(f'"{source}_', f'"{name}_'))
    clear(name)
    return Clone(name, home, made, shards)


def copy_database(superuser: psycopg.Connection, source: str, name: str) -> None:
    # As files: half of what it takes to write a copy into the journal as well.
    superuser.execute(
        SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(Identifier(name), Identifier(source))
    )
    initialise.restrict_database(superuser, name)


def clear(name: str) -> None:
    """As a signer does that has compared a database: for an hour, so that tests can sequence without one."""
    with connect("signer", dbname=name) as signing:
        signing.execute("SELECT logwork.clear(size, root, 3600) FROM logwork.head")


@contextlib.contextmanager
def connected(to: Clone, settings: Any) -> Iterator[Clone]:
    """Point Django at a clone, as the app role, and at its home; `settings` is pytest-django's, which puts back."""
    from django.contrib.contenttypes.models import ContentType
    from django.db import connections

    chosen = connections.settings["default"]
    before = chosen["NAME"]
    chosen["NAME"] = to.name
    settings.GLASSCASE_HOME = to.home
    # scrypt is slow on purpose; the tests of sign-in choose it themselves where it matters.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.MIDDLEWARE = acts.middleware(settings.MIDDLEWARE)
    ContentType.objects.clear_cache()
    try:
        with acts.watch_commands():
            yield to
    finally:
        connections.close_all()
        broker.close_connections()
        chosen["NAME"] = before


def drop(gone: Clone) -> None:
    drop_database(gone.name)
    for shard in gone.shards:
        drop_database(f"{gone.name}_{shard}")
    shutil.rmtree(gone.home, ignore_errors=True)


def drop_database(name: str) -> None:
    with run.server(run.HOME).connect() as superuser:
        superuser.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


@contextlib.contextmanager
def pumping(open_as: Callable[[str], psycopg.Connection]) -> Iterator[Callable[[], None]]:
    """A call that sequences and signs everything appended so far, so that it is covered by a checkpoint."""
    from django.conf import settings

    from audit.log import sequencer, signer

    sequencing, signing = open_as("sequencer"), open_as("signer")
    with signer.open_signer(state.directory("signer"), settings.GLASSCASE_LOG_ORIGIN) as mine:

        def step() -> None:
            while sequencer.step(sequencing):
                pass
            mine.step(signing)

        yield step


def _home(name: str) -> Path:
    return run.HOME / "h" / name


def _prepared(kit: Kit, template: str, settings: Any) -> Made:
    """Copies of what a kit hands out. The first process that asks builds it; the others wait for it."""
    kept = run.HOME / f"{kit.database}.pickle"
    with (run.HOME / f"{kit.database}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _build(kit, template, settings, kept)
    made: Made = pickle.loads(kept.read_bytes())
    return made


def _build(kit: Kit, template: str, settings: Any, kept: Path) -> None:
    draft = clone(kit.database, template, kit.base, settings)
    with connected(draft, settings):
        made = kit.build(draft.made)
    with run.server(run.HOME).connect() as superuser:
        for name in (draft.name, *(f"{draft.name}_{shard}" for shard in kit.shards)):
            superuser.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))
    kept.write_bytes(pickle.dumps({**draft.made, **made}))


def _people(_: Made) -> Made:
    from audit.log import case_tags
    from tests.people import make_cast

    case_tags.modulus()  # an RSA key takes long to find; without this each test's first search would look for one
    return {"cast": make_cast()}


def _agency(made: Made) -> Made:
    from tests.search.stage import build

    return {"stage": build(made["cast"])}


@contextlib.contextmanager
def _log() -> Iterator[None]:
    from django.conf import settings

    from tests.search.stage import running_log

    with running_log(settings.GLASSCASE_HOME, settings.GLASSCASE_LOG_ORIGIN):
        yield


def _searched(made: Made) -> Made:
    with _log():
        return {"searched": made["stage"].done()}


def _agreed(made: Made) -> Made:
    from tests.search.reviewing import agree

    with _log():
        agree(made["stage"], made["searched"])
    return {"agreed": made["searched"]}


def _released(made: Made) -> Made:
    from tests.search.reviewing import release

    with _log():
        return {"lead": release(made["stage"], made["agreed"])}


def _spread(made: Made) -> Made:
    from tests.search import spread

    return {"spread": spread.build(made["stage"], spread.make_shards())}


def _searched_everywhere(made: Made) -> Made:
    from core import shards
    from tests.search import spread

    with spread.running_logs(shards.configured()):
        request = made["spread"].request()
        assert made["stage"].run(request) == "done"
    assert request.state == "done", request.problem
    return {"searched_everywhere": request}


def _site(made: Made) -> Made:
    from tests.browser.world import build

    with _log():
        return {"world": build(made["stage"])}


def _gate(_: Made) -> Made:
    from tests.enforcement.world import World

    with contextlib.ExitStack() as opened:

        def open_as(role: str) -> psycopg.Connection:
            return opened.enter_context(connect(role))

        sign = opened.enter_context(pumping(open_as))
        return {"world": World(open_as("app"), open_as("sequencer"), open_as("registrar"), sign).build().facts()}


CAST = Kit("cast", _people)
STAGE = Kit("stage", _agency, base=CAST)
# A finished search for the first enrolled person; two examiners agree on that candidate; a supervisor has released the lead.
SEARCHED = Kit("searched", _searched, base=STAGE)
AGREED = Kit("agreed", _agreed, base=SEARCHED)
RELEASED = Kit("released", _released, base=AGREED)
# With a gallery over two shards: databases of their own.
SPREAD = Kit("spread", _spread, base=STAGE, shards=("north", "south"))
SEARCHED_EVERYWHERE = Kit("searched_everywhere", _searched_everywhere, base=SPREAD, shards=SPREAD.shards)
SITE = Kit("site", _site, base=STAGE)
GATE = Kit("gate", _gate)
