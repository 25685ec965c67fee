"""No cosignatures, no search, where the gate's policy says so: what SQL counts, and what it cannot tell."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from audit.log import cosigning, storage, verifier_keys
from audit.log.checkpoint import Note, cosign
from audit.log.policy import Policy
from core.shard_file import MAIN
from search import life, trail
from search.gate import client
from search.shards import Server
from tests.audit.log.logs import Key, witness
from tests.enforcement.refusals import denied, refused
from tests.enforcement.world import Filed, World

Open = Callable[..., psycopg.Connection]


@pytest.fixture
def cosigned_by(world: World, as_role: Open) -> Callable[..., None]:
    """`cosigned_by(1, 2)` records cosignatures of the last checkpoint, right ones unless `private` is somebody else's."""
    own = as_role("witness_client")

    def record(*numbers: int, private: Any = None) -> None:
        found = storage.signed_checkpoint(world.app)
        assert found is not None
        note = Note.parse(found[1])
        for number in numbers:
            one = witness(number)
            line = cosign(note.text, one.public, private or one.private, time=1_700_000_000)
            if private is None:
                cosigning.record(own, note, one.public, line)
            else:
                own.execute(
                    "INSERT INTO log.cosignature (size, root, witness, cosigned, line)"
                    " SELECT size, root, %s, 1700000000, %s FROM log.checkpoint"
                    " ORDER BY size DESC LIMIT 1",
                    [str(one.public), str(line).strip()],
                )

    return record


def test_the_gate_demands_as_many_witnesses_as_its_policy_says(world: World, cosigned_by: Callable[..., None]) -> None:
    world.set_policy("witness_quorum", 2)
    filed = world.file()
    world.sign()
    with refused("receipt"):
        world.bind(filed)
    cosigned_by(1)
    with refused("receipt"):
        world.bind(filed)
    cosigned_by(1)  # one witness twice is one witness
    with refused("receipt"):
        world.bind(filed)
    cosigned_by(2)
    world.bind(filed)
    world.sign()
    world.execute(world.app, filed)
    world.sign()
    with refused("receipt"):
        world.candidates(world.app, world.view(filed.request))
    cosigned_by(1, 3)
    assert world.candidates(world.app, world.view(filed.request)).candidates


def test_an_approval_counts_only_when_witnesses_have_seen_it(world: World, cosigned_by: Callable[..., None]) -> None:
    world.set_policy("witness_quorum", 1)
    filed = world.file(approve=False)
    world.sign()
    cosigned_by(1)
    world.approve(filed.request, filed.params)
    world.sign()
    with refused("approval"):
        world.bind(filed)
    cosigned_by(1)
    world.bind(filed)


def test_without_a_quorum_in_the_policy_nothing_changes(world: World) -> None:
    filed = world.file()
    world.sign()
    world.bind(filed)


def test_after_the_quorum_is_lost_searches_go_on_for_as_long_as_the_policy_says(
    world: World, cosigned_by: Callable[..., None], as_superuser: psycopg.Connection
) -> None:
    world.set_policy("witness_quorum", 2)
    world.set_policy("witness_grace_minutes", 30)
    never_seen = world.file()
    world.sign()
    with refused("receipt"):
        world.bind(never_seen)
    cosigned_by(1, 2)
    world.bind(never_seen)
    soon = world.file()
    world.sign()
    world.bind(soon)  # the quorum was met a moment ago
    as_superuser.execute("ALTER EVENT TRIGGER glasscase_refuse_alter DISABLE")
    as_superuser.execute("ALTER TABLE log.cosignature DISABLE TRIGGER immutable_row")
    as_superuser.execute("UPDATE log.cosignature SET at = at - interval '31 minutes' WHERE witness LIKE 'witness2%'")
    late = world.file()
    world.sign()
    with refused("receipt"):
        world.bind(late)
    world.set_policy("witness_grace_minutes", 0)
    with refused("receipt"):
        world.bind(late)
    cosigned_by(2, 3)
    world.bind(late)


def test_changing_the_rule_takes_two_people_and_is_in_the_log(world: World, as_role: Open) -> None:
    world.set_policy("witness_quorum", 2)
    (said,) = world.logged("gate:policy:set")
    assert (said["setting"], said["previous"], said["value"], len(said["approvers"])) == ("witness_quorum", 0, 2, 2)
    assert world.app.execute("SELECT witnesses, grace_minutes FROM logwork.quorum").fetchone() == (2, 0)
    for value in (-1, 33):
        with pytest.raises(client.GateRefused):
            world.set_policy("witness_quorum", value)
    for role in ("app", "sequencer", "signer", "witness_client", "notifier", "registrar", "reader", "migrate"):
        connection = as_role(role)
        for statement in (
            "SELECT logwork.set_quorum(0, 0)",
            "UPDATE logwork.quorum SET witnesses = 0",
            "DELETE FROM logwork.quorum",
            "UPDATE gate.setting SET value = 0",
            "SELECT gate.tell_the_log()",
            "SELECT logwork.covers(1, 0)",
            "SELECT logwork.quorum_met_at(1)",
        ):
            with denied():
                connection.execute(statement)


