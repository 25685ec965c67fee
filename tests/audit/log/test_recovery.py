"""The drill: a database is dumped, a hundred entries are appended and signed, the dump is restored. Then both ways out."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError
from psycopg.sql import SQL, Identifier

from audit.log import entries, outside, recovery, sequencer, signer, verifier_keys
from audit.log.checkpoint import Note, VerifierKey
from audit.log.policy import Policy
from audit.log.witness import WitnessClient
from audit.oversight import health
from core import database as core_database
from tests import kits
from tests.audit.log.drill import Installation, command, verified
from tests.audit.log.witnesses import running
from tests.enforcement.refusals import denied

Open = Callable[..., psycopg.Connection]


def test_a_restored_database_gives_no_index_before_and_none_after_the_comparison(restored: Any) -> None:
    late = restored.append(3)
    assert restored.sequence() == 0, "nobody has compared it yet"
    with pytest.raises(signer.SignerRefusal, match=r"has 40 entries, and .* knows 140.*log-recovery\.md"):
        restored.run()
    with pytest.raises(sequencer.Frozen):
        restored.sequence()
    with pytest.raises(psycopg.Error) as caught:
        restored.append(1)
    assert caught.value.sqlstate == "GC503"
    with pytest.raises(signer.SignerRefusal, match="is frozen"):
        restored.run()
    assert restored.head()[0] == 40
    assert not set(late) & set(restored.places())
    assert health.state().state == "bad"


def test_sequencer_and_signer_exit_with_the_refused_status_and_say_what_knows_more(
    restored: Any, database: kits.Clone
) -> None:
    for name in ("signer", "sequencer"):
        done = subprocess.run(
            [".venv/bin/python", "manage.py", name],
            cwd=Path(__file__).resolve().parents[3],
            env={**database.environment, "GLASSCASE_DB_ROLE": name},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert "knows 140" in done.stderr
        assert "docs/runbooks/log-recovery.md" in done.stderr


def test_the_lost_entries_come_back_byte_for_byte_and_those_since_follow_them(restored: Any, tmp_path: Path) -> None:
    late = restored.append(3)
    with pytest.raises(signer.SignerRefusal):
        restored.run()
    said = command("recover_log", "--from", str(restored.whole))
    assert json.loads(said.splitlines()[-1]) == {"first": 40, "size": 140, "waiting": 3}
    assert "100  core:user:signed_in" in said
    assert restored.head() == restored.before, "root(signed size) = signed root"
    assert restored.sequence() == 0, "the signer has to compare first"
    assert restored.run() == 144, "three that waited, and the entry of the recovery itself"
    places = restored.places()
    assert [places[uid] for uid in late] == [(1, 140), (1, 141), (1, 142)]
    assert places[restored.waited[0]] == (1, 40), "what waited in the dump has the index that it was signed with"
    after = restored.export(tmp_path / "after")
    said = verified(after, "--old", str(restored.whole / "checkpoint"))
    assert "extends the older checkpoint of 140 entries" in said
    for bundle in ("tile/entries/000.p/140",):
        assert (after / "tile/entries/000.p/144").read_bytes().startswith((restored.whole / bundle).read_bytes())
    with core_database.connect("reader") as own:
        body = own.execute("SELECT body FROM log.entry WHERE type = 'log:entries:recovered'").fetchone()
        assert own.execute("SELECT count(*) FROM logwork.pending").fetchone() == (0,)
    assert body is not None
    entry = json.loads(bytes(body[0]))
    assert (entry["first"], entry["size"], entry["waiting"]) == (40, 140, 3)
    assert entry["root"] == restored.before[1].hex()
    assert health.state().is_healthy


def test_a_signer_and_archive_restored_with_the_database_are_stopped_by_a_witness(
    log: Installation, tmp_path: Path
) -> None:
    log.append(10)
    log.run()
    (key,) = verifier_keys.published()
    with running(tmp_path / "board", "board.example.org", [key]) as board:
        policy = Policy.parse(f"{board.line('board')}quorum board\n".encode())
        log.save()
        shutil.copytree(log.home / "signer", tmp_path / "backup")
        log.append(5)
        log.run()
        whole = log.export(tmp_path / "whole")
        client = WitnessClient(policy.witnesses[0])
        client.add_checkpoint(Note.parse((whole / "checkpoint").read_bytes()), old=0, prove=lambda _: [])
        client.close()
        log.restore()
        shutil.rmtree(log.home / "signer")
        shutil.copytree(tmp_path / "backup", log.home / "signer")
        asking = outside.asking(policy)
        with log.signing(asking) as sign, pytest.raises(signer.SignerRefusal, match="the witness board knows 15"):
            sign()
        with pytest.raises(sequencer.Frozen):
            log.sequence()
        command("recover_log", "--from", str(whole))
        with log.signing(asking) as sign:
            sign()
        assert log.run() == 16
    with log.signing(asking) as sign, pytest.raises(outside.NobodyAnswers):
        sign()


def test_more_than_a_tile_comes_back(log: Installation, tmp_path: Path) -> None:
    log.append(200)
    log.run()
    log.save()
    log.append(400)
    log.run()
    whole, before = log.export(tmp_path / "whole"), log.head()
    log.restore()
    with pytest.raises(signer.SignerRefusal):
        log.run()
    command("recover_log", "--from", str(whole))
    assert log.head() == before
    log.append(300)
    assert log.run() == 901
    verified(log.export(tmp_path / "after"), "--old", str(whole / "checkpoint"))


def test_a_copy_that_does_not_reach_or_does_not_fit_recovers_nothing(restored: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not frozen"):
        command("recover_log", "--from", str(restored.whole))
    with pytest.raises(signer.SignerRefusal):
        restored.run()
    short = restored.export(tmp_path / "short")
    with pytest.raises(CommandError, match=r"rollback.*reaches further"):
        command("recover_log", "--from", str(short))
    damaged = shutil.copytree(restored.whole, tmp_path / "damaged")
    bundle = damaged / "tile" / "entries" / "000.p" / "140"
    data = bytearray(bundle.read_bytes())
    data[-20] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(CommandError, match="entry 139 is the first wrong one"):
        command("recover_log", "--from", str(damaged))
    with pytest.raises(CommandError, match="neither a directory"):
        command("recover_log", "--from", str(tmp_path / "nowhere"))
    assert restored.head()[0] == 40
    with core_database.connect("reader") as own:
        assert own.execute("SELECT count(*) FROM logwork.frozen").fetchone() == (1,)


def test_a_database_that_went_another_way_is_not_recovered_but_succeeded(log: Installation, tmp_path: Path) -> None:
    """The same size, other entries: nothing can be put back, because other entries stand there."""
    log.append(10)
    log.run()
    log.save()
    log.append(5)
    log.run()
    whole = log.export(tmp_path / "whole")
    log.restore()
    kits.clear(log.name)  # a signer that knows nothing of before cleared it: captured, or set up anew
    log.append(5)
    log.sequence()
    with pytest.raises(signer.SignerRefusal, match="is not the one"):
        log.run()
    with pytest.raises(CommandError, match=r"fork.*Both cannot be true"):
        command("recover_log", "--from", str(whole))
    assert log.head()[0] == 15


@pytest.mark.parametrize(
    "role", ["app", "sequencer", "signer", "reader", "witness_client", "notifier", "registrar", "migrate"]
)
def test_no_process_can_unfreeze_put_entries_in_or_succeed(as_role: Open, role: str) -> None:
    as_role("signer").execute("SELECT logwork.freeze('larger', 5, sha256('x'))")
    connection = as_role(role)
    for statement in (
        "DELETE FROM logwork.frozen",
        "UPDATE logwork.frozen SET known_size = NULL, known_root = NULL",
        "TRUNCATE logwork.frozen",
        "INSERT INTO logwork.recovery (frozen_at, reason, size, root) SELECT at, reason, 0, sha256('') FROM logwork.frozen",
        "INSERT INTO log.origin (number, base) VALUES (2, 0)",
        "UPDATE log.origin SET base = 7",
        "INSERT INTO log.entry (uid, type, at, body) VALUES (gen_random_uuid(), 'core:user:signed_in', 0, 'xx')",
    ):
        with denied():
            connection.execute(statement)
    if role != "migrate":
        with pytest.raises(psycopg.Error):
            connection.execute(SQL("SET ROLE {}").format(Identifier(core_database.role_name("log_owner"))))


def test_even_the_owner_unfreezes_only_what_holds_what_is_known(as_role: Open) -> None:
    owner = SQL("SET ROLE {}").format(Identifier(core_database.role_name("log_owner")))
    as_role("signer").execute("SELECT logwork.freeze('larger', 5, sha256('x'))")
    migrate = as_role("migrate")
    migrate.execute(owner)
    for statement in (
        "DELETE FROM logwork.frozen",
        "UPDATE logwork.frozen SET known_size = NULL, known_root = NULL",
        "WITH one AS (INSERT INTO logwork.recovery (frozen_at, reason, size, root) SELECT at, reason, 5, sha256('x') FROM"
        " logwork.frozen) DELETE FROM logwork.frozen",
    ):
        with pytest.raises(psycopg.Error) as caught:
            migrate.execute(statement)
        assert caught.value.sqlstate == "GC403", statement
    assert migrate.execute("SELECT known_size FROM logwork.frozen").fetchone() == (5,)
    with pytest.raises(psycopg.Error, match="next number"):
        migrate.execute("INSERT INTO log.origin (number, base) VALUES (3, 0)")


def test_a_false_alarm_is_lifted_by_a_copy_that_the_database_extends(log: Installation, tmp_path: Path) -> None:
    log.append(10)
    log.run()
    whole = log.export(tmp_path / "whole")
    with core_database.connect("signer") as own:
        own.execute("SELECT logwork.freeze('A witness was set up wrongly.')")
    said = json.loads(command("recover_log", "--from", str(whole)).splitlines()[-1])
    assert said == {"first": 10, "size": 10, "waiting": 0}
    assert log.run() == 11


def test_entries_of_a_type_that_the_database_does_not_know_wait_for_the_migration(database: Any) -> None:
    body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body.replace(b"signed_in", b"signed_ix")
    with core_database.connect("migrate") as migrate:
        migrate.execute(SQL("SET ROLE {}").format(Identifier(core_database.role_name("log_owner"))))
        with pytest.raises(recovery.RecoveryRefusal, match=r"run manage\.py migrate"):
            recovery._insert_entries(migrate, [body], Counter())


def test_keys_are_read_as_they_were_printed(restored: Any) -> None:
    with pytest.raises(signer.SignerRefusal):
        restored.run()
    (key,) = verifier_keys.published()
    stranger = VerifierKey(
        key.name, key.algorithm, bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    )
    with pytest.raises(CommandError, match="signature"):
        command("recover_log", "--from", str(restored.whole), "--key", str(stranger))
    with pytest.raises(CommandError, match="not a verifier key"):
        command("recover_log", "--from", str(restored.whole), "--key", "nonsense")
    command("recover_log", "--from", str(restored.whole), "--key", str(key))
