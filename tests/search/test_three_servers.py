"""One gallery over three PostgreSQL servers on this machine: made by the command, with processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import CommandError

from core import shards
from search import life, readings, trail
from search import shards as servers
from search.models import SearchRequest
from tests import run
from tests.search import spread as world
from tests.search.spread import NAMES
from tests.search.stage import Stage, running_log

pytestmark = pytest.mark.slow
MANAGE = [sys.executable, str(Path(django_settings.BASE_DIR) / "manage.py")]


@pytest.fixture
def three(stage: Stage, database: Any, settings: Any) -> Iterator[world.Spread]:
    settings.GLASSCASE_LOG_WAIT_SECONDS = 10
    (database.home / "shards").mkdir(mode=0o711)
    try:
        for name in NAMES:
            out = StringIO()
            call_command("add_shard", name, stdout=out, stderr=StringIO())
            assert json.loads(out.getvalue())["log"] == f"glasscase.invalid/log/shard/{name}"
        with contextlib.ExitStack() as stack:
            for name in NAMES:
                for role in ("sequencer", "signer"):
                    stack.enter_context(process(database, name, role))
            yield world.build(stage, shards.configured())
    finally:
        for shard in shards.configured().values():
            run.server(shard.home).stop(immediately=True)


def environment(database: Any, name: str, **more: str) -> dict[str, str]:
    return {**database.environment, "GLASSCASE_SHARD": name, **more}


@contextlib.contextmanager
def process(database: Any, name: str, role: str) -> Iterator[None]:
    with subprocess.Popen(
        [*MANAGE, role], env=environment(database, name, GLASSCASE_DB_ROLE=role), stderr=subprocess.DEVNULL
    ) as child:
        try:
            yield
        finally:
            child.terminate()


def test_three_servers_find_what_one_finds_and_none_of_them_may_be_missing(
    three: world.Spread, database: Any, settings: Any, tmp_path: Path
) -> None:
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        three.enrol_strangers()
        three.set_policy("two_stage_from", 300)
        _, everybody = three.listed(three.whole, k=50)
        assert len(everybody) > world.CROWD
        request, found = three.listed(three.gallery, k=50)
        assert (found, cuts(request)) == (everybody, ["exact"] * 3)
        three.code("north")
        request, found = three.listed(three.gallery, k=50)
        assert found == everybody
        assert [one == "exact" for one in cuts(request)] == [True, False, True]
        call_command("build_codes", three.gallery.name, stdout=StringIO(), verbosity=0)
        request, found = three.listed(three.gallery, k=50)
        assert found == everybody
        assert "exact" not in cuts(request)

        request = three.request()
        assert shards.server(three.shards["south"]).stop()
        assert three.stage.run(request) == "done"
        assert request.state == "incomplete"
        assert "south" in request.problem
        shards.server(three.shards["south"]).start()
        assert life.resume() == 1
        assert three.stage.run(request) == "done"
        assert request.state == "done", request.problem
        assert readings.open_candidates(by=three.stage.cast.erin, request=request).candidates
        for name in ("main", *NAMES):
            with servers.place(name) as own:
                said = [one.type for one in trail.entries(own, request.id)]
            assert [said.count(f"search:{one}") for one in ("intent:filed", "probe:bound", "result:stored")] == [
                1,
                1,
                1,
            ]

    for name in NAMES:
        verified(database, name, tmp_path / name)
    a_shard_has_one_name(three)


def cuts(request: SearchRequest) -> list[str]:
    """How each server searched: all logs say the same of all."""
    [one, *others] = [world.logged(name, "search:result:merged", request)[0]["cuts"] for name in ("main", *NAMES)]
    assert others == [one, one]
    found: list[str] = one
    return found


def verified(database: Any, name: str, place: Path) -> None:
    """An outsider's check of a shard's own log, under the shard's own key."""
    subprocess.run(
        [*MANAGE, "export_log", str(place)], env=environment(database, name), check=True, capture_output=True
    )
    key = (shards.named(name).home / "signer" / "vkey").read_text().strip()
    done = subprocess.run(
        [sys.executable, "-m", "audit.log.verify", str(place), "--key", key],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath, "PYTHONPATH": str(django_settings.BASE_DIR)},
    )
    assert done.stdout.splitlines()[-1].startswith("OK size="), done.stdout + done.stderr


def a_shard_has_one_name(three: world.Spread) -> None:
    call_command("add_shard", "north", stdout=StringIO(), stderr=StringIO())  # harmless to repeat
    place = three.shards["north"].home.parent / "shards.toml"
    place.write_text(f"{place.read_text()}\n[west]\n")
    (place.parent / "west").symlink_to(place.parent / "south")
    with pytest.raises(CommandError, match="is the shard south already"):
        call_command("add_shard", "west", stdout=StringIO(), stderr=StringIO())
    with pytest.raises(CommandError, match="no name for a shard"):
        call_command("add_shard", "Main", stdout=StringIO(), stderr=StringIO())