def test_only_the_witness_client_records_cosignatures_and_nobody_changes_them(
    world: World, as_role: Open, cosigned_by: Callable[..., None], as_superuser: psycopg.Connection
) -> None:
    world.file()
    world.sign()
    cosigned_by(1)
    for role in ("app", "sequencer", "signer", "notifier", "registrar", "reader", "migrate"):
        with denied():
            as_role(role).execute(
                "INSERT INTO log.cosignature (size, root, witness, cosigned, line) VALUES (1, sha256(''), 'x', 1, 'x')"
            )
    for role in ("app", "signer", "reader", "witness_client"):
        for statement in (
            "UPDATE log.cosignature SET cosigned = 1",
            "DELETE FROM log.cosignature",
            "TRUNCATE log.cosignature",
            "DROP TABLE log.cosignature",
        ):
            with denied():
                as_role(role).execute(statement)
    own = as_role("witness_client")
    with denied():
        own.execute(
            "INSERT INTO log.cosignature (size, root, witness, cosigned, line, at)"
            " SELECT size, root, witness, cosigned + 1, line, '2020-01-01' FROM log.cosignature"
        )
    for statement in ("SELECT log.append('x')", "SELECT log.append_as_signer('x')", "SELECT log.accept('x', 'app')"):
        with denied():
            own.execute(statement)
    for replica in ("origin", "replica"):
        as_superuser.execute(f"SET session_replication_role = {replica}")
        for statement in (
            "UPDATE log.cosignature SET cosigned = 1",
            "DELETE FROM log.cosignature",
            "TRUNCATE log.cosignature",
            "INSERT INTO log.cosignature (size, root, witness, cosigned, line) VALUES (1, sha256(''), 'x', 1, 'x')",
        ):
            with pytest.raises(psycopg.Error) as caught:
                as_superuser.execute(statement)
            assert caught.value.sqlstate == "GC403", statement


def test_the_witness_client_writes_its_own_entries_only(world: World, as_role: Open) -> None:
    from audit.log.entries import compose

    own = as_role("witness_client")
    before = world.count()
    for entry in (
        compose("core:user:signed_in", user=uuid.uuid4()),
        compose("log:key:announced", key="a" * 64),
        compose("log:export:made", size=1),
    ):
        with pytest.raises(psycopg.Error) as caught:
            own.execute("SELECT log.append_as_witness_client(%s)", [entry.body])
        assert caught.value.sqlstate == "GC403"
    lost = compose("log:quorum:lost", size=1, cosigned=0, needed=2)
    own.execute("SELECT log.append_as_witness_client(%s)", [lost.body])
    assert world.count() == before + 1
    with denied():
        as_role("app").execute("SELECT log.append_as_witness_client(%s)", [lost.body])


@pytest.fixture
def worker(world: World, settings: Any, tmp_path: Path) -> Callable[[Filed], None]:
    """The worker's own check of a receipt, with a policy of two of three witnesses and little patience."""
    policy = tmp_path / "policy"
    lines = "".join(f"witness w{n} {witness(n).public}\n" for n in (1, 2, 3))
    policy.write_text(f"{lines}group two 2 w1 w2 w3\nquorum two\n")
    assert Policy.parse(policy.read_bytes()).fewest == 2
    settings.GLASSCASE_WITNESS_POLICY = str(policy)
    settings.GLASSCASE_LOG_WAIT_SECONDS = 0

    def verify(filed: Filed) -> None:
        main = Server(MAIN, world.edition, world.app)
        life._verify(main, filed.intent, SimpleNamespace(id=filed.request), lambda: None)  # type: ignore[arg-type]

    return verify


def test_forged_cosignatures_let_sql_pass_and_the_worker_refuses(
    world: World, cosigned_by: Callable[..., None], worker: Callable[[Filed], None]
) -> None:
    """Mallory has the witness client's password and no witness's key."""
    world.set_policy("witness_quorum", 2)
    filed = world.file()
    world.sign()
    cosigned_by(1, 2, private=Key("mallory", 66).private)
    with pytest.raises(trail.LogSilent, match="quorum of witnesses"):
        worker(filed)
    world.bind(filed)  # all that the database can count is there
    cosigned_by(1)
    with pytest.raises(trail.LogSilent):
        worker(filed)
    cosigned_by(3)
    worker(filed)


def test_the_worker_goes_on_without_witnesses_only_while_the_policy_says_and_says_so(
    world: World,
    cosigned_by: Callable[..., None],
    worker: Callable[[Filed], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_700_000_000.0
    world.set_policy("witness_quorum", 2)
    world.set_policy("witness_grace_minutes", 30)
    world.sign()
    cosigned_by(1, 2)
    filed = world.file()
    world.sign()
    with pytest.raises(trail.LogSilent):
        worker(filed)  # the cosignatures are years old
    monkeypatch.setattr(storage, "time", SimpleNamespace(time=lambda: now + 60))
    worker(filed)
    (said,) = world.logged("log:quorum:waived", filed.request)
    assert said["entry"] == str(filed.intent)
    monkeypatch.setattr(storage, "time", SimpleNamespace(time=lambda: now + 1801))
    with pytest.raises(trail.LogSilent):
        worker(filed)


def test_a_checkpoint_under_two_keys_is_published_with_its_witnesses(
    world: World, cosigned_by: Callable[..., None], worker: Callable[[Filed], None]
) -> None:
    """While the signing key is replaced, the same text carries two signatures of the log."""
    from audit.log.checkpoint import Checkpoint, sign

    filed = world.file()
    world.sign()
    keys = verifier_keys.published()
    successor = Key(keys[0].name, 42)
    found = storage.signed_checkpoint(world.app)
    assert found is not None
    note = Note.parse(found[1])
    both = note.with_signatures(sign(note.text, successor.public, successor.private))
    checkpoint = Checkpoint.parse(note.text)
    with contextlib.closing(world.app):
        from core.database import connect

        with connect("signer") as signer:
            signer.execute(
                "INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, %s)",
                [checkpoint.size, checkpoint.root, both.encode().decode()],
            )
        cosigned_by(1, 2)
        for trusted in (keys, [*keys, successor.public], [successor.public]):
            published = storage.latest_checkpoint(world.app, trusted)
            assert published is not None
            assert published[0] == checkpoint.size
            assert len(Note.parse(published[1]).signatures) == 4
        worker(filed)
