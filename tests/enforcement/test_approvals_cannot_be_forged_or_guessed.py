"""Approvals: what Mallory can do with the app role's password is be counted, logged and locked."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable

import psycopg
import pytest

from audit.log import entries
from search.gate import client, params
from search.gate.client import GateRefused
from tests.enforcement.refusals import denied, refused
from tests.enforcement.world import Filed, World

Open = Callable[..., psycopg.Connection]


@pytest.fixture
def filed(world: World) -> Filed:
    return world.file(approve=False)


def propose(connection: psycopg.Connection, world: World, filed: Filed, secret: str) -> uuid.UUID:
    return client.propose(
        connection,
        act=params.SEARCH_ACT,
        params=filed.params,
        approver=world.sam.id,
        secret=secret,
        subject=filed.request,
    )


def test_a_secret_cannot_be_guessed_under_rollback(world: World, filed: Filed, as_role: Open) -> None:
    """Proposing and answering in one transaction would tell whether the guess was right, and forget the question."""
    connection = as_role("app", autocommit=False)
    for secret in ("guess-1", world.sam.secret, "guess-2"):
        proposal = propose(connection, world, filed, secret)
        with refused("proposal"):
            client.approve(connection, proposal)
        connection.rollback()
    assert world.logged("search:request:approved") == []
    with refused("proposal"):
        client.approve(world.app, proposal)  # it was rolled back: it never existed


def test_a_savepoint_does_not_make_it_a_later_transaction(world: World, filed: Filed, as_role: Open) -> None:
    connection = as_role("app", autocommit=False)
    connection.execute("SELECT 1")  # the transaction begins here: what follows are savepoints in it
    with connection.transaction():
        proposal = propose(connection, world, filed, world.sam.secret)
    with refused("proposal"), connection.transaction():
        client.approve(connection, proposal)
    connection.rollback()


def test_a_right_guess_cannot_be_used_for_another_act_in_the_same_transaction(world: World, as_role: Open) -> None:
    connection = as_role("app", autocommit=False)
    values = params.register_edition(gallery=uuid.uuid4(), model="a" * 64, dimension=64)
    proposal = client.propose(
        connection, act="gallery:register_edition", params=values, approver=world.sam.id, secret=world.sam.secret
    )
    with refused("proposal"):
        client.register_edition(connection, proposal=proposal, **values)
    connection.rollback()


def test_five_wrong_or_unanswered_proposals_lock_the_approver_with_an_entry(
    world: World, filed: Filed, mallory: psycopg.Connection
) -> None:
    for number in range(5):
        proposal = propose(mallory, world, filed, f"guess-{number}")
        if number % 2:
            assert client.approve(mallory, proposal) is False
    with refused("locked"):
        propose(mallory, world, filed, world.sam.secret)
    assert client.approver_state(mallory, world.sam.id) == "locked"
    assert [entry["approver"] for entry in world.logged("gate:approver:locked")] == [str(world.sam.id)]
    assert len(world.logged("gate:proposal:made")) >= 5
    assert len(world.logged("gate:proposal:failed")) == 2
    with refused("locked"):
        propose(mallory, world, filed, world.sam.secret)
    with denied():
        mallory.execute("SELECT gate.unlock_approver(%s)", [world.sam.id])
    world.registrar.execute("SELECT gate.unlock_approver(%s)", [world.sam.id])
    assert client.approve(world.app, propose(world.app, world, filed, world.sam.secret)) is True
    assert world.logged("gate:approver:unlocked")


def test_a_lock_stops_proposals_that_wait_for_their_answer(
    world: World, filed: Filed, mallory: psycopg.Connection
) -> None:
    waiting = propose(mallory, world, filed, world.sam.secret)
    for number in range(4):
        propose(mallory, world, filed, f"guess-{number}")
    with refused("locked"):
        propose(mallory, world, filed, "guess")
    with refused("approver"):
        client.approve(mallory, waiting)


def test_the_answer_to_a_proposal_is_the_same_however_often_it_is_asked(
    world: World, filed: Filed, mallory: psycopg.Connection
) -> None:
    wrong, right = propose(mallory, world, filed, "guess"), propose(mallory, world, filed, world.sam.secret)
    assert [client.approve(mallory, wrong) for _ in range(3)] == [False] * 3
    assert [client.approve(mallory, right) for _ in range(3)] == [True] * 3
    assert len(world.logged("search:request:approved", filed.request)) == 1
    assert len(world.logged("gate:proposal:failed")) == 1


def test_an_approval_entry_cannot_be_written_by_the_app(
    world: World, filed: Filed, mallory: psycopg.Connection
) -> None:
    forged = entries.compose(
        "search:request:approved",
        request=filed.request,
        approver=world.sam.id,
        proposal=uuid.uuid4(),
        params=filed.params.hex(),
        approval_proof="none",
    )
    with pytest.raises(psycopg.Error) as caught:
        mallory.execute("SELECT log.append(%s)", [forged.body])
    assert caught.value.sqlstate == "GC403"
    with denied():
        mallory.execute(
            "SELECT log.append_as_gate('search:request:approved', %s)",
            [json.dumps({"request": str(filed.request)})],
        )
    with denied():
        mallory.execute(
            "INSERT INTO gate.approval VALUES (%s, %s, %s, %s)",
            [filed.request, world.sam.id, filed.params, uuid.uuid4()],
        )
    world.sign()
    with refused("approval"):
        world.bind(filed)


@pytest.mark.parametrize("table", ["approver", "proposal", "approval", "setting", "acceptance", "exemption"])
def test_nobody_but_its_owner_reads_or_writes_the_gates_memory(world: World, as_role: Open, table: str) -> None:
    for role in ("app", "reader", "sequencer", "signer", "registrar", "notifier", "witness_client"):
        connection = as_role(role)
        for statement in (f"SELECT * FROM gate.{table}", f"DELETE FROM gate.{table}", f"TRUNCATE gate.{table}"):
            with denied():
                connection.execute(statement)


def test_the_app_cannot_enrol_itself_as_an_approver(world: World, mallory: psycopg.Connection) -> None:
    with denied():
        mallory.execute(
            "SELECT gate.enrol_approver(%s, %s, %s, 'mallory@example.com')",
            [uuid.uuid4(), secrets.token_bytes(16), secrets.token_bytes(32)],
        )
    with denied():
        mallory.execute("SELECT gate.revoke_approver(%s)", [world.sam.id])
    with denied():
        mallory.execute("SELECT gate.approver_contact(%s)", [world.sam.id])


def test_a_revoked_approver_approves_nothing_even_what_was_proposed_before(
    world: World, filed: Filed, mallory: psycopg.Connection
) -> None:
    waiting = propose(mallory, world, filed, world.sam.secret)
    world.registrar.execute("SELECT gate.revoke_approver(%s)", [world.sam.id])
    with refused("approver"):
        client.approve(mallory, waiting)
    with refused("approver"):
        propose(mallory, world, filed, world.sam.secret)
    assert world.logged("gate:approver:revoked")


def test_a_proposal_of_before_a_new_secret_does_not_count(
    world: World, filed: Filed, mallory: psycopg.Connection
) -> None:
    waiting = propose(mallory, world, filed, "what the next secret might be")
    salt = secrets.token_bytes(16)
    world.registrar.execute(
        "SELECT gate.enrol_approver(%s, %s, sha256(%s || convert_to('new', 'UTF8')), 'sam@agency.example')",
        [world.sam.id, salt, salt],
    )
    with refused("approver"):
        client.approve(mallory, waiting)


def test_somebody_who_is_no_approver_cannot_be_proposed(
    world: World, filed: Filed, mallory: psycopg.Connection
) -> None:
    with refused("approver"):
        client.propose(
            mallory,
            act=params.SEARCH_ACT,
            params=filed.params,
            approver=uuid.uuid4(),
            secret="x",
            subject=filed.request,
        )


def test_an_approval_of_one_act_does_not_serve_another(world: World) -> None:
    person = world.rows[0][1]
    [proposal] = world.propose("gallery:remove", params.expunge(person=person), world.sam)
    with refused("proposal"):
        client.expunge(world.app, person=person, proposal=proposal)
    [other] = world.propose("gallery:expunge", params.expunge(person=world.rows[1][1]), world.sam)
    with refused("proposal"):
        client.expunge(world.app, person=person, proposal=other)
    with refused("proposal"):
        client.approve(world.app, other)
    assert world.logged("gallery:person:expunged") == []


def test_an_approval_is_used_once(world: World) -> None:
    [proposal] = world.propose("gallery:expunge", params.expunge(person=world.rows[0][1]), world.sam)
    assert client.expunge(world.app, person=world.rows[0][1], proposal=proposal) == 1
    with refused("proposal"):
        client.expunge(world.app, person=world.rows[0][1], proposal=proposal)


def test_a_wrong_secret_for_another_act_is_refused_and_stays_counted(world: World) -> None:
    values = params.expunge(person=world.rows[0][1])
    for _ in range(5):
        proposal = client.propose(
            world.app, act="gallery:expunge", params=values, approver=world.sue.id, secret="wrong"
        )
        with refused("secret"):
            client.expunge(world.app, person=world.rows[0][1], proposal=proposal)
    with refused("locked"):
        client.propose(world.app, act="gallery:expunge", params=values, approver=world.sue.id, secret=world.sue.secret)


def test_a_threshold_needs_two_approvers_and_a_sensible_value(world: World) -> None:
    values = {
        "model": world.model,
        "report": "b" * 64,
        "verdict": "met",
        "policy": "demo",
        "threshold": 1,
        "expires": world.file().fields["expires"],
    }
    one = world.propose("gate:adopt_evaluation", params.adopt_evaluation(**values), world.sam)
    before = client.acceptance(world.app, world.model)
    with pytest.raises(GateRefused):
        client.adopt_evaluation(world.app, proposals=one, **values)
    for change in ({"threshold": 0}, {"threshold": 1_000_001}, {"expires": 5}, {"verdict": "fine"}):
        wrong = values | change
        both = world.propose("gate:adopt_evaluation", params.adopt_evaluation(**wrong), world.sam, world.sue)
        with pytest.raises(GateRefused):
            client.adopt_evaluation(world.app, proposals=both, **wrong)
    assert client.acceptance(world.app, world.model) == before
