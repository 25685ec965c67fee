"""Parts of a spread gallery: defined on every server, named in the intent of each, and found as on one server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from core import approvers, database
from core.exceptions import Conflict, Unavailable
from core.models import JobState
from search import enrolment, measured, readings, sub_galleries, template_import
from search import shards as servers
from search.exceptions import SearchRefused
from search.gate import client, params
from search.models import Enrolment, Gallery
from tests.api_client import Api
from tests.search.spread import NAMES, Spread, away, logged
from tests.search.stage import PEOPLE, enrolled
from tests.search.test_sub_galleries import WASHINGTON, define
from tests.search.test_views_decisions import signed_in

pytestmark = pytest.mark.slow
Work = Callable[..., contextlib.AbstractContextManager[None]]
MANY = 40


@pytest.fixture
def parted(spread: Spread, tmp_path: Path) -> Spread:
    """Both galleries with the parts `washington` and `alone`, and imported templates that look like the first person."""
    Enrolment.objects.update(sealed_at=timezone.now())  # the world sealed its batches, and not these rows
    rng = np.random.default_rng(3)
    first = enrolled(PEOPLE[0])[3]
    noise = rng.standard_normal((MANY, first.size))
    like = first + 0.3 * rng.random((MANY, 1)) * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    file = tmp_path / "like.npz"
    np.savez(
        file,
        embeddings=(like / np.linalg.norm(like, axis=1, keepdims=True)).astype(np.float32),
        person_id=np.array([f"L{number}" for number in range(MANY)]),
        county=np.array(["Washington" if number % 3 else "Benton" for number in range(MANY)]),
        status=np.array(["alone" if number == 1 else "many" for number in range(MANY)]),
    )
    for gallery in (spread.gallery, spread.whole):
        define(spread.stage.cast, gallery)
        define(spread.stage.cast, gallery, "alone", ["status:alone"])
        for shard in servers.parts(gallery):
            run = template_import.start(
                by=spread.stage.cast.carl,
                gallery=gallery,
                embeddings=file,
                face_model=spread.stage.model,
                shard=shard,
                send=False,
            )
            assert enrolment.run_here(run).state == JobState.DONE
    return spread


def found(spread: Spread, gallery: Gallery, part: str) -> tuple[Any, list[tuple[int, str]]]:
    """A finished search with scores and references, in the order of both."""
    request = spread.request(gallery, k=50, sub_gallery=part)
    assert spread.stage.run(request) == "done"
    assert request.state == "done", request.problem
    rows = readings.open_candidates(by=spread.stage.cast.erin, request=request).candidates
    return request, sorted((-(one.score_milli or 0), one.photo.person_ref if one.photo else "") for one in rows)


def test_a_part_is_searched_on_three_servers_as_on_one(parted: Spread, logs: Work) -> None:
    inside = MANY - len(range(0, MANY, 3))
    with logs():
        _, on_one = found(parted, parted.whole, "washington")
        request, on_three = found(parted, parted.gallery, "washington")
        assert len(on_one) == inside
        assert on_three == on_one
        assert measured.gallery_size(request) == inside
        searched = 0
        for name in ("main", *NAMES):
            for type_ in ("search:intent:filed", "search:probe:bound", "search:result:stored"):
                [entry] = logged(name, type_, request)
                assert entry["sub_gallery"] == "washington"
            searched += entry["sub_templates"]
        assert searched == inside
        # Nobody of this one is on two of the servers, which are searched all the same.
        request, on_three = found(parted, parted.gallery, "alone")
        assert [reference for _, reference in on_three] == ["L1"]
        sizes = [logged(name, "search:result:stored", request)[0]["sub_templates"] for name in ("main", *NAMES)]
        assert sorted(sizes) == [0, 0, 1]
    page = signed_in(parted.stage.cast.olivia)
    assert f"washington ({inside} photos)" in page.get(reverse("search_new")).content.decode()
    listed = Api().as_(parted.stage.cast.carl).get(f"/galleries/{parted.gallery.pk}/")["sub_galleries"]
    assert {one["name"]: one["templates"] for one in listed} == {"alone": 1, "washington": inside}
    with away("south"):
        assert Api().as_(parted.stage.cast.carl).get(f"/galleries/{parted.gallery.pk}/")["sub_galleries"] == []
        assert page.get(reverse("gallery", args=[parted.gallery.pk])).status_code == 200
        assert page.get(reverse("search_new")).content.decode().count("washington (") == 1, "that of the other gallery"
        with pytest.raises(SearchRefused, match="south"):
            parted.stage.submitted(gallery="spread", sub_gallery="washington")


def test_a_part_is_offered_to_nobody_before_every_server_knows_it(spread: Spread) -> None:
    with away("south"), pytest.raises(Unavailable, match="south"):
        define(spread.stage.cast, spread.gallery)
    with servers.place("north") as own:
        assert [one.name for one in client.sub_galleries(own)] == ["washington"]
    assert client.sub_galleries(database.session()) == []
    with pytest.raises(SearchRefused, match="has no such sub-gallery"):
        spread.stage.submitted(gallery="spread", sub_gallery="washington")
    define(spread.stage.cast, spread.gallery)
    with pytest.raises(SearchRefused, match="Nobody is enrolled"):
        spread.stage.submitted(gallery="spread", sub_gallery="washington")
    with pytest.raises(Conflict, match="never changed"):
        define(spread.stage.cast, spread.gallery)
    with pytest.raises(Conflict, match="never changed"):
        define(spread.stage.cast, spread.gallery, matches=["county:benton"])


def test_a_name_that_means_something_else_on_one_server_is_searched_nowhere(spread: Spread) -> None:
    """Defined there past the application, with an approver who was talked into it."""
    with servers.place("north") as own:
        _define_at(spread, own, ["county:benton"])
    with pytest.raises(Conflict, match="never changed"):
        define(spread.stage.cast, spread.gallery)
    _define_at(spread, database.session(), WASHINGTON)
    with servers.place("south") as own:
        _define_at(spread, own, WASHINGTON)
    assert sub_galleries.of_gallery(spread.gallery) == []
    with pytest.raises(SearchRefused, match="has no such sub-gallery"):
        spread.stage.submitted(gallery="spread", sub_gallery="washington")


def _define_at(spread: Spread, own: Any, matches: list[str]) -> None:
    sam = spread.stage.cast.sam
    wanted = params.define_sub_gallery(gallery=spread.gallery.id, name="washington", matches=matches)
    proposal = client.propose(
        own,
        act="gallery:define_sub_gallery",
        params=wanted,
        approver=sam.id,
        secret=approvers.normalise(spread.secret(sam)),
    )
    client.define_sub_gallery(own, gallery=spread.gallery.id, name="washington", matches=matches, proposal=proposal)


def test_a_gate_binds_no_part_that_it_does_not_know_and_on_one_server_none_that_is_empty(
    spread: Spread, logs: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the intent lists servers a part may be empty on some; the list does not help a gallery that is on one server."""
    for gallery in (spread.gallery, spread.whole):
        define(spread.stage.cast, gallery)
    for name in ("nowhere", "washington"):
        request = _past_the_rules(spread, spread.gallery, name, monkeypatch)
        with logs():
            assert spread.stage.run(request) == "done"
        bound = [logged(server, "search:probe:bound", request) for server in ("main", *NAMES)]
        assert all(bound) if name == "washington" else not any(bound)
        request = _past_the_rules(spread, spread.whole, name, monkeypatch)
        with logs():
            spread.stage.run(request)
        assert (request.state, logged("main", "search:probe:bound", request)) == ("refused", [])


def _past_the_rules(spread: Spread, gallery: Gallery, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Requested by an application that does not ask what parts there are."""
    with monkeypatch.context() as patched:
        patched.setattr("search.gathering._sub_gallery", lambda *given: [])
        return spread.request(gallery, sub_gallery=name)
