"""Sub-galleries behind the gate: exactly those templates, exactly the part that was approved, whatever Mallory tries."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pgvector import HalfVector

from audit.log.entries import params_digest
from search.gate import client, params
from search.gate.client import GateRefused
from tests.enforcement.own_gallery import OwnGallery, Row, rows_of
from tests.enforcement.refusals import refused
from tests.enforcement.world import World, unit

Open = Callable[..., psycopg.Connection]
DIMENSION = 16


def vectors_of(count: int, seed: int) -> np.ndarray:
    """Unit vectors, some of them the same: scores that tie."""
    rng = np.random.default_rng(seed)
    found = np.stack([unit(row) for row in rng.standard_normal((count, DIMENSION))])
    found[rng.integers(0, count, count // 4)] = found[0]
    return found


def brute_force(
    rows: list[Row], vectors: np.ndarray, probe: np.ndarray, marks: int | None, threshold: int, k: int
) -> list[tuple[uuid.UUID, int]]:
    """Every row of the sub-gallery in float64, best first, ties by id; vectors and probe as halfvec rounds them."""
    exact = vectors.astype(np.float16).astype(np.float64) @ probe.astype(np.float16).astype(np.float64)
    scores = np.round(exact * 1_000_000).astype(int)
    found = [
        (row.template, int(score))
        for row, score in zip(rows, scores, strict=True)
        if score >= threshold and (marks is None or row.marks & marks)
    ]
    return sorted(found, key=lambda one: (-one[1], one[0]))[:k]


@given(
    count=st.integers(4, 60), seed=st.integers(0, 2**32 - 1), k=st.integers(1, 40),
    threshold=st.integers(-900_000, 900_000), marks=st.none() | st.integers(0, 7),
)  # fmt: skip
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_scan_gives_what_brute_force_gives_in_any_gallery(
    world: World,
    as_superuser: psycopg.Connection,
    count: int,
    seed: int,
    k: int,
    threshold: int,
    marks: int | None,
) -> None:
    own = OwnGallery(world, DIMENSION)
    assert sum(own.define(name, f"part:{name}") for name in ("first", "second", "third")) == 7
    vectors = vectors_of(count, seed)
    rng = np.random.default_rng(seed + 1)
    rows = rows_of(vectors, rng.integers(0, 8, count))
    split = count // 2
    own.enrol(rows[:split])
    discarded, secret = own.open()
    own.copy(world.app, discarded, rows_of(vectors[:2], np.array([7, 7])))
    client.discard_batch(world.app, own.edition, discarded, secret)
    own.enrol(rows[split:])
    own.copy(world.app, own.open()[0], rows_of(vectors[:3], np.array([7, 7, 7])))  # open: nobody finds these
    probe = unit(rng.standard_normal(DIMENSION))
    found = as_superuser.execute(
        "SELECT template, score FROM gallery.scan(%s, %s, %s, %s::halfvec, %s, %s, %s)",
        [own.edition, [1, 3], 2, HalfVector(probe).to_text(), threshold, k, marks],
    ).fetchall()
    wanted = brute_force(rows, vectors, probe, marks, -2_000_000, count)
    exact = dict(wanted)
    # The database sums in float32: a score may differ by a millionth or two, and rows that close may change places.
    assert all(abs(exact[template] - score) <= 2 for template, score in found)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all(score >= threshold for _, score in found)
    assert [t for t, s in found] == [t for t, s in sorted(found, key=lambda one: (-one[1], one[0]))]
    sure = [template for template, score in wanted if score >= threshold + 3][:k]
    possible = [template for template, score in wanted if score >= threshold - 3]
    assert {template for template, _ in found} <= set(possible)
    assert len(found) == k or set(sure) <= {template for template, _ in found}


def test_a_mark_without_a_name_is_not_sealed_so_that_no_later_name_finds_it(world: World) -> None:
    own = OwnGallery(world, DIMENSION)
    for mark in (1, 2, 2**62):
        rows = rows_of(vectors_of(4, 8), np.array([0, 0, 0, mark]))
        batch, secret = own.open()
        own.copy(world.app, batch, rows)
        with refused("marks"):
            own.seal(batch, secret, rows)
        client.discard_batch(world.app, own.edition, batch, secret)
    assert own.define("first", "part:first") == 1
    own.enrol(rows_of(vectors_of(4, 8), np.array([0, 1, 0, 1])))


@pytest.fixture
def county(world: World) -> tuple[OwnGallery, list[Row], np.ndarray, int]:
    """Twelve people, every third of them from Washington; each probe is a person's own vector."""
    own = OwnGallery(world, DIMENSION)
    mark = own.define("washington", "county:washington")
    vectors = np.stack([unit(row) for row in np.random.default_rng(5).standard_normal((12, DIMENSION))])
    rows = rows_of(vectors, np.array([mark if number % 3 == 0 else 0 for number in range(12)]))
    own.enrol(rows)
    return own, rows, vectors, mark


