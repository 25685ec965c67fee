"""Attacks that succeeded once. Each ran against an earlier form of the gate; the names say what was possible."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest
from pgvector import HalfVector

from search.gate import client, params
from tests.enforcement.refusals import refused
from tests.enforcement.world import World, digest

Open = Callable[..., psycopg.Connection]


def test_printed_plans_show_no_candidates(world: World, as_role: Open) -> None:
    """debug_print_plan showed the variables of a function, as constants, to whoever executed and rolled back."""
    connection = as_role("app", autocommit=False)
    heard: list[str] = []
    connection.add_notice_handler(lambda notice: heard.append(f"{notice.message_primary}{notice.message_detail}"))
    filed = world.bound(world.faces[7])
    for setting in (
        "debug_print_plan = on",
        "debug_print_parse = on",
        "debug_print_rewritten = on",
        "client_min_messages = log",
        "plan_cache_mode = force_custom_plan",
    ):
        connection.execute(f"SET LOCAL {setting}")
    world.execute(connection, filed)
    connection.rollback()
    wanted = world.rows[7][0].bytes
    printed = "".join(heard)
    assert " ".join(str(byte) for byte in wanted) not in printed
    assert " ".join(str(byte - 256 if byte > 127 else byte) for byte in wanted) not in printed
    assert "gate" not in printed.lower()
    assert len(heard) <= 12, "only the caller's own statement is printed"


def test_somebody_elses_search_cannot_be_executed(world: World, mallory: psycopg.Connection) -> None:
    filed = world.bound()
    with refused("claim"):
        client.execute(mallory, filed.request, secrets.token_bytes(32))
    assert world.logged("search:result:stored", filed.request) == []


def test_a_time_zone_with_a_jump_does_not_empty_the_daily_caps(world: World, as_role: Open) -> None:
    world.set_policy("emergency_day_cap", 1)
    world.bound(approve=False, emergency=True)
    day = datetime.now(UTC).timetuple().tm_yday
    connection = as_role("app")
    connection.execute(f"SET TimeZone = 'AAA24BBB-24,J{max(day - 1, 1)}/0,J{min(day + 20, 365)}/0'")
    filed = world.file(approve=False, emergency=True)
    world.sign()
    with refused("cap"):
        world.bind(filed, connection)


def test_somebody_elses_reading_opens_nothing(world: World, as_role: Open) -> None:
    """The entry of a reading is visible to everybody with the application's password; its secret is not."""
    filed = world.executed(world.faces[7])
    world.app.execute("SELECT 1")
    view = world.view(filed.request)
    connection = as_role("app", autocommit=False)
    seen = world.logged("search:candidates:viewed", filed.request)[0]
    for guess in (b"", bytes.fromhex(seen["claim"]), secrets.token_bytes(32)):
        with refused("claim"):
            client.candidates(connection, view, guess)
        connection.rollback()
    assert world.candidates(world.app, view).candidates
    with refused("view"):
        client.photo_key(connection, view, secrets.token_bytes(32), world.rows[7][0])


def test_the_vault_opens_for_the_reader_who_filed_the_reading_only(world: World, mallory: psycopg.Connection) -> None:
    from audit.log import entries, sequencer

    entry = entries.compose("core:user:signed_in", user=uuid.uuid4())
    mallory.execute("SELECT log.append(%s)", [entry.body])
    mallory.execute("SELECT vault.put(%s, 'field', %s, %s)", [entry.id, uuid.uuid4(), b"sealed"])
    secret = secrets.token_bytes(32)
    view = entries.compose(
        "vault:record:viewed", entry=entry.id, viewer=uuid.uuid4(), claim=hashlib.sha256(secret).hexdigest()
    )
    mallory.execute("SELECT log.append(%s)", [view.body])
    sequencer.step(world.sequencer)
    for wrong in (b"", secrets.token_bytes(32)):
        with refused("view"), client.refusals():
            mallory.execute("SELECT * FROM vault.get(%s, %s)", [view.id, wrong])
    assert mallory.execute("SELECT sealed FROM vault.get(%s, %s)", [view.id, secret]).fetchall() == [(b"sealed",)]
    with refused("vault"), client.refusals():  # the entry is in the tree: nothing is added to it any more
        mallory.execute("SELECT vault.put(%s, 'other', %s, %s)", [entry.id, uuid.uuid4(), b"sealed"])


