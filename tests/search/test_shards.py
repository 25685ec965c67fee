"""A search of a gallery that is spread over three gates and logs: one list, or none; each of them used up once."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.log.checkpoint import VerifierKey
from audit.log.proof import Receipt
from core import approvers, database, shards
from core.exceptions import Conflict, Invalid, Unavailable
from core.models import User
from search import approvals, disclosures, erasure, galleries, life, readings, removal, requests
from search import shards as servers
from search.exceptions import SearchNotNow
from search.gate import client, params
from search.gate.client import Candidate, Candidates
from search.models import SearchRequest
from search.steps import Progress, steps
from tests.search import spread as world
from tests.search.spread import NAMES, Spread, away, logged
from tests.search.stage import PEOPLE

Entries = Callable[..., list[dict[str, Any]]]
Work = Callable[..., contextlib.AbstractContextManager[None]]


@pytest.fixture
def web() -> Client:
    return Client()


def test_three_servers_give_the_list_of_one(spread: Spread, logs: Work) -> None:
    assert all(spread.at[name] for name in ("main", *NAMES)), "everybody holds a part"
    with logs():
        _, everybody = spread.listed(spread.whole, k=50)
        assert spread.listed(spread.gallery, k=50)[1] == everybody
        assert len(everybody) > world.CROWD, "the first person, and all who look like them"
        # Where the list is cut between two scores, as a list of 12 or a little more is somewhere.
        k = next(k for k in range(12, 40) if everybody[k - 1][0] != everybody[k][0])
        _, short = spread.listed(spread.gallery, k=k)
    assert short == everybody[:k]
    assert all({template for _, template in short} & set(part) for part in spread.at.values())


def test_every_log_has_the_whole_search_under_one_list_and_each_gate_is_used_up_once(
    spread: Spread, searched_everywhere: SearchRequest, logs: Work, entries: Entries
) -> None:
    request = searched_everywhere
    with logs():
        found = readings.open_candidates(by=spread.stage.cast.erin, request=request)
        files = {file.kind: file for file in readings.receipts(by=spread.stage.cast.olivia, request=request)}
    wanted = [f"main:{request.edition}", "north:1", "south:1"]
    assert request.shards == wanted
    for name in ("main", *NAMES):
        [approved] = logged(name, "search:request:approved", request)
        [intent] = logged(name, "search:intent:filed", request)
        [bound] = logged(name, "search:probe:bound", request)
        [result] = logged(name, "search:result:stored", request)
        [merged] = logged(name, "search:result:merged", request)
        [view] = logged(name, "search:candidates:viewed", request)
        assert intent["shards"] == merged["shards"] == wanted
        assert (merged["cuts"], "loss_one_in" in merged) == (["exact"] * 3, False)
        assert intent["params"] == approved["params"] == request.params
        assert f"{name}:{intent['edition']}" in wanted
        assert result["edition"] == bound["edition"] == intent["edition"]
        assert view["id"] == str(found.view)
        kind = "result" if name == "main" else f"{name}-result"
        assert merged["results"][wanted.index(f"{name}:{intent['edition']}")] == (
            hashlib.sha256(files[kind].body).hexdigest()
        )
    kinds = {"intent", "bound", "result", "merged"}
    assert set(files) == kinds | {f"{name}-{kind}" for name in NAMES for kind in kinds}
    for name in NAMES:
        with servers.place(name) as own:
            keys = servers.Server(name, 1, own).keys()
        Receipt.parse(files[f"{name}-result"].receipt).verify(files[f"{name}-result"].body, keys)
        assert [key.name for key in keys] == [f"glasscase.invalid/log/shard/{name}"]
    assert [step.state for step in steps(request)] == [Progress.DONE] * len(steps(request))


def test_the_photo_of_a_candidate_on_another_server_opens(
    spread: Spread, searched_everywhere: SearchRequest, logs: Work
) -> None:
    enrolled = spread.gallery.photos.get(person_ref=f"G{PEOPLE[0]:04d}")
    assert enrolled.shard == "south"
    with logs():
        found = readings.open_candidates(by=spread.stage.cast.erin, request=searched_everywhere)
        mine = next(one for one in found.candidates if one.template == enrolled.template)
        data = readings.photo(by=spread.stage.cast.erin, view=found.view, template=mine.template)
        assert data.startswith(b"\xff\xd8\xff")


def test_a_missing_server_makes_the_search_incomplete_and_it_goes_on_when_it_is_back(
    spread: Spread, logs: Work, entries: Entries, web: Client
) -> None:
    with logs():
        request = spread.request()
        with away("south"):
            assert spread.stage.run(request) == "done"
            assert request.state == "incomplete"
            assert request.problem == (
                "The server south, which holds a part of the gallery, has not given its result: it does not answer."
            )
            [said] = entries("search:request:incomplete", request=request.id)
            assert (said["shard"], said["reason"]) == ("south", "unreachable")
            assert entries("search:intent:filed") == [], "none searches before all can"
            with pytest.raises(Conflict, match="not there yet"):
                readings.open_candidates(by=spread.stage.cast.erin, request=request)
            assert life.resume() == 0, "there is nothing to do before it is back"
            web.force_login(spread.stage.cast.olivia)
            page = web.get(reverse("search", args=[request.pk])).content.decode()
            assert "This is not a search without candidates." in page
            assert request.problem in page
            health = web.get(reverse("log_health")).content.decode()
            assert "Logs of the shards" in health
            assert health.count("out of reach") == 1
    with logs():
        assert life.resume() == 1
        assert spread.stage.run(request) == "done"
        assert (request.state, request.problem) == ("done", "")
        assert readings.open_candidates(by=spread.stage.cast.erin, request=request).candidates
    assert len(entries("search:request:incomplete", request=request.id)) == 1


def test_what_the_others_found_is_kept_and_each_gate_is_still_used_once(
    spread: Spread, logs: Work, torn: SearchRequest
) -> None:
    assert [len(logged(name, "search:result:stored", torn)) for name in ("main", *NAMES)] == [1, 1, 0]
    before = {name: logged(name, "search:result:stored", torn) for name in ("main", "north")}
    with logs():
        assert life.resume() == 1
        assert spread.stage.run(torn) == "done"
        assert torn.state == "done", torn.problem
    assert {name: logged(name, "search:result:stored", torn) for name in ("main", "north")} == before
    for name in ("main", *NAMES):
        for type_ in ("intent:filed", "probe:bound", "result:stored", "result:merged"):
            assert len(logged(name, f"search:{type_}", torn)) == 1, (name, type_)


def test_an_incomplete_search_ends_when_its_time_is_over(spread: Spread, torn: SearchRequest, entries: Entries) -> None:
    SearchRequest.objects.filter(pk=torn.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with away("south"):
        assert life.resume() == 1
        spread.stage.run(torn)
    assert torn.state == "expired"
    assert "not completed in time" in torn.problem
    assert len(entries("search:request:expired", request=torn.id)) == 1


def test_nothing_is_shown_while_a_server_is_away(
    spread: Spread, searched_everywhere: SearchRequest, logs: Work, entries: Entries
) -> None:
    request = searched_everywhere
    with logs(), away("north"), pytest.raises(Unavailable, match=r"north.*A part of a result is never shown"):
        readings.open_candidates(by=spread.stage.cast.erin, request=request)
    assert request.readings.count() == 0
    with logs():
        assert readings.open_candidates(by=spread.stage.cast.erin, request=request).candidates


def test_nothing_can_be_requested_or_approved_while_a_server_is_away(spread: Spread, logs: Work) -> None:
    with logs():
        draft, waiting = spread.stage.drafted(), spread.stage.submitted(gallery="spread")
        with away("south"):
            with pytest.raises(SearchNotNow, match="south"):
                requests.submit(
                    by=spread.stage.cast.olivia, request=draft, fields=spread.stage.fields(gallery="spread")
                )
            with pytest.raises(Unavailable, match="not approved"):
                spread.stage.approve(waiting)
        waiting.refresh_from_db()
        assert waiting.state == "awaiting_approval"
        assert [logged(name, "search:request:approved", waiting) for name in ("main", "north")] == [[], []]
        with pytest.raises(Invalid):
            approvals.approve(by=spread.stage.cast.sam, request=waiting, secret="AAAA-AAAA-AAAA-AAAA")
        assert spread.stage.approve(waiting).state == "ready"


def test_a_spread_gallery_stays_under_its_face_model(spread: Spread) -> None:
    cast, secret = spread.stage.cast, spread.secret(spread.stage.cast.sam)
    [edition] = client.editions(database.session(), spread.gallery.id)
    for missing in (0, 3):
        with pytest.raises(Conflict, match="stays under its face model"):
            galleries.switch_edition(
                by=cast.carl,
                gallery=spread.gallery,
                edition=edition.edition,
                approver=cast.sam,
                secret=secret,
                missing=missing,
            )


def test_a_revoked_approver_is_revoked_in_every_gate(spread: Spread) -> None:
    sue = spread.stage.cast.sue
    with away("south"), pytest.raises(Unavailable, match="not yet on the server south"):
        approvers.revoke(sue)
    assert [_approver(name, sue) for name in ("main", *NAMES)] == ["revoked", "revoked", "enrolled"]
    approvers.revoke(sue)
    assert [_approver(name, sue) for name in ("main", *NAMES)] == ["revoked"] * 3
    with pytest.raises(Conflict, match="no approval secret to revoke"):
        approvers.revoke(sue)
    with away("north"), pytest.raises(Unavailable, match="north"):
        approvers.enrol(sue, "somebody@agency.example")
    assert [_approver(name, sue) for name in ("main", *NAMES)] == ["revoked"] * 3, "nowhere, rather than somewhere"


def _approver(name: str, who: User) -> str:
    with servers.place(name) as own:
        return client.approver_state(own, who.id)


def test_a_replay_runs_in_every_server(spread: Spread, searched_everywhere: SearchRequest, logs: Work) -> None:
    request = searched_everywhere
    with logs():
        sam = spread.stage.cast.sam
        found = readings.replay(by=sam, request=request, approver=sam, secret=spread.secret(sam))
    assert (found.comparison, found.expunged) == ("same", 0)
    assert [len(logged(name, "search:result:replayed", request)) for name in ("main", *NAMES)] == [1, 1, 1]


def test_a_disclosure_has_every_server_in_it_under_its_own_key(
    spread: Spread, searched_everywhere: SearchRequest, logs: Work
) -> None:
    request = searched_everywhere
    fields = disclosures.DisclosureFields(recipient="Public defender", reason="Discovery in the case.")
    with logs():
        readings.open_candidates(by=spread.stage.cast.erin, request=request)
        with away("north"), pytest.raises(Unavailable, match="north"):
            disclosures.make(by=spread.stage.cast.sue, request=request, fields=fields)
    with logs():
        bundle = disclosures.make(by=spread.stage.cast.sue, request=request, fields=fields)
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as found:
        files = {name: found.read(name) for name in found.namelist()}
    listed = json.loads(files["candidates.json"])["candidates"]
    parts = []
    for name in NAMES:
        keys = [VerifierKey.parse(line) for line in files[f"servers/{name}/log.vkey"].decode().split()]
        entries_ = [one for one in files if one.startswith(f"servers/{name}/entries/") and one.endswith(".entry.json")]
        assert len(entries_) == 6, "approved, intent, bound, result, merged, viewed"
        for one in entries_:
            Receipt.parse(files[one.replace(".entry.json", ".tlog-proof")]).verify(files[one], keys)
        [opening] = [files[one] for one in files if one.startswith(f"servers/{name}/openings/")]
        parts += json.loads(opening)["value"]
    [main] = [
        files[one]
        for one in files
        if one.endswith("result-stored.candidates.opening.json") and one.startswith("openings/")
    ]
    everybody = [*parts, *json.loads(main)["value"]]
    assert {one["template"] for one in listed} <= {template for template, _ in everybody}
    assert len(listed) == min(len(everybody), request.k)


def test_erasing_a_search_erases_it_everywhere_or_nowhere(
    spread: Spread, searched_everywhere: SearchRequest, logs: Work
) -> None:
    request = searched_everywhere
    with logs():
        by, sam = spread.stage.cast.cora, spread.stage.cast.sam
        with away("north"), pytest.raises(Unavailable):
            erasure.erase(by=by, request=request, approver=sam, secret=spread.secret(sam))
        assert [len(logged(name, "search:probe:erased", request)) for name in ("main", "south")] == [0, 0]
        erasure.erase(by=by, request=request, approver=sam, secret=spread.secret(sam))
    assert [len(logged(name, "search:probe:erased", request)) for name in ("main", *NAMES)] == [1, 1, 1]


def test_a_person_is_expunged_where_they_are(spread: Spread, logs: Work) -> None:
    sam = spread.stage.cast.sam
    with logs():
        for number in PEOPLE:
            person = galleries.person(spread.gallery, f"G{number:04d}")
            assert (
                removal.expunge(by=spread.stage.cast.carl, person=person, approver=sam, secret=spread.secret(sam)) == 1
            )
        request = spread.request()
        assert spread.stage.run(request) == "done"
        found = readings.open_candidates(by=spread.stage.cast.erin, request=request).candidates
    assert found
    assert not {one.template for one in found} & {one.template for one in spread.gallery.photos.all()}
    assert all(one.photo is None for one in found), "the crowd has no photos"


# Merging

SCORES = st.lists(st.integers(0, 1000), max_size=12)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SCORES, min_size=1, max_size=4), st.integers(1, 20))
def test_merging_is_the_best_of_all_and_keeps_the_order_of_each(parts: list[list[int]], k: int) -> None:
    given_ = [
        (
            str(number),
            Candidates(
                tuple(
                    Candidate(rank, uuid.uuid4(), score) for rank, score in enumerate(sorted(scores, reverse=True), 1)
                ),
                b"",
            ),
        )
        for number, scores in enumerate(parts)
    ]
    found = servers.merged(given_, k)
    everything = sorted((one.score_milli for _, part in given_ for one in part.candidates), reverse=True)
    assert [one.score_milli for one in found.candidates] == everything[:k]
    assert [one.rank for one in found.candidates] == list(range(1, len(found.candidates) + 1))
    for _, part in given_:
        order = [one.template for one in part.candidates]
        mine = [one.template for one in found.candidates if one.template in order]
        assert mine == order[: len(mine)], "within a server nobody overtakes"
    assert found.parts == tuple(given_)


def test_the_digest_of_an_intent_without_servers_is_what_it_was(spread: Spread) -> None:
    values = dict.fromkeys(params._SEARCH_FIELDS, "x")
    plain = params.search({**values, "edition": 3}, photo="p", box="b")
    assert params.search({**values, "edition": 3, "shards": []}, photo="p", box="b") == plain
    listed = {"shards": ["main:3", "north:1"]}
    assert params.search({**values, "edition": 3} | listed, photo="p", box="b") == params.search(
        {**values, "edition": 1} | listed, photo="p", box="b"
    )
    intent = {**values, "edition": 1, "c": {"photo": "p", "box": "b"}, **listed}
    with database.connect_superuser(database.database_name()) as own:
        row = own.execute("SELECT gate.search_params(%s::jsonb)", [json.dumps(intent)]).fetchone()
    assert row is not None
    assert bytes(row[0]) == params.search(intent, photo="p", box="b")
    assert shards.configured().keys() == set(NAMES)