def test_a_search_of_a_sub_gallery_finds_its_people_and_nobody_else_and_says_how_many_they_are(
    county: tuple[OwnGallery, list[Row], np.ndarray, int],
) -> None:
    own, rows, vectors, _ = county
    inside = own.bound(vectors[3], sub_gallery="washington")
    assert [template for template, _ in own.found(inside)] == [rows[3].template]
    outside = own.bound(vectors[4], sub_gallery="washington")
    assert rows[4].template not in [template for template, _ in own.found(outside)]
    everybody = own.bound(vectors[4])
    assert rows[4].template in [template for template, _ in own.found(everybody)]
    for type_ in ("search:probe:bound", "search:result:stored"):
        [entry] = own.world.logged(type_, inside.request)
        assert (entry["sub_gallery"], entry["sub_templates"]) == ("washington", 4)
        [entry] = own.world.logged(type_, everybody.request)
        assert not {"sub_gallery", "sub_templates"} & entry.keys()
    [entry] = own.world.logged("search:result:stored", inside.request)
    assert entry["templates"] == 12


def test_a_replay_searches_the_same_part(county: tuple[OwnGallery, list[Row], np.ndarray, int]) -> None:
    own, _, vectors, _ = county
    filed = own.bound(vectors[4], sub_gallery="washington", threshold=400_000)
    own.found(filed)
    [proposal] = own.world.propose("gate:replay", params.replay(request=filed.request), own.world.sam)
    client.replay(own.world.app, filed.request, proposal)
    [entry] = own.world.logged("search:result:replayed", filed.request)
    assert entry["comparison"] == "same"


def test_the_size_follows_removals_expungements_and_further_batches(
    county: tuple[OwnGallery, list[Row], np.ndarray, int],
) -> None:
    own, rows, vectors, mark = county
    app = own.world.app

    def size() -> int:
        return next(one.templates for one in client.sub_galleries(app) if one.edition == own.edition)

    assert size() == 4
    values = params.remove(edition=own.edition, templates=[rows[0].template])
    [proposal] = own.world.propose("gallery:remove", values, own.world.sam)
    client.remove(app, edition=own.edition, templates=[rows[0].template], proposal=proposal)
    assert size() == 3
    [proposal] = own.world.propose("gallery:expunge", params.expunge(person=rows[3].person), own.world.sam)
    client.expunge(app, person=rows[3].person, proposal=proposal)
    assert size() == 2
    own.enrol(rows_of(vectors[:3], np.array([mark, mark, 0])))
    assert size() == 4


# What Mallory tries


def test_another_part_than_the_approved_one_is_not_searched(
    county: tuple[OwnGallery, list[Row], np.ndarray, int],
) -> None:
    own, _, vectors, _ = county
    own.define("benton", "county:benton")
    values = {"gallery": own.gallery, "edition": own.edition, "model": own.model}
    for approved, wanted in (("washington", "benton"), ("washington", None), (None, "washington")):
        fields = values | ({"sub_gallery": approved} if approved else {})
        filed = own.world.file(vectors[0], **fields)
        body = own.world.logged("search:intent:filed", filed.request)[0]
        body.pop("sub_gallery", None)
        if wanted:
            body["sub_gallery"] = wanted
        # A second intent for the same request, with the approval's digest and another part.
        body["id"] = str(uuid.uuid4())
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        own.world.app.execute("SELECT log.append(%s)", [text.encode()])
        own.world.sign()
        with refused("params"):
            client.bind(own.world.app, intent=uuid.UUID(body["id"]), probe=vectors[0], claim_secret=filed.claim_secret)