def test_rows_that_a_discarded_batch_left_behind_are_not_found(world: World, as_role: Open) -> None:
    """An older snapshot deleted nothing on discarding, and the scan took every batch up to the newest."""
    secret = secrets.token_bytes(32)
    batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    old = as_role("app", autocommit=False)
    old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.execute("SELECT count(*) FROM log.entry")
    planted = uuid.uuid4()
    world.app.execute(
        "INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)",
        [world.edition, batch, planted, uuid.uuid4(), HalfVector(world.faces[5]).to_text()],
    )
    with refused("isolation"):
        client.discard_batch(old, world.edition, batch, secret)
    old.rollback()
    client.discard_batch(world.app, world.edition, batch, secret)
    next_batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    client.seal_batch(world.app, edition=world.edition, batch=next_batch, secret=secret, templates=0, digest=digest([]))
    filed = world.executed(world.faces[5])
    found = world.candidates(world.app, world.view(filed.request)).candidates
    assert [candidate.template for candidate in found] == [world.rows[5][0]]


def test_rows_of_a_batch_that_is_not_sealed_are_never_scanned(world: World, as_superuser: psycopg.Connection) -> None:
    """Even if rows of a discarded batch were there, by whatever fault, the scan takes sealed batches only."""
    secret = secrets.token_bytes(32)
    batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    client.discard_batch(world.app, world.edition, batch, secret)
    as_superuser.execute("SET session_replication_role = replica")
    as_superuser.execute("ALTER TABLE gallery.template DISABLE TRIGGER only_into_open_batches")
    as_superuser.execute(
        "INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)",
        [world.edition, batch, uuid.uuid4(), uuid.uuid4(), HalfVector(world.faces[5]).to_text()],
    )
    next_batch = client.open_batch(world.app, world.edition, hashlib.sha256(secret).digest())
    client.seal_batch(world.app, edition=world.edition, batch=next_batch, secret=secret, templates=0, digest=digest([]))
    filed = world.executed(world.faces[5])
    found = world.candidates(world.app, world.view(filed.request)).candidates
    assert [candidate.template for candidate in found] == [world.rows[5][0]]


def test_the_key_half_of_an_enrolled_photo_cannot_be_destroyed_through_another_edition(world: World) -> None:
    victim = world.rows[7][0]
    half = secrets.token_bytes(32)
    world.app.execute("INSERT INTO gallery.photo_half VALUES (%s, %s, %s)", [world.edition, victim, half])
    other = world.new_edition(uuid.uuid4(), world.model)
    secret = secrets.token_bytes(32)
    batch = client.open_batch(world.app, other, hashlib.sha256(secret).digest())
    world.app.execute(
        "INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)",
        [other, batch, victim, uuid.uuid4(), HalfVector(world.faces[1]).to_text()],
    )
    client.discard_batch(world.app, other, batch, secret)
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.app.execute("INSERT INTO gallery.photo_half VALUES (%s, %s, %s)", [world.edition, victim, b"\0" * 32])
    filed = world.executed(world.faces[7])
    view = world.view(filed.request)
    world.candidates(world.app, view)
    assert world.photo_key(world.app, view, victim) == half


def test_a_batch_that_was_opened_to_be_in_the_way_is_abandoned_with_an_approval(world: World) -> None:
    batch = client.open_batch(world.app, world.edition, secrets.token_bytes(32))  # nobody knows its secret
    with refused("batch"):
        client.open_batch(world.app, world.edition, secrets.token_bytes(32))
    values = params.abandon_batch(edition=world.edition, batch=batch)
    [proposal] = world.propose("gallery:abandon_batch", values, world.sam)
    client.abandon_batch(world.app, edition=world.edition, batch=batch, proposal=proposal)
    assert world.logged("gallery:batch:discarded")[0]["approver"] == str(world.sam.id)
    assert client.open_batch(world.app, world.edition, secrets.token_bytes(32)) == batch + 1


def test_an_approval_of_somebody_who_was_revoked_since_does_not_count(world: World) -> None:
    filed = world.file()
    world.sign()
    world.registrar.execute("SELECT gate.revoke_approver(%s)", [world.sam.id])
    with refused("approval"):
        world.bind(filed)


def test_a_search_is_not_executed_after_its_evaluation_fell(world: World) -> None:
    filed = world.bound()
    world.adopt(world.model, verdict="not_met")
    with refused("evaluation"):
        world.execute(world.app, filed)
    assert world.logged("search:result:stored") == []


