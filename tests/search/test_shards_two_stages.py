"""Searches of a spread gallery in two stages: codes on each server, and what every place says about how each has searched."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from core import jobs
from core.exceptions import Unavailable
from search import codes, disclosures, readings
from search import shards as servers
from search.cut import BITS
from search.exceptions import Unproven
from search.gate import client
from tests.api_client import Api
from tests.search.spread import NAMES, Spread, away, logged
from tests.search.test_disclosures import DEFENCE

pytestmark = pytest.mark.slow
Work = Callable[..., contextlib.AbstractContextManager[None]]
CHANCE = "at most 1 in 1,000,000"


@pytest.fixture
def large(spread: Spread) -> Spread:
    """With strangers, and two stages allowed in every gate for parts of 300 and more."""
    spread.enrol_strangers()
    spread.set_policy("two_stage_from", 300)
    return spread


def build(spread: Spread) -> dict[str, Any]:
    out = io.StringIO()
    call_command("build_codes", spread.gallery.name, stdout=out, verbosity=0)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_three_servers_find_in_two_stages_what_one_finds_exactly(large: Spread, logs: Work) -> None:
    coded = build(large)
    assert set(coded["servers"]) == {"main", *NAMES}
    assert coded["templates"] == sum(len(part) for part in large.at.values())
    with logs():
        _, everybody = large.listed(large.whole, k=50)
        request, found = large.listed(large.gallery, k=50)
        assert found == everybody
        cuts = []
        for name in ("main", *NAMES):
            [result] = logged(name, "search:result:stored", request)
            assert (result["method"], result["bits"], result["loss_one_in"]) == ("two_stage", BITS, 1_000_000)
            cuts.append(str(result["cut"]))
            [merged] = logged(name, "search:result:merged", request)
            assert merged["loss_one_in"] == 1_000_000
        assert merged["cuts"] == cuts
        sam = large.stage.cast.sam
        again = readings.replay(by=sam, request=request, approver=sam, secret=large.secret(sam))
        assert (again.comparison, again.lost) == ("same", 0)
        # Each gate holds the limit against its own part.
        largest = max(len(part) for part in large.at.values())
        large.set_policy("two_stage_from", largest)
        request, found = large.listed(large.gallery, k=50)
        assert found == everybody
    for name in ("main", *NAMES):
        [result] = logged(name, "search:result:stored", request)
        assert (result["method"] == "two_stage") == (len(large.at[name]) == largest)


def test_where_one_server_has_codes_every_place_says_so_and_the_list_is_the_same(large: Spread, logs: Work) -> None:
    large.code("north")
    with logs():
        _, everybody = large.listed(large.whole, k=50)
        request, found = large.listed(large.gallery, k=50)
        assert found == everybody
        [result] = logged("north", "search:result:stored", request)
        for name in ("main", *NAMES):
            [merged] = logged(name, "search:result:merged", request)
            assert merged["cuts"] == ["exact", str(result["cut"]), "exact"]
        said = "On the servers main and south every photo was compared exactly."
        officer, examiner = Client(), Client()
        officer.force_login(large.stage.cast.olivia)
        examiner.force_login(large.stage.cast.erin)
        for page in (
            officer.get(reverse("search", args=[request.pk])).content.decode(),
            examiner.post(reverse("candidates", args=[request.pk])).content.decode(),
        ):
            assert "two stages on the server north" in page
            assert CHANCE in page
            assert said in page
        answer = Api().as_(large.stage.cast.olivia)("GET", f"/requests/{request.pk}/").json()
        listed = [
            {"server": "main", "edition": request.edition, "method": "exact", "cut": None, "loss_one_in": None},
            {"server": "north", "edition": 1, "method": "two_stage", "cut": result["cut"], "loss_one_in": 1_000_000},
            {"server": "south", "edition": 1, "method": "exact", "cut": None, "loss_one_in": None},
        ]
        assert answer["servers"] == listed
        assert said in next(one["sentence"] for one in answer["steps"] if one["code"] == "searched")
        bundle = disclosures.make(by=large.stage.cast.sue, request=request, fields=DEFENCE)
        with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
            assert json.loads(archive.read("request.json"))["servers"] == listed
            assert said in archive.read("README.txt").decode()
        out = io.StringIO()
        call_command("search", f"--resume={request.pk}", "--as=olivia", stdout=out)
        assert json.loads(out.getvalue().splitlines()[-1])["servers"] == listed


def test_before_every_server_has_its_result_nothing_is_said_about_how_it_was_searched(
    spread: Spread, torn: Any, logs: Work
) -> None:
    answer = Api().as_(spread.stage.cast.olivia)("GET", f"/requests/{torn.pk}/").json()
    assert answer["servers"] == []
    assert not any("exactly" in one["sentence"] for one in answer["steps"])


def test_a_disclosure_is_not_made_where_a_server_searched_in_another_way_than_was_said(
    large: Spread, logs: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main gate compares its own part only; what was said of the others is held against their logs before it leaves."""
    build(large)
    how = servers._how

    def flattering(bodies: Any) -> dict[str, Any]:
        told = how(bodies)
        return {**told, "cuts": [told["cuts"][0], "exact", "exact"]}

    monkeypatch.setattr(servers, "_how", flattering)
    with logs():
        request = large.request()
        assert large.stage.run(request) == "done"
        with pytest.raises(Unproven, match="How the server north searched"):
            disclosures.make(by=large.stage.cast.sue, request=request, fields=DEFENCE)
        with pytest.raises(Unavailable, match="incomplete"):
            readings.open_candidates(by=large.stage.cast.erin, request=request)


def test_codes_are_built_on_the_servers_that_answer_and_on_the_others_later(large: Spread) -> None:
    with away("north"):
        with pytest.raises(CommandError, match="north"):
            build(large)
        assert codes.wanted() == [], "the others have theirs"
    with servers.place("south") as own:
        assert client.uncoded(own) == {}
    assert codes.wanted() == [large.gallery.id]
    [job] = codes.queue()
    assert jobs.run(job.id) == "done"
    assert codes.wanted() == []
    with servers.place("north") as own:
        assert client.uncoded(own) == {}