@pytest.mark.parametrize("name", ["nowhere", "washington2", "empty"])
def test_a_part_that_does_not_exist_or_holds_nobody_is_not_bound(
    county: tuple[OwnGallery, list[Row], np.ndarray, int], name: str
) -> None:
    own, _, vectors, _ = county
    own.define("empty", "county:nowhere")
    filed = own.world.file(vectors[0], gallery=own.gallery, edition=own.edition, model=own.model, sub_gallery=name)
    own.world.sign()
    with refused("sub_gallery"):
        own.world.bind(filed)


def test_the_part_of_another_gallery_is_not_bound(county: tuple[OwnGallery, list[Row], np.ndarray, int]) -> None:
    own, _, _, _ = county
    filed = own.world.file(sub_gallery="washington")
    own.world.sign()
    with refused("sub_gallery"):
        own.world.bind(filed)


@pytest.mark.parametrize("tampered", [0, 2, 1 << 62, -1])
def test_a_mark_that_was_changed_in_an_open_batch_keeps_it_from_being_sealed(
    county: tuple[OwnGallery, list[Row], np.ndarray, int], as_role: Open, tampered: int
) -> None:
    own, _, vectors, mark = county
    mine = rows_of(vectors[:1], np.array([mark]))
    batch, secret = own.open()
    # Mallory is first with the worker's row: the same template, another mark.
    changed = [Row(mine[0].template, mine[0].person, mine[0].halves, tampered)]
    own.copy(as_role("app"), batch, changed)
    with refused("digest"):
        own.seal(batch, secret, mine)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gallery.template SET marks = 1",
        "SELECT marks FROM gallery.template",
        "SELECT * FROM gallery.sub_gallery",
        "INSERT INTO gallery.sub_gallery VALUES (gen_random_uuid(), 'mine', 5, '{a:b}')",
        "UPDATE gallery.sub_gallery SET matches = '{county:benton}'",
        "DELETE FROM gallery.sub_gallery_size",
        "SELECT * FROM gallery.sub_gallery_of(1, 1, 'washington')",
        "SELECT * FROM gate.sub_gallery_of(gen_random_uuid(), 1, 1)",
    ],
)
def test_marks_and_definitions_are_out_of_reach(
    county: tuple[OwnGallery, list[Row], np.ndarray, int], as_role: Open, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role("app").execute(statement)


def test_a_definition_needs_an_approval_for_exactly_these_words(world: World) -> None:
    own = OwnGallery(world, DIMENSION)
    wanted = params.define_sub_gallery(gallery=own.gallery, name="washington", matches=["county:washington"])
    for name, matches in (("benton", ["county:washington"]), ("washington", ["county:benton"])):
        [proposal] = world.propose("gallery:define_sub_gallery", wanted, world.sam)
        with refused("proposal"):
            client.define_sub_gallery(world.app, gallery=own.gallery, name=name, matches=matches, proposal=proposal)
    assert not [one for one in client.sub_galleries(world.app) if one.gallery == own.gallery]


def test_what_a_name_means_is_never_changed(county: tuple[OwnGallery, list[Row], np.ndarray, int]) -> None:
    own, _, _, _ = county
    with refused("sub_gallery"):
        own.define("washington", "county:benton")


def test_nothing_is_defined_while_a_batch_is_open(county: tuple[OwnGallery, list[Row], np.ndarray, int]) -> None:
    own, _, _, _ = county
    batch, secret = own.open()
    with refused("batch"):
        own.define("benton", "county:benton")
    client.discard_batch(own.world.app, own.edition, batch, secret)
    assert own.define("benton", "county:benton") == 2


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("Big", ["a:b"]),
        ("", ["a:b"]),
        ("x" * 61, ["a:b"]),
        ("a", []),
        ("a", ["b"]),
        ("a", ["a:B"]),
        ("a", ["a:b"] * 65),
    ],
)
def test_a_definition_that_cannot_stand_in_the_log_is_refused(world: World, name: str, matches: list[str]) -> None:
    own = OwnGallery(world, DIMENSION)
    with pytest.raises(GateRefused):
        own.define(name, *matches)


def test_an_intent_without_a_part_keeps_the_digest_that_it_had(world: World) -> None:
    filed = world.file()
    [entry] = world.logged("search:intent:filed", filed.request)
    names = (
        *("request", "requester", "gallery", "edition", "model", "threshold", "k", "purpose", "emergency", "claim"),
        "expires",
    )
    before: dict[str, Any] = {name: filed.fields[name] for name in names}
    before |= {name: entry["c"][name] for name in ("photo", "box")}
    assert params_digest(before) == filed.params
    world.sign()
    world.bind(filed)