def test_a_search_is_either_withdrawn_or_executed(world: World, as_role: Open) -> None:
    filed = world.bound()
    running = as_role("app", autocommit=False)
    world.execute(running, filed)
    world.app.execute("SET statement_timeout = '300ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        client.withdraw(world.app, filed.request, world.requester)
    running.commit()
    with refused("executed"):
        client.withdraw(world.app, filed.request, world.requester)
    assert world.logged("search:request:withdrawn") == []


def test_nothing_is_erased_while_a_hold_is_being_placed(world: World, as_role: Open) -> None:
    person = world.rows[3][1]
    placing = as_role("app", autocommit=False)
    client.place_hold(placing, person)
    [proposal] = world.propose("gallery:expunge", params.expunge(person=person), world.sam)
    world.app.execute("SET statement_timeout = '300ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        client.expunge(world.app, person=person, proposal=proposal)
    placing.commit()
    with refused("hold"):
        client.expunge(world.app, person=person, proposal=proposal)


@pytest.mark.parametrize(("setting", "value"), [("proposal_minutes", 0), ("k_max", 201), ("view_seconds", 2**40)])
def test_a_limit_is_not_set_to_what_cannot_be_set_back(world: World, setting: str, value: int) -> None:
    with refused("setting"):
        world.set_policy(setting, value)


def test_right_secrets_of_acts_that_fail_do_not_lock_the_approver(world: World) -> None:
    for _ in range(7):
        values = params.expunge(person=uuid.uuid4())
        [proposal] = world.propose("gallery:expunge", values, world.sam)
        assert client.answer(world.app, proposal)
        with refused("person"):
            client.expunge(world.app, proposal=proposal, **values)
    assert client.approver_state(world.app, world.sam.id) == "enrolled"


def test_answering_in_the_transaction_that_proposed_is_refused(world: World, as_role: Open) -> None:
    connection = as_role("app", autocommit=False)
    proposal = client.propose(
        connection,
        act="gallery:expunge",
        params=params.expunge(person=uuid.uuid4()),
        approver=world.sam.id,
        secret=world.sam.secret,
    )
    with refused("proposal"):
        client.answer(connection, proposal)
    connection.rollback()


def test_what_a_role_sets_for_itself_does_not_reach_the_products_sessions(
    world: World, as_role: Open, as_superuser: psycopg.Connection, settings: object
) -> None:
    """Every login role may ALTER ROLE itself: the settings would hold for each later session, of everybody."""
    role = getattr(settings, "GLASSCASE_ROLE_PREFIX") + "app"  # noqa: B009
    hostile = {
        "synchronous_commit": "off",
        "default_transaction_isolation": "serializable",
        "TimeZone": "'Asia/Kolkata'",
        "debug_print_plan": "on",
        "log_parameter_max_length_on_error": "-1",
        "search_path": "gate",
        "statement_timeout": "1",
    }
    try:
        for name, value in hostile.items():
            world.app.execute(f'ALTER ROLE "{role}" SET {name} = {value}')
        with as_role("app") as fresh:
            for name, wanted in {
                "synchronous_commit": "on",
                "transaction_isolation": "read committed",
                "TimeZone": "UTC",
                "debug_print_plan": "off",
                "log_parameter_max_length_on_error": "0",
                "statement_timeout": "0",
            }.items():
                assert fresh.execute(f"SHOW {name}").fetchone() == (wanted,), name
            assert fresh.execute("SELECT count(*) FROM log.entry").fetchone() != (0,)
    finally:
        as_superuser.execute(f'ALTER ROLE "{role}" RESET ALL')


def test_a_late_commit_is_noticed(world: World, as_role: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that waited in an open transaction has an older time than its neighbours; the sequencer says so."""
    from structlog.testing import capture_logs

    from audit.log import sequencer

    monkeypatch.setattr(sequencer, "LATE_AFTER_SECONDS", 0.2)
    world.sign()
    connection = as_role("app", autocommit=False)
    from audit.log import entries

    connection.execute("SELECT log.append(%s)", [entries.compose("core:user:signed_in", user=uuid.uuid4()).body])
    time.sleep(0.4)
    connection.commit()
    with capture_logs() as said:
        assert sequencer.step(world.sequencer) == 1
    assert [line["event"] for line in said] == ["an entry was committed late"]
