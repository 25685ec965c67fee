"""Mallory has the application's password of every server over which a gallery is spread."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from audit.log import storage
from audit.log.commitments import Opening
from audit.log.entries import compose
from core import database, keystore
from core.exceptions import Conflict, Invalid, NotFound, Unavailable
from core.models import User
from search import galleries, leads, legal_holds, life, outcomes, readings, removal, requests, reviews, trail
from search import shards as servers
from search.gate import client, params
from search.gate.client import GateRefused
from search.models import SearchRequest
from search.outcome_rules import OutcomeFields
from search.proposals import Signature, propose
from tests.search.reviewing import opened, same, unsure
from tests.search.spread import CROWD, NAMES, Spread, away, logged
from tests.search.stage import PEOPLE, THRESHOLD, enrolled

Entries = Callable[..., list[dict[str, Any]]]
Work = Callable[..., contextlib.AbstractContextManager[None]]


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(GateRefused) as caught:
        act()
    return caught.value.rule


def test_no_gate_opens_its_part_of_an_incomplete_search(spread: Spread, logs: Work, torn: SearchRequest) -> None:
    with logs():
        for name in ("main", "north"):
            with servers.place(name) as own:
                [mine] = [one for one in trail.entries(own, torn.id) if one.type == "search:result:stored"]
                trail.wait(own, mine.id, covered=True)
                view, secret = _view(own, torn)
                assert refusal(partial(client.candidates, own, view, secret)) == "incomplete"


def test_whoever_shows_a_part_has_said_in_the_signed_log_that_it_was_whole(
    spread: Spread, logs: Work, torn: SearchRequest
) -> None:
    """The gate cannot see into another server: it opens for a lie, which names a result that nobody can ever show."""
    with logs(), servers.place("main") as own:
        [mine] = [one for one in trail.entries(own, torn.id) if one.type == "search:result:stored"]
        true = hashlib.sha256(storage.entry_body(own, mine.id)).hexdigest()
        lie = [true, "1" * 64, "0" * 64]
        wrong: dict[str, Any]
        for wrong in (
            {"shards": torn.shards[:1], "results": [true]},
            {"results": ["0" * 64] * 3},
            {"results": [true] * 2},
            {"results": [true] * 3},
            {"results": ["1" * 64, true, "0" * 64]},
            {"results": lie, "cuts": ["exact"] * 2},
            {"results": lie, "cuts": ["300", "exact", "exact"], "loss_one_in": 1_000_000},
        ):
            _say(own, torn, **{"shards": torn.shards, "cuts": ["exact"] * 3, **wrong})
            view, secret = _view(own, torn)
            assert refusal(partial(client.candidates, own, view, secret)) == "incomplete"
        said = _say(own, torn, shards=torn.shards, cuts=["exact"] * 3, results=lie)
        view, secret = _view(own, torn)
        assert client.candidates(own, view, secret).candidates
        assert trail.find(own, torn.id, "search:result:merged", id=str(said)) is not None


def _say(own: psycopg.Connection, request: SearchRequest, **fields: Any) -> uuid.UUID:
    entry = compose("search:result:merged", request=request.id, **fields)
    own.execute("SELECT log.append(%s)", [entry.body])
    trail.wait(own, entry.id, covered=True)
    return entry.id


def _view(own: psycopg.Connection, request: SearchRequest) -> tuple[uuid.UUID, bytes]:
    secret = b"m" * 32
    claim = hashlib.sha256(secret).hexdigest()
    entry = compose("search:candidates:viewed", request=request.id, viewer=uuid.uuid4(), claim=claim)
    own.execute("SELECT log.append(%s)", [entry.body])
    trail.wait(own, entry.id, covered=False)
    return entry.id, secret


@pytest.mark.parametrize(
    "listed",
    [
        None,
        ["main:1"],
        ["main:1", "north:1"],
        ["north:1", "main:1", "south:1"],
        ["main:1", "north:1", "south:1", "west:1"],
        ["main:1", "north:1", "north:1", "south:1"],
    ],
)
def test_a_gate_binds_no_intent_that_leaves_a_server_out_or_names_another(
    spread: Spread, logs: Work, listed: list[str] | None
) -> None:
    """Approved by an approver who was talked into it: still refused, in every gate that could run it."""
    edition = next(one for one in client.editions(database.session(), spread.gallery.id))
    with logs():
        for name in ("main", "north"):
            with servers.place(name) as own:
                here = edition.edition if name == "main" else 1
                said = None if listed is None else [one.replace("main:1", f"main:{edition.edition}") for one in listed]
                assert refusal(partial(_bind, spread, own, here, said)) == "shards"


def test_each_gate_checks_its_own_edition(spread: Spread, logs: Work) -> None:
    """The main gate cannot know north's: there the search cannot run, so it stays incomplete for everybody to see."""
    with logs(), servers.place("north") as own:
        [edition] = client.editions(database.session(), spread.gallery.id)
        said = [f"main:{edition.edition}", "north:2", "south:1"]
        assert refusal(partial(_bind, spread, own, 1, said)) == "shards"


