"""Mallory has the application's password of every server over which a gallery is spread."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from audit.log import storage
from audit.log.commitments import Opening
from audit.log.entries import compose
from core import database
from core.exceptions import Conflict, Invalid
from search import galleries, trail
from search import shards as servers
from search.gate import client, params
from search.gate.client import GateRefused
from search.models import SearchRequest
from tests.search.spread import NAMES, Spread, logged
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
                view, secret = _view(own, torn)
                assert refusal(partial(client.candidates, own, view, secret)) == "incomplete"


def test_whoever_shows_a_part_has_said_in_the_signed_log_that_it_was_whole(
    spread: Spread, logs: Work, torn: SearchRequest
) -> None:
    """The gate cannot see into another server: it opens for a lie, which names a result that nobody can ever show."""
    with logs(), servers.place("main") as own:
        [mine] = [one for one in trail.entries(own, torn.id) if one.type == "search:result:stored"]
        true = hashlib.sha256(storage.entry_body(own, mine.id)).hexdigest()
        for wrong in (
            {"shards": torn.shards[:1], "results": [true]},
            {"results": ["0" * 64] * 3},
            {"results": [true] * 2},
        ):
            _say(own, torn, **{"shards": torn.shards, **wrong})
            view, secret = _view(own, torn)
            assert refusal(partial(client.candidates, own, view, secret)) == "incomplete"
        lie = _say(own, torn, shards=torn.shards, results=[true, true, "0" * 64])
        view, secret = _view(own, torn)
        assert client.candidates(own, view, secret).candidates
        assert trail.find(own, torn.id, "search:result:merged", id=str(lie)) is not None


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
    assert request.state == "incomplete"
    assert "north has bound another face" in request.problem
    assert [logged(name, "search:result:stored", request) for name in ("main", *NAMES)] == [[], [], []]


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
