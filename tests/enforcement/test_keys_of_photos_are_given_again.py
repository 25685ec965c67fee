"""Re-embedding: who holds the app role's password draws no photo key without two approvals, a receipt, a claim and an entry."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from search.gate import client, params
from tests.enforcement.again import Again
from tests.enforcement.refusals import denied, refused
from tests.enforcement.world import PEOPLE, Approver, World, digest

Open = Callable[..., psycopg.Connection]


@pytest.fixture
def again(world: World) -> Again:
    target = world.new_edition(world.gallery, secrets.token_hex(32), 64)
    halves = {template: secrets.token_bytes(32) for template, _, _ in world.rows[:20]}
    for template, half in halves.items():
        world.app.execute("INSERT INTO gallery.photo_half VALUES (%s, %s, %s)", [world.edition, template, half])
    return Again(world, target, halves)


def some(again: Again, *numbers: int) -> list[uuid.UUID]:
    return [again.world.rows[number][0] for number in numbers]


def switch_to(again: Again, edition: int, missing: int) -> None:
    world = again.world
    asked = params.switch_edition(gallery=world.gallery, edition=edition, missing=missing)
    [proposal] = world.propose("gallery:switch_edition", asked, world.sam)
    client.switch_edition(world.app, gallery=world.gallery, edition=edition, missing=missing, proposal=proposal)


def enrol_one_more(again: Again) -> uuid.UUID:
    """One more template in the edition that is read again; returns its id."""
    world, secret = again.world, secrets.token_bytes(32)
    batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    rows = [(uuid.uuid4(), uuid.uuid4(), world.faces[0])]
    world.insert(batch, rows)
    client.seal_batch(world.app, edition=world.edition, batch=batch, secret=secret, templates=1, digest=digest(rows))
    return rows[0][0]


def test_the_holder_of_the_claim_gets_exactly_what_was_announced_and_each_slice_is_an_entry(again: Again) -> None:
    again.open()
    again.world.sign()
    wanted = some(again, 0, 1, 2)
    assert again.drawn(wanted) == {template: again.halves[template] for template in wanted}
    [opened] = again.world.logged("gallery:reembedding:opened")
    assert opened["approvers"] == [str(again.world.sam.id), str(again.world.sue.id)]
    [drawn] = again.world.logged("gallery:reembedding:drawn")
    text = ",".join(sorted(map(str, wanted)))
    assert (drawn["templates"], drawn["digest"]) == (3, hashlib.sha256(text.encode()).hexdigest())


def test_nothing_is_opened_without_two_different_approvers_of_exactly_this(again: Again) -> None:
    world = again.world
    with refused("proposals"):
        again.open(again.proposals()[:1])
    one = again.proposals()[0]
    with refused("proposal"):
        again.open([one, one])
    asked = params.open_reembedding(**again.asked())
    with refused("approvers"):
        again.open(world.propose("gallery:open_reembedding", asked, world.sam, world.sam))
    assert not world.logged("gallery:reembedding:opened")


def test_an_approval_is_for_this_claim_and_direction_and_for_one_time(again: Again) -> None:
    world = again.world
    with refused("proposal"):
        again.open(again.proposals(claim=secrets.token_bytes(32)))
    with refused("proposal"):
        again.open(again.proposals(source=again.target, target=world.edition))
    two = again.proposals()
    again.open(two)
    client.discard_batch(world.app, again.target, again.batch, again.secret)
    with refused("proposal"):
        again.open(two)
    assert len(world.logged("gallery:reembedding:opened")) == 1


def test_it_goes_into_another_edition_of_the_same_gallery_only(again: Again) -> None:
    world = again.world
    elsewhere = world.new_edition(uuid.uuid4(), secrets.token_hex(32))
    for changes in (
        {"target": elsewhere},
        {"source": elsewhere},
        {"target": world.edition},
        {"target": 9999},
        {"gallery": uuid.uuid4()},
    ):
        with refused("edition"):
            again.open(**changes)


def test_no_receipt_no_photo(again: Again) -> None:
    again.open()
    with refused("receipt"):
        again.announce(some(again, 0))
    again.world.sign()
    slice_ = again.announce(some(again, 0))
    with refused("slice"):  # not in the tree yet
        client.slice_halves(again.world.app, slice_, again.secret)
    again.world.sign()
    assert client.slice_halves(again.world.app, slice_, again.secret)


def test_what_is_rolled_back_gives_nothing(again: Again, as_role: Open) -> None:
    again.open()
    again.world.sign()
    before = again.world.count()
    mallory = as_role("app", autocommit=False)
    slice_ = again.announce(some(again, 0), mallory)
    with refused("slice"):
        client.slice_halves(mallory, slice_, again.secret)
    mallory.rollback()
    again.world.sign()
    with refused("slice"):
        client.slice_halves(again.world.app, slice_, again.secret)
    assert again.world.count() == before
    assert again.drawn(some(again, 0))


def test_who_has_no_claim_gets_nothing(again: Again, mallory: psycopg.Connection) -> None:
    again.open()
    again.world.sign()
    for guess in (b"x", again.claim, secrets.token_bytes(32)):
        with refused("claim"):
            again.announce(some(again, 0), mallory, guess)
    slice_ = again.announce(some(again, 0))
    again.world.sign()
    for guess in (b"x", again.claim, secrets.token_bytes(32)):
        with refused("claim"):
            client.slice_halves(mallory, slice_, guess)
    for statement in (
        "SELECT * FROM gallery.drawn",
        "SELECT * FROM gallery.origin",
        "SELECT * FROM gallery.reembedding",
    ):
        with denied():
            mallory.execute(statement)
    with denied():
        mallory.execute("SELECT gallery.is_enrolled(1, gen_random_uuid())")


def test_an_ordinary_enrolment_draws_no_keys(again: Again) -> None:
    again.batch = client.open_batch(again.world.app, again.target, again.claim)
    again.world.sign()
    with refused("reembedding"):
        again.announce(some(again, 0))


def test_no_photo_is_announced_twice_and_none_that_is_not_there(again: Again) -> None:
    again.open()
    again.world.sign()
    again.drawn(some(again, 0, 1))
    with refused("drawn"):
        again.announce(some(again, 1, 2))
    with refused("template"):
        again.announce([*some(again, 3), uuid.uuid4()])
    with refused("slice"):
        again.announce([])
    with refused("slice"):
        again.announce([uuid.uuid4() for _ in range(501)])
    assert set(again.drawn(some(again, 2))) == set(some(again, 2))


def test_nothing_is_given_after_the_batch_was_sealed_or_discarded(again: Again) -> None:
    again.open()
    again.world.sign()
    slice_ = again.announce(some(again, 0))
    again.world.sign()
    again.seal(again.store([0]))
    with refused("claim"):
        client.slice_halves(again.world.app, slice_, again.secret)
    with refused("claim"):
        again.announce(some(again, 1))


def test_who_is_expunged_or_removed_is_not_among_the_halves_and_not_sealed(again: Again) -> None:
    world = again.world
    again.open()
    world.sign()
    slice_ = again.announce(some(again, 0, 1, 2))
    world.sign()
    rows = again.store([0, 1, 2])
    [proposal] = world.propose("gallery:expunge", params.expunge(person=world.rows[0][1]), world.sam)
    client.expunge(world.app, person=world.rows[0][1], proposal=proposal)
    chosen = some(again, 1)
    [proposal] = world.propose("gallery:remove", params.remove(edition=world.edition, templates=chosen), world.sam)
    client.remove(world.app, edition=world.edition, templates=chosen, proposal=proposal)
    assert set(client.slice_halves(world.app, slice_, again.secret)) == set(some(again, 2))
    with refused("template"):
        again.announce(some(again, 0, 3))
    with refused("digest"):
        again.seal(rows)
    again.seal(rows[2:])


def remove(
    again: Again, connection: psycopg.Connection, by: Approver, *pairs: tuple[int, uuid.UUID], first: str = ""
) -> None:
    """Remove each template from its edition, approved by one approver, in one transaction that begins with `first`."""
    asked = [{"edition": edition, "templates": [template]} for edition, template in pairs]
    approved = [again.world.propose("gallery:remove", params.remove(**one), by)[0] for one in asked]
    with client.refusals(), connection.transaction():
        if first:
            connection.execute(first)
        for one, proposal in zip(asked, approved, strict=True):
            client.remove(connection, **one, proposal=proposal)


def found(superuser: psycopg.Connection, *pairs: tuple[int, uuid.UUID]) -> list[bool]:
    """Whether each of these templates of an edition is still enrolled."""
    rows = (superuser.execute("SELECT gallery.is_enrolled(%s, %s)", pair).fetchone() for pair in pairs)
    return [row == (True,) for row in rows]


def test_nobody_is_removed_in_one_edition_and_found_in_another(
    again: Again, mallory: psycopg.Connection, as_superuser: psycopg.Connection
) -> None:
    world = again.world
    again.open()
    world.sign()
    again.drawn(some(again, 0, 1, 2))
    rows = again.store([0, 1])
    again.seal(rows)
    old, new = ((world.edition, world.rows[0][0]), (again.target, rows[0][0]))
    for alone in (old, new):
        with refused("copies"):
            remove(again, mallory, world.sam, alone)
    # Whatever Mallory puts around it: it is looked at when the transaction ends.
    for trick in ("SET CONSTRAINTS ALL DEFERRED", "SAVEPOINT early", "SET LOCAL search_path = pg_temp, gallery"):
        with refused("copies"):
            remove(again, mallory, world.sue, old, first=trick)
    for statement in ("SET session_replication_role = replica", "ALTER TABLE gallery.removed DISABLE TRIGGER ALL"):
        with denied():
            mallory.execute(statement)
    assert found(as_superuser, old, new) == [True, True]
    assert not world.logged("gallery:template:removed")
    remove(again, mallory, world.sam, old, new)
    assert found(as_superuser, old, new) == [False, False]
    # One that was drawn and not read again has no copy.
    remove(again, mallory, world.sam, (world.edition, world.rows[2][0]))
    assert [entry["edition"] for entry in world.logged("gallery:template:removed")] == [old[0], new[0], old[0]]
    assert found(as_superuser, (world.edition, world.rows[1][0]), (again.target, rows[1][0])) == [True, True]


@pytest.mark.parametrize("wrong", ["another person", "no origin", "not drawn", "twice"])
def test_what_is_sealed_is_one_template_for_each_photo_that_was_drawn(again: Again, wrong: str) -> None:
    again.open()
    again.world.sign()
    again.drawn(some(again, 0, 1))
    rows = again.store([0])
    if wrong == "another person":
        rows += again.store([1], person=uuid.uuid4())
    elif wrong == "no origin":
        rows += again.store([1], origin=False)
    elif wrong == "not drawn":
        rows += again.store([2])
    else:
        rows += again.store([0])
    with refused("origin"):
        again.seal(rows)


def test_a_switch_says_how_many_people_are_missing_and_a_bound_search_stays_with_its_edition(again: Again) -> None:
    world = again.world
    again.open()
    world.sign()
    again.drawn(some(again, 7))
    asked = {"gallery": world.gallery, "edition": again.target}

    def switch(missing: int) -> None:
        switch_to(again, again.target, missing)

    with refused("batch"):
        switch(300)
    again.seal(again.store([7]))
    with refused("missing"):
        switch(0)
    bound = world.bound(world.faces[7])
    late = world.file(world.faces[7])
    world.sign()
    assert client.people_missing(world.app, **asked) == 299
    switch(299)
    world.execute(world.app, bound)
    world.sign()
    found = world.candidates(world.app, world.view(bound.request)).candidates
    assert [candidate.template for candidate in found] == some(again, 7)
    with refused("edition"):
        world.bind(late)
    [entry] = world.logged("gallery:edition:switched")
    assert entry["missing"] == 299


def test_no_switch_while_somebody_is_being_enrolled_on_either_side(again: Again) -> None:
    world = again.world
    for edition in (world.edition, again.target):
        batch = client.open_batch(world.app, edition, again.claim)
        with refused("batch"):
            switch_to(again, again.target, PEOPLE)
        client.discard_batch(world.app, edition, batch, again.secret)
    switch_to(again, again.target, PEOPLE)


def test_nobody_is_enrolled_in_an_edition_that_is_not_searched_any_more(again: Again) -> None:
    world = again.world
    other = world.new_edition(world.gallery, secrets.token_hex(32))
    switch_to(again, again.target, PEOPLE)
    with refused("retired"):
        client.open_batch(world.app, world.edition, again.claim)
    client.open_batch(world.app, other, again.claim)  # made to be switched to later
    client.open_batch(world.app, again.target, secrets.token_bytes(32))
    with refused("batch"):
        switch_to(again, world.edition, 0)


def test_who_switches_back_can_enrol_there_again(again: Again) -> None:
    switch_to(again, again.target, PEOPLE)
    switch_to(again, again.world.edition, 0)
    assert client.open_batch(again.world.app, again.world.edition, again.claim)
    with refused("retired"):
        client.open_batch(again.world.app, again.target, secrets.token_bytes(32))


def test_what_two_people_approved_is_the_edition_as_it_was(again: Again) -> None:
    proposals = again.proposals()
    asked = again.asked()
    late = enrol_one_more(again)
    for changes in ({}, {"version": 2}, {"templates": PEOPLE + 1}):
        with refused("proposal"):
            client.open_reembedding(again.world.app, **{**again.asked(), **changes}, proposals=proposals[:1] * 2)
    with refused("version"):
        client.open_reembedding(again.world.app, **asked, proposals=proposals)
    with refused("version"):
        again.open(templates=PEOPLE)
    again.open()
    again.world.sign()
    assert again.announce([late])
    [opened] = again.world.logged("gallery:reembedding:opened")
    assert (opened["version"], opened["templates"]) == (2, PEOPLE + 1)
    assert 29 < (opened["expires"] / 1000 - time.time()) / 86400 < 31


def test_a_photo_that_was_enrolled_after_the_approval_is_not_read(again: Again) -> None:
    again.open()
    again.world.sign()
    late = enrol_one_more(again)
    for templates in ([late], [*some(again, 0), late]):
        with refused("template"):
            again.announce(templates)
    assert again.drawn(some(again, 0))


def test_after_its_time_no_key_is_given(again: Again, as_superuser: psycopg.Connection) -> None:
    again.open()
    again.world.sign()
    slice_ = again.announce(some(again, 0))
    again.world.sign()
    as_superuser.execute("UPDATE gallery.reembedding SET expires = clock_timestamp() - interval '1 second'")
    with refused("expired"):
        again.announce(some(again, 1))
    with refused("expired"):
        client.slice_halves(again.world.app, slice_, again.secret)


def test_sealing_locks_editions_in_the_order_of_everybody_else(
    again: Again, as_role: Open, as_superuser: psycopg.Connection
) -> None:
    again.open()
    again.world.sign()
    again.drawn(some(again, 0))
    rows = again.store([0])
    other = as_role("app", autocommit=False)
    first, second = sorted((again.world.edition, again.target))
    assert first == again.world.edition
    chosen = some(again, 5)
    [proposal] = again.world.propose("gallery:remove", params.remove(edition=first, templates=chosen), again.world.sam)
    client.remove(other, edition=first, templates=chosen, proposal=proposal)
    with ThreadPoolExecutor(1) as threads:
        sealing = threads.submit(again.seal, rows)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"
        while as_superuser.execute(waiting, [again.world.app.info.backend_pid]).fetchone() == (0,):
            assert not sealing.done()
            time.sleep(0.01)
        with as_superuser.transaction():
            as_superuser.execute("SELECT FROM gallery.edition WHERE edition = %s FOR UPDATE NOWAIT", [second])
        other.commit()
        assert sealing.result() == 1


def test_a_source_is_noted_for_the_templates_of_an_open_reembedding_only(
    again: Again, mallory: psycopg.Connection, as_superuser: psycopg.Connection
) -> None:
    world = again.world
    noted = "INSERT INTO gallery.origin VALUES (%s, %s, %s)"
    foreign = [
        (world.edition, world.rows[0][0]),  # sealed, and no re-embedding
        (world.edition, uuid.uuid4()),
        (again.target, uuid.uuid4()),
        (9999, uuid.uuid4()),
    ]
    for edition, template in foreign:
        with refused("origin"), client.refusals():
            mallory.execute(noted, [edition, template, world.rows[1][0]])
    again.batch = client.open_batch(world.app, again.target, again.claim)
    with refused("origin"), client.refusals():
        again.store([0])  # an ordinary enrolment
    client.discard_batch(world.app, again.target, again.batch, again.secret)
    again.open()
    world.sign()
    again.drawn(some(again, 0))
    rows = again.store([0])
    again.seal(rows)
    with refused("origin"), client.refusals():  # sealed meanwhile; somebody made room for it
        as_superuser.execute("DELETE FROM gallery.origin")
        mallory.execute(noted, [again.target, rows[0][0], world.rows[1][0]])
    assert as_superuser.execute("SELECT count(*) FROM gallery.origin").fetchone() == (0,)