def test_the_list_of_one_gallery_does_not_run_another(spread: Spread, logs: Work) -> None:
    """A gallery on the main server alone takes no list, and a shard takes nothing without one."""
    [whole] = client.editions(database.session(), spread.whole.id)
    with logs(), servers.place("main") as own:
        said = [f"main:{whole.edition}", "north:1", "south:1"]
        assert refusal(lambda: _bind(spread, own, whole.edition, said, gallery=spread.whole.id)) == "shards"


def test_an_intent_runs_in_a_gate_once(spread: Spread, logs: Work) -> None:
    [edition] = client.editions(database.session(), spread.gallery.id)
    said = [f"main:{edition.edition}", "north:1", "south:1"]
    with logs(), servers.place("north") as own:
        request = uuid.uuid4()
        _bind(spread, own, 1, said, request=request)
        assert refusal(lambda: _bind(spread, own, 1, said, request=request)) == "used"


def test_each_gate_wants_an_approval_of_its_own(spread: Spread, logs: Work) -> None:
    [edition] = client.editions(database.session(), spread.gallery.id)
    said = [f"main:{edition.edition}", "north:1", "south:1"]
    with logs(), servers.place("north") as own:
        assert refusal(lambda: _bind(spread, own, 1, said, approve=False)) == "approval"


def _bind(
    spread: Spread,
    own: psycopg.Connection,
    edition: int,
    listed: list[str] | None,
    *,
    gallery: uuid.UUID | None = None,
    request: uuid.UUID | None = None,
    approve: bool = True,
) -> None:
    """An intent with an approval of exactly what it says, filed and bound by hand in one server."""
    secret = b"c" * 32
    sam = spread.stage.cast.sam
    values: dict[str, Any] = {
        "request": request or uuid.uuid4(),
        "case": uuid.uuid4(),
        "requester": spread.stage.cast.olivia.id,
        "purpose": "identify_suspect",
        "offence": "robbery",
        "legal_basis": "probable_cause",
        "gallery": gallery or spread.gallery.id,
        "edition": edition,
        "model": spread.stage.model.hash,
        "threshold": THRESHOLD,
        "k": 10,
        "emergency": False,
        "claim": hashlib.sha256(secret).hexdigest(),
        "expires": round((timezone.now() + timedelta(hours=1)).timestamp() * 1000),
        **({} if listed is None else {"shards": listed}),
    }
    openings = [Opening.of("photo", "0" * 64), Opening.of("box", [1, 2, 3, 4])]
    wanted = params.search(values, photo=openings[0].commitment, box=openings[1].commitment)
    if approve:
        typed = spread.secret(sam).replace("-", "")
        proposal = client.propose(
            own, act=params.SEARCH_ACT, params=wanted, approver=sam.id, secret=typed, subject=values["request"]
        )
        assert client.approve(own, proposal)
    entry = compose("search:intent:filed", openings=openings, params=wanted.hex(), **values)
    own.execute("SELECT log.append(%s)", [entry.body])
    trail.wait(own, entry.id, covered=True)
    client.bind(own, intent=entry.id, probe=enrolled(PEOPLE[0])[3], claim_secret=secret)


