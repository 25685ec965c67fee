"""What gate.bind asks for: an intent in the signed log, its claim, an approval for exactly this, a current evaluation."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest

from audit.log import entries, sequencer
from search.gate import client, params
from search.gate.client import GateRefused
from tests.enforcement.refusals import refused
from tests.enforcement.world import THRESHOLD, World

Open = Callable[..., psycopg.Connection]


def nothing_bound(world: World) -> bool:
    return world.logged("search:probe:bound") == []


def test_no_receipt_no_search(world: World) -> None:
    filed = world.file()
    with refused("receipt"):
        world.bind(filed)
    sequencer.step(world.sequencer)  # in the tree, but under no signed checkpoint
    with refused("receipt"):
        world.bind(filed)
    assert nothing_bound(world)


def test_an_intent_that_does_not_exist_binds_nothing(world: World, mallory: psycopg.Connection) -> None:
    with refused("receipt"):
        client.bind(mallory, intent=uuid.uuid4(), probe=world.faces[0], claim_secret=b"x")


def test_another_kind_of_entry_is_no_intent(world: World, mallory: psycopg.Connection) -> None:
    filed = world.executed()
    bound = uuid.UUID(world.logged("search:probe:bound", filed.request)[0]["id"])
    with refused("receipt"):
        client.bind(mallory, intent=bound, probe=world.faces[0], claim_secret=filed.claim_secret)


def test_mallory_cannot_bind_another_face_under_an_honest_intent(world: World, mallory: psycopg.Connection) -> None:
    filed = world.file()
    world.sign()
    for guess in (b"", secrets.token_bytes(32), bytes.fromhex(filed.fields["claim"])):
        with refused("claim"):
            client.bind(mallory, intent=filed.intent, probe=world.faces[99], claim_secret=guess)
    with refused("claim"):
        mallory_null = mallory.execute
        with client.refusals():
            mallory_null("SELECT gate.bind(%s, %s, NULL)", [filed.intent, "[" + ",".join(["0.1"] * 128) + "]"])
    assert nothing_bound(world)


def test_a_search_without_approval_is_refused(world: World) -> None:
    filed = world.file(approve=False)
    world.sign()
    with refused("approval"):
        world.bind(filed)
    assert nothing_bound(world)


def test_an_approval_that_is_not_in_the_signed_log_does_not_count(world: World) -> None:
    filed = world.file(approve=False)
    world.sign()
    world.approve(filed.request, filed.params)
    with refused("approval"):
        world.bind(filed)
    world.sign()
    world.bind(filed)


@pytest.mark.parametrize(
    "changed",
    [
        {"k": 11},
        {"threshold": THRESHOLD + 1},
        {"purpose": "missing_person"},
        {"requester": uuid.UUID(int=8)},
        {"expires": 1},
    ],
    ids=lambda value: next(iter(value)),
)
def test_an_approval_for_other_parameters_does_not_count(world: World, changed: dict[str, Any]) -> None:
    filed = world.file(approve=False)
    values = filed.fields | changed
    if changed == {"expires": 1}:
        values["expires"] = filed.fields["expires"] + 1
    world.approve(filed.request, params.search(values, photo="a" * 64, box="b" * 64))
    world.sign()
    with refused("approval"):
        world.bind(filed)


def test_an_approval_for_another_photo_does_not_count(world: World) -> None:
    filed = world.file(approve=False)
    world.approve(filed.request, params.search(filed.fields, photo="a" * 64, box="b" * 64))
    world.sign()
    with refused("approval"):
        world.bind(filed)


def test_an_intent_that_carries_the_digest_of_other_parameters_is_refused(world: World) -> None:
    """Approved for k = 5, filed with k = 10 and the approved digest."""
    honest = world.file(k=5)
    forged = entries.compose(
        "search:intent:filed", **{**honest.fields, "request": uuid.uuid4(), "k": 10}, params=honest.params.hex()
    )
    world.app.execute("SELECT log.append(%s)", [forged.body])
    world.sign()
    with refused("params"):
        client.bind(world.app, intent=forged.id, probe=honest.probe, claim_secret=honest.claim_secret)


def test_nobody_approves_their_own_search(world: World) -> None:
    filed = world.file(approve=False, requester=world.sam.id)
    assert world.approve(filed.request, filed.params, world.sam)
    world.sign()
    with refused("approval"):
        world.bind(filed)
    world.approve(filed.request, filed.params, world.sue)
    world.sign()
    world.bind(filed)


def test_a_withdrawn_search_does_not_run(world: World) -> None:
    filed = world.file()
    world.sign()
    client.withdraw(world.app, filed.request, world.requester)
    with refused("withdrawn"):
        world.bind(filed)
    other = world.bound()
    client.withdraw(world.app, other.request, world.requester)
    with refused("withdrawn"):
        world.execute(world.app, other)
    assert len(world.logged("search:request:withdrawn")) == 2


def test_an_expired_search_does_not_run_even_in_a_transaction_that_began_before(world: World, as_role: Open) -> None:
    filed = world.file(expires=int(time.time() * 1000) + 1500)
    world.sign()
    early = as_role("app", autocommit=False)
    early.execute("SELECT now()")
    time.sleep(1.6)
    with refused("expired"):
        world.bind(filed, early)
    early.rollback()
    assert nothing_bound(world)


def test_an_intent_that_never_expires_is_refused(world: World) -> None:
    filed = world.file(expires=int(time.time() * 1000) + 400 * 24 * 3_600_000)
    world.sign()
    with refused("expired"):
        world.bind(filed)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_cannot_hide_a_withdrawal(world: World, as_role: Open, level: str) -> None:
    filed = world.file()
    world.sign()
    early = as_role("app", autocommit=False)
    early.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
    early.execute("SELECT count(*) FROM log.entry")
    client.withdraw(world.app, filed.request, world.requester)
    with refused("isolation"):
        world.bind(filed, early)
    early.rollback()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"k": 10_000}, "k"),
        ({"k": 0}, "k"),
        ({"k": -1}, "k"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": THRESHOLD - 1}, "threshold"),
        ({"threshold": -5}, "threshold"),
        ({"threshold": 2_000_000}, "threshold"),
        ({"gallery": uuid.UUID(int=7)}, "edition"),
        ({"edition": 999}, "edition"),
        ({"model": "f" * 64}, "edition"),
    ],
    ids=str,
)
def test_what_the_limits_forbid_is_refused_by_the_database_too(world: World, change: dict[str, Any], rule: str) -> None:
    filed = world.file(**change)
    world.sign()
    with refused(rule):
        world.bind(filed)
    assert nothing_bound(world)


def test_another_face_models_edition_is_refused(world: World) -> None:
    other = secrets.token_hex(32)
    edition = world.new_edition(world.gallery, other)
    world.adopt(other)
    filed = world.file(edition=edition, model=other)
    world.sign()
    with refused("edition"):  # not the current edition of the gallery, and empty
        world.bind(filed)


@pytest.mark.parametrize("verdict", ["not_met", "cannot_be_shown"])
def test_a_face_model_whose_evaluation_does_not_meet_the_policy_is_refused(world: World, verdict: str) -> None:
    world.adopt(world.model, verdict=verdict)
    filed = world.file()
    world.sign()
    with refused("evaluation"):
        world.bind(filed)


def test_an_outdated_evaluation_is_refused(world: World) -> None:
    world.adopt(world.model, hours=1 / 3600)
    filed = world.file()
    world.sign()
    time.sleep(1.1)
    with refused("evaluation"):
        world.bind(filed)


@pytest.mark.parametrize("name", ["too_long", "too_short", "wrong_dimension"])
def test_a_probe_that_is_no_unit_vector_of_the_model_is_refused(world: World, name: str) -> None:
    filed = world.file()
    world.sign()
    probe = {
        "too_long": world.faces[0] * 600,
        "too_short": world.faces[0] * 0.5,
        "wrong_dimension": np.full(64, 0.125, np.float32),
    }[name]
    with refused("probe"):
        client.bind(world.app, intent=filed.intent, probe=probe, claim_secret=filed.claim_secret)


def test_the_hourly_cap_of_an_edition_binds_everybody(world: World) -> None:
    world.set_policy("edition_hour_cap", 2)
    world.bound(), world.bound()
    filed = world.file()
    world.sign()
    with refused("cap"):
        world.bind(filed)


def test_the_daily_cap_of_an_approver_binds_everybody(world: World) -> None:
    world.set_policy("approver_day_cap", 1)
    world.bound()
    filed = world.file()
    world.sign()
    with refused("cap"):
        world.bind(filed)


def test_an_emergency_runs_without_approval_within_its_cap_and_is_sealed_after_the_deadline(world: World) -> None:
    world.set_policy("emergency_day_cap", 2)
    world.set_policy("emergency_deadline_hours", 0)
    late = world.executed(approve=False, emergency=True)
    with refused("sealed"):
        world.candidates(world.app, world.view(late.request))
    world.set_policy("emergency_deadline_hours", 48)
    timely = world.executed(approve=False, emergency=True)
    assert world.candidates(world.app, world.view(timely.request)).candidates
    third = world.file(approve=False, emergency=True)
    world.sign()
    with refused("cap"):
        world.bind(third)
    assert client.seal_overdue(world.app) == 1
    assert [entry["request"] for entry in world.logged("search:outcome:sealed")] == [str(late.request)]
    assert client.seal_overdue(world.app) == 0


def test_an_emergency_that_is_approved_in_time_stays_readable(world: World) -> None:
    filed = world.executed(approve=False, emergency=True)
    world.approve(filed.request, filed.params)
    world.sign()
    world.set_policy("emergency_deadline_hours", 0)
    assert client.seal_overdue(world.app) == 0
    assert world.candidates(world.app, world.view(filed.request)).candidates


def test_a_gallery_and_purpose_that_two_people_exempted_needs_no_approval(world: World) -> None:
    values = params.set_exemption(gallery=world.gallery, purpose="missing_person", exempt=True)
    client.set_exemption(
        world.app,
        gallery=world.gallery,
        purpose="missing_person",
        exempt=True,
        proposals=world.propose("gate:set_exemption", values, world.sam, world.sue),
    )
    world.bound(approve=False, purpose="missing_person")
    other = world.file(approve=False)
    world.sign()
    with refused("approval"):
        world.bind(other)


@pytest.mark.parametrize("setting", ["approval_needed", "k_max", "system_hour_cap"])
def test_one_approver_cannot_change_a_limit(world: World, setting: str) -> None:
    values = params.set_policy(setting=setting, value=0)
    one = world.propose("gate:set_policy", values, world.sam)
    twice = world.propose("gate:set_policy", values, world.sam, world.sam)
    other_value = world.propose("gate:set_policy", params.set_policy(setting=setting, value=1), world.sam, world.sue)
    for proposals in ([], one, twice, [one[0], one[0]], other_value):
        with pytest.raises(GateRefused):
            client.set_policy(world.app, setting=setting, value=0, proposals=proposals)
    assert world.logged("gate:policy:set") == []
