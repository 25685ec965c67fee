"""The drill, second way out: the old log is closed for ever, and another begins that says what was lost."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError
from psycopg.sql import SQL, Identifier

from audit.log import entries, journal, sequencer, signer, storage, succession, verifier_keys
from audit.log.checkpoint import open_checkpoint
from audit.oversight import health
from core import database as core_database
from tests.audit.log.drill import Installation, command, verified

Open = Callable[..., psycopg.Connection]


def test_when_the_entries_are_gone_a_new_log_begins_and_the_old_one_is_never_signed_again(
    restored: Any, cast: Any, tmp_path: Path
) -> None:
    from core.models import User

    late = restored.append(3)
    arguments = ["--cause", "entries_lost", "--approved-by", cast.bea.username]
    with pytest.raises(CommandError, match="twice"):
        command("succeed_log", *arguments)
    arguments += ["--approved-by", cast.sam.username]
    with pytest.raises(CommandError, match="not frozen"):
        command("succeed_log", *arguments)
    with pytest.raises(signer.SignerRefusal):
        restored.run()
    (old,) = verifier_keys.published()
    size = restored.head()[0]
    said = json.loads(command("succeed_log", *arguments).splitlines()[-1])
    assert said == {
        "log": f"{old.name}/2",
        "verifiable": size,
        "signed": restored.before[0],
        "lost": restored.before[0] - size,
    }
    assert restored.sequence() == 0, "the signer has to compare first"
    restored.run()
    places = restored.places()
    waited = [places[uid] for uid in (*restored.waited, *late)]
    assert [origin for origin, _ in waited] == [2] * 4
    assert [index for _, index in waited] == sorted(index for _, index in waited)
    keys = verifier_keys.published()
    assert [key.name for key in keys] == [old.name, f"{old.name}/2"]
    assert keys[0].public_key != keys[1].public_key

    new_log = restored.export(tmp_path / "new")
    verified(new_log)
    signed = open_checkpoint((new_log / "checkpoint").read_bytes(), keys)
    assert signed.checkpoint.origin == f"{old.name}/2"
    first = first_entry(new_log)
    assert first["type"] == "log:origin:succeeded"
    assert (first["size"], first["signed_size"], first["lost"], first["cause"]) == (
        size, restored.before[0], restored.before[0] - size, "entries_lost",
    )  # fmt: skip
    assert first["signed_root"] == restored.before[1].hex()
    assert first["approved_by"] == [
        str(User.objects.get(username=name).pk) for name in sorted([cast.bea.username, cast.sam.username])
    ]

    old_log = restored.export(tmp_path / "old", 1)
    assert open_checkpoint((old_log / "checkpoint").read_bytes(), [old]).checkpoint.size == size
    verified(old_log)
    with pytest.raises(signer.SignerRefusal, match="never signed again"):
        signer.Signer(restored.home / "signer", old.name)
    with core_database.connect("reader") as own:
        receipt = storage.receipt(own, late[0])
        receipt.verify(storage.entry_body(own, late[0]), keys)
        assert own.execute("SELECT max(size) FROM log.checkpoint WHERE origin = 1").fetchone() == (size,)
    assert health.state().is_healthy
    journal.record_now("log:entries:viewed")
    assert restored.run() is not None


def first_entry(place: Path) -> dict[str, Any]:
    from audit.log.tiles import split_bundle

    (bundle,) = [found for found in (place / "tile" / "entries").rglob("*") if found.is_file()]
    found: dict[str, Any] = json.loads(split_bundle(bundle.read_bytes())[0][0])
    return found


def test_a_database_from_before_the_succession_is_not_signed(restored: Any, cast: Any, tmp_path: Path) -> None:
    with pytest.raises(signer.SignerRefusal):
        restored.run()
    people = ["--approved-by", cast.bea.username, "--approved-by", cast.sam.username]
    command("succeed_log", "--cause", "entries_lost", *people)
    restored.run()
    restored.restore()
    with pytest.raises(signer.SignerRefusal, match="never signed again"):
        restored.run()
    with core_database.connect("reader") as own:
        assert own.execute("SELECT count(*) FROM logwork.frozen").fetchone() == (1,)
    with pytest.raises(psycopg.Error):
        restored.append(1)


def test_a_log_that_holds_everything_is_not_succeeded_for_a_loss_but_for_a_stolen_key(
    log: Installation, cast: Any, tmp_path: Path
) -> None:
    log.run()
    size = log.head()[0]
    people = ["--approved-by", cast.bea.username, "--approved-by", cast.sam.username]
    with pytest.raises(CommandError, match="not frozen"):
        command("succeed_log", "--cause", "rewritten", *people)
    said = json.loads(command("succeed_log", "--cause", "key_stolen", *people).splitlines()[-1])
    assert (said["lost"], said["signed"]) == (0, size)
    log.run()
    assert len({key.public_key for key in verifier_keys.published()}) == 2


def test_a_succession_that_makes_less_of_the_old_log_than_was_signed_is_not_signed(restored: Any, cast: Any) -> None:
    """Whoever owns the database could lie about how much there was: the signer remembers."""
    with core_database.connect("migrate") as migrate:
        succession.succeed(
            migrate,
            verifier_keys.published(),
            owner=core_database.role_name("log_owner"),
            first=restored.first,
            cause="key_lost",
            approved_by=[],
        )
    with pytest.raises(signer.SignerRefusal, match=f"not that {restored.before[0]} entries of it were signed"):
        restored.run()


def test_a_new_log_begins_with_nothing_but_its_succession(as_role: Open) -> None:
    """The sequencer cannot put anything else there, whoever has opened the new log."""
    body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body
    as_role("app").execute("SELECT log.append(%s)", [body])
    migrate = as_role("migrate")
    migrate.execute(SQL("SET ROLE {}").format(Identifier(core_database.role_name("log_owner"))))
    migrate.execute("INSERT INTO log.origin (number, base) VALUES (2, 0)")
    with pytest.raises(psycopg.Error, match="begins by saying so"):
        sequencer.step(as_role("sequencer"))