def test_who_holds_the_claim_and_binds_another_face_is_found_out(
    spread: Spread, logs: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind = client.bind

    def other(own: psycopg.Connection, *, intent: uuid.UUID, probe: Any, claim_secret: bytes) -> uuid.UUID:
        face = probe if client.here(own) != "north" else enrolled(PEOPLE[2])[3]
        return bind(own, intent=intent, probe=face, claim_secret=claim_secret)

    with logs():
        request = spread.request()
        monkeypatch.setattr(client, "bind", other)
        assert spread.stage.run(request) == "done"
    assert request.state == "failed"
    assert "north has bound another face" in request.problem
    assert [logged(name, "search:result:stored", request) for name in ("main", *NAMES)] == [[], [], []]


@pytest.mark.parametrize("killed", [False, True])
def test_who_binds_another_face_and_searches_with_it_at_once_is_found_out_before_anything_is_merged(
    spread: Spread, logs: Work, monkeypatch: pytest.MonkeyPatch, entries: Entries, killed: bool
) -> None:
    """Also by the next run, where the first one was killed when all had their result."""
    bind, check = client.bind, servers.check_bound

    def other(own: psycopg.Connection, *, intent: uuid.UUID, probe: Any, claim_secret: bytes) -> uuid.UUID:
        if client.here(own) != "north":
            return bind(own, intent=intent, probe=probe, claim_secret=claim_secret)
        entry = bind(own, intent=intent, probe=enrolled(PEOPLE[2])[3], claim_secret=claim_secret)
        trail.wait(own, entry, covered=False)
        client.execute(own, request.id, claim_secret)
        return entry

    with logs():
        request = spread.request()
        with monkeypatch.context() as patched:
            patched.setattr(client, "bind", other)
            if killed:
                patched.setattr(servers, "check_bound", lambda *given: None)
                patched.setattr(servers, "merge_in_logs", _nothing_more)
            assert spread.stage.run(request) == "done"
        if killed:
            assert request.state == "incomplete"
            assert life.resume() == 1
            assert servers.check_bound is check
            assert spread.stage.run(request) == "done"
    assert logged("north", "search:result:stored", request)
    assert request.state == "failed"
    assert "north has bound another face" in request.problem
    assert "new request" in request.problem
    [said] = entries("search:request:failed", request=request.id)
    assert said["reason"] == "other_face:north"
    assert [logged(name, "search:result:merged", request) for name in ("main", *NAMES)] == [[], [], []]
    with pytest.raises(Conflict):
        readings.open_candidates(by=spread.stage.cast.erin, request=request)
    with pytest.raises(keystore.KeyMissing):
        keystore.get(requests.claim_record(request.id))


def _nothing_more(*given: Any) -> None:
    raise servers.ServerTrouble("south", "unreachable", "It does not answer.")


def test_without_its_claim_a_search_that_has_all_results_is_not_shown(spread: Spread, logs: Work) -> None:
    """Who destroys the claim after binding another face does not get past the comparison."""
    with logs():
        request = spread.request()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(servers, "merge_in_logs", _nothing_more)
            assert spread.stage.run(request) == "done"
        assert len(keystore.get(requests.claim_record(request.id))) == 32
        keystore.destroy(requests.claim_record(request.id))
        assert life.resume() == 1
        spread.stage.run(request)
    assert request.state == "failed"
    assert [logged(name, "search:result:merged", request) for name in ("main", *NAMES)] == [[], [], []]


def test_a_claim_that_a_killed_worker_left_is_destroyed_when_the_search_is_done(spread: Spread, logs: Work) -> None:
    with logs():
        request = spread.request()
        claim = keystore.get(requests.claim_record(request.id))
        assert spread.stage.run(request) == "done"
        assert request.state == "done", request.problem
    with pytest.raises(keystore.KeyMissing):
        keystore.get(requests.claim_record(request.id))
    with servers.place("north") as own:
        assert len(client.bound_salt(own, request.id, claim)) == 32
        assert refusal(lambda: client.bound_salt(own, request.id, b"x" * 32)) == "claim"


def test_nothing_is_opened_whose_intent_no_checkpoint_covers(
    spread: Spread, searched_everywhere: SearchRequest, logs: Work, as_superuser: Any
) -> None:
    """Without its intent nobody can say whether a search had to be whole."""
    request = searched_everywhere
    with logs(), servers.place("main") as own:
        view, secret = _view(own, request)
    as_superuser.execute("UPDATE gate.bound SET intent = gen_random_uuid() WHERE request = %s", [request.id])
    with database.connect("app") as own:
        assert refusal(partial(client.candidates, own, view, secret)) == "receipt"


def test_a_legal_hold_is_in_every_gate(spread: Spread, logs: Work) -> None:
    """A charge places it, everywhere or nowhere; a shard that is asked straight erases nothing with one approval."""
    cast = spread.stage.cast
    charged = OutcomeFields(truth="same_person", procedure="charge", evidence=("physical",))
    with logs():
        request = spread.request(person=PEOPLE[1])
        assert spread.stage.run(request) == "done"
        for examiner in (cast.erin, cast.ed):
            _decided(examiner, request)
        lead, *_ = leads.release(by=cast.sam, request=request, templates=reviews.agreed(request), note="")
        with away("north"), pytest.raises(Unavailable, match="north"):
            outcomes.record(by=cast.sam, lead=lead, fields=charged)
        assert not lead.outcomes.exists()
        outcomes.record(by=cast.sam, lead=lead, fields=charged)
        for name in ("main", *NAMES):
            with servers.place(name) as own:
                assert refusal(partial(_erase, spread, own, request)) == "hold"
                assert refusal(partial(client.erase_due, own, request.id)) == "hold"
        assert [logged(name, "search:probe:erased", request) for name in ("main", *NAMES)] == [[], [], []]
        signatures = [Signature(one, spread.secret(one)) for one in (cast.sam, cast.sue)]
        with away("south"), pytest.raises(Unavailable, match="south"):
            legal_holds.lift(by=None, subject=request.id, signatures=signatures)
        assert legal_holds.lift(by=None, subject=request.id, signatures=signatures) == ["south"]
        with pytest.raises(NotFound):
            legal_holds.lift(by=None, subject=request.id, signatures=signatures)
        for name in ("main", *NAMES):
            with servers.place(name) as own:
                _erase(spread, own, request)
    assert [len(logged(name, "search:probe:erased", request)) for name in ("main", *NAMES)] == [1, 1, 1]


def _decided(by: User, request: SearchRequest) -> None:
    """The same person for the candidate with a photo; the crowd has none to compare."""
    reading = opened(by, request)
    findings = [same(one.template) if one.can_be_seen else unsure(one.template) for one in reading.candidates]
    reviews.decide(by=by, request=request, view=reading.view, findings=findings)


def _erase(spread: Spread, own: psycopg.Connection, request: SearchRequest) -> None:
    sam = spread.stage.cast.sam
    wanted = params.erase_search(request=request.id)
    proposal = propose(by=None, act="gate:erase_search", params=wanted, approver=sam, secret=spread.secret(sam), at=own)
    client.erase_search(own, request.id, proposal)


def test_the_command_places_and_lifts_a_hold_on_a_person_in_every_server(
    spread: Spread, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cast = spread.stage.cast
    people = {
        servers.of_person(spread.gallery, one): one
        for one in (galleries.person(spread.gallery, f"P{number}") for number in range(CROWD))
    }
    files = []
    for one in (cast.sam, cast.sue):
        files.append(str(tmp_path / one.username))
        Path(files[-1]).write_text(spread.secret(one))
    signed: dict[str, Any] = {"approver": [cast.sam.username, cast.sue.username], "secret_file": files}
    person = people["north"]
    call_command("legal_hold", "place", str(person))
    assert json.loads(capsys.readouterr().out)["servers"] == ["main", *NAMES]
    for name in ("main", "north"):
        with servers.place(name) as own:
            assert refusal(partial(_expunge, spread, own, person)) == "hold"
    with pytest.raises(Conflict, match="legal hold"):
        removal.expunge(
            by=cast.carl, person=person, approver=cast.sam, secret=spread.secret(cast.sam), gallery=spread.gallery
        )
    with pytest.raises(CommandError, match="twice"):
        call_command("legal_hold", "lift", str(person), approver=["sam"], secret_file=files[:1])
    call_command("legal_hold", "lift", str(person), **signed)
    assert json.loads(capsys.readouterr().out)["servers"] == ["main", *NAMES]
    with servers.place("north") as own:
        assert _expunge(spread, own, person) == 1


def _expunge(spread: Spread, own: psycopg.Connection, person: uuid.UUID) -> int:
    sam = spread.stage.cast.sam
    wanted = params.expunge(person=person)
    proposal = propose(by=None, act="gallery:expunge", params=wanted, approver=sam, secret=spread.secret(sam), at=own)
    return client.expunge(own, person=person, proposal=proposal)


def test_it_is_fixed_once_over_which_servers_a_gallery_is_spread(spread: Spread) -> None:
    sam = spread.stage.cast.sam
    with pytest.raises(Conflict, match="fixed already"):
        galleries.spread(
            by=spread.stage.cast.carl, gallery=spread.gallery, over=["north"], approver=sam, secret=spread.secret(sam)
        )
    with pytest.raises(Conflict, match="fixed already"):
        galleries.spread(
            by=spread.stage.cast.carl, gallery=spread.whole, over=["north"], approver=sam, secret=spread.secret(sam)
        )
    with pytest.raises(Invalid, match="no shard west"):
        galleries.spread(
            by=spread.stage.cast.carl, gallery=spread.whole, over=["west"], approver=sam, secret=spread.secret(sam)
        )


def test_a_server_that_is_another_one_than_its_address_says_is_not_asked(spread: Spread, database: Any) -> None:
    place = database.home / "shards" / "shards.toml"
    place.write_text(place.read_text().replace("_north", "_x").replace("_south", "_north").replace("_x", "_south"))
    with pytest.raises(servers.ServerTrouble, match="answers south"), servers.reach("north"):
        raise AssertionError("north is south")
