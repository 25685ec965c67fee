"""Approvals by passkey: what the database checks of them, what only the signer can, and that no search runs on a wrong one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from audit.log.approval_proofs import Assertion, challenge
from search.gate import client, params
from tests.authenticator import Authenticator
from tests.enforcement.refusals import denied, refused
from tests.enforcement.world import Approver, Filed, World

Open = Callable[..., psycopg.Connection]


@pytest.fixture
def filed(world: World) -> Filed:
    return world.file(approve=False)


@pytest.fixture
def passkey(world: World) -> Authenticator:
    """Sam's."""
    return enrol(world, world.sam, Authenticator())


def call(connection: psycopg.Connection, function: str, *arguments: Any) -> None:
    with client.refusals():
        connection.execute(f"SELECT {function}({', '.join(['%s'] * len(arguments))})", list(arguments))


def enrol(world: World, who: Approver, key: Authenticator) -> Authenticator:
    call(world.registrar, "gate.enrol_passkey", who.id, key.credential, key.key, key.site)
    return key


def wanted(filed: Filed) -> bytes:
    return challenge(filed.request, filed.params)


def propose(world: World, filed: Filed, who: Approver | None = None) -> uuid.UUID:
    who = who or world.sam
    return client.propose(
        world.app, act=params.SEARCH_ACT, params=filed.params, approver=who.id, secret=who.secret, subject=filed.request
    )


def approve(world: World, filed: Filed, proof: Assertion) -> bool:
    return client.approve_by_passkey(world.app, propose(world, filed), proof)


def bind(world: World, filed: Filed) -> uuid.UUID:
    return client.bind(world.app, intent=filed.intent, probe=filed.probe, claim_secret=filed.claim_secret)


def test_a_proven_approval_lets_the_search_run_also_where_proof_is_demanded(
    world: World, filed: Filed, passkey: Authenticator
) -> None:
    world.set_policy("approval_passkey", 1)
    assert approve(world, filed, passkey.answer(wanted(filed)))
    world.sign()
    assert bind(world, filed)
    [entry] = world.logged("search:request:approved")
    assert entry["approval_proof"] == "passkey"
    assert entry["signature"]
    assert world.logged("gate:approval:disputed") == []


def test_where_proof_is_demanded_the_secret_alone_approves_nothing(world: World, filed: Filed) -> None:
    before = propose(world, filed)
    assert client.approve(world.app, before)
    world.set_policy("approval_passkey", 1)
    with refused("passkey"):
        client.approve(world.app, propose(world, filed))
    world.sign()
    with refused("approval"):
        bind(world, filed)
    world.set_policy("approval_passkey", 0)
    assert bind(world, filed)


def test_a_wrong_signature_is_disputed_before_it_is_covered_and_no_search_runs_on_it(
    world: World, filed: Filed, passkey: Authenticator
) -> None:
    assert approve(world, filed, passkey.with_wrong_signature(wanted(filed)))
    world.sign()
    [approval] = world.logged("search:request:approved")
    [dispute] = world.logged("gate:approval:disputed")
    assert dispute["approval"] == approval["id"]
    with refused("approval"):
        bind(world, filed)
    # The log goes on, and the approver may approve again.
    assert approve(world, filed, passkey.answer(wanted(filed)))
    world.sign()
    assert bind(world, filed)
    assert len(world.logged("gate:approval:disputed")) == 1


def test_the_database_refuses_what_was_signed_for_something_else(
    world: World, filed: Filed, passkey: Authenticator
) -> None:
    other = world.file(approve=False)
    right = passkey.answer(wanted(filed))
    wrong: dict[str, Assertion] = {
        "another request": passkey.answer(wanted(other)),
        "another site": passkey.answer(wanted(filed), site="evil.example.org"),
        "nobody there": passkey.answer(wanted(filed), flags=0x04),
        "nobody verified": passkey.answer(wanted(filed), flags=0x01),
        "an enrolment": passkey.answer(wanted(filed), type="webauthn.create"),
        "another passkey": Authenticator().answer(wanted(filed)),
        "client data that is no JSON": replace(right, client_data=b"\xff\0"),
        "client data that is no object": replace(right, client_data=b"[]"),
        "too long client data": replace(right, client_data=b" " * 1100),
        "short authenticator data": replace(right, authenticator_data=right.authenticator_data[:36]),
        "no signature": replace(right, signature=b""),
    }
    proposal = propose(world, filed)
    for what, proof in wrong.items():
        with refused("passkey"):
            client.approve_by_passkey(world.app, proposal, proof)
            pytest.fail(what)
    assert world.logged("search:request:approved") == []


def test_sues_passkey_proves_nothing_of_sam_and_a_revoked_one_nothing_at_all(
    world: World, filed: Filed, passkey: Authenticator
) -> None:
    sues = enrol(world, world.sue, Authenticator())
    with refused("passkey"):
        approve(world, filed, sues.answer(wanted(filed)))
    call(world.registrar, "gate.revoke_passkeys", world.sam.id)
    with refused("passkey"):
        approve(world, filed, passkey.answer(wanted(filed)))
    with refused("passkey"):
        call(world.registrar, "gate.revoke_passkeys", world.sam.id)
    with refused("passkey"):
        enrol(world, world.sam, passkey)


def test_a_passkey_without_the_secret_approves_nothing(world: World, filed: Filed, passkey: Authenticator) -> None:
    thief = replace_secret(world.sam)
    proposal = propose(world, filed, thief)
    assert not client.approve_by_passkey(world.app, proposal, passkey.answer(wanted(filed)))
    assert world.logged("search:request:approved") == []
    assert len(world.logged("gate:proposal:failed")) == 1


def replace_secret(who: Approver) -> Approver:
    return Approver(who.id, "guess")


def test_only_the_registrar_enrols_and_only_the_signer_disputes(
    world: World, mallory: psycopg.Connection, as_role: Open, passkey: Authenticator, filed: Filed
) -> None:
    key = Authenticator()
    statements: list[tuple[str, list[Any]]] = [
        ("SELECT gate.enrol_passkey(%s, %s, %s, %s)", [world.sam.id, key.credential, key.key, key.site]),
        ("SELECT gate.revoke_passkeys(%s)", [world.sam.id]),
        ("SELECT gate.dispute_approval(%s)", [uuid.uuid4()]),
        ("SELECT gate.settle_approval(%s, '{}')", [uuid.uuid4()]),
        ("SELECT * FROM gate.passkey", []),
        ("INSERT INTO gate.disputed (approval) VALUES (%s)", [uuid.uuid4()]),
        ("DELETE FROM gate.disputed", []),
    ]
    for statement, arguments in statements:
        with denied():
            mallory.execute(statement, arguments)
    signer = as_role("signer")
    assert client.approve(world.app, propose(world, filed))
    world.sign()
    [unproven] = world.logged("search:request:approved")
    for entry in (uuid.uuid4(), uuid.UUID(unproven["id"])):
        with refused("approval"):
            call(signer, "gate.dispute_approval", entry)
    for rule, approver, public in (
        ("approver", uuid.uuid4(), key.key),
        ("passkey", world.sam.id, b"\0" * 91),
        ("passkey", world.sam.id, key.key[:-1]),
    ):
        with refused(rule):
            call(world.registrar, "gate.enrol_passkey", approver, key.credential, public, key.site)


def test_the_entries_hold_no_more_than_their_public_part(world: World, passkey: Authenticator) -> None:
    [entry] = world.logged("gate:passkey:enrolled")
    assert passkey.credential.hex() not in json.dumps(entry)
    assert entry["site"] == passkey.site.hex()
