"""The drill: a database is dumped, a hundred entries are appended and signed, the dump is restored. Then both ways out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg.sql import SQL, Identifier

from audit.log import entries, journal, outside, recovery, sequencer, signer, storage, succession, verifier_keys, verify
from audit.log.checkpoint import Note, VerifierKey, open_checkpoint
from audit.log.policy import Policy
from audit.log.witness import WitnessClient
from audit.oversight import health
from core import database as core_database
from core import embedded_place, initialise
from tests import kits, run
from tests.audit.log.witnesses import running
from tests.enforcement.refusals import denied

Open = Callable[..., psycopg.Connection]


def postgres(program: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's own programs as the superuser on the tests' server."""
    place = embedded_place.find(run.HOME)
    subprocess.run(
        [place.programs / "bin" / program, "--host", str(run.HOME / "run"), "--username", "postgres", *arguments],
        check=True,
        capture_output=True,
        env={"PATH": os.defpath, "LC_ALL": "C"},
    )


class Installation:
    """A log that is written, sequenced and signed as its processes do, and a database that is dumped and restored."""

    def __init__(self, clone: kits.Clone, settings: Any) -> None:
        self.name, self.home, self.first = clone.name, clone.home, settings.GLASSCASE_LOG_ORIGIN
        self.dump = clone.home / "database.dump"

    def append(self, count: int) -> list[uuid.UUID]:
        made = [entries.compose("core:user:signed_in", user=uuid.uuid4()) for _ in range(count)]
        with core_database.connect("app") as app:
            for entry in made:
                app.execute("SELECT log.append(%s)", [entry.body])
        return [entry.id for entry in made]

    @contextlib.contextmanager
    def signing(self, outside: signer.Outside = signer.nobody) -> Iterator[Callable[[], int | None]]:
        with (
            core_database.connect("signer") as own,
            succession.open_signer(own, self.home / "signer", self.first, archive=None, outside=outside) as one,
        ):
            verifier_keys.publish(one.keys)
            yield lambda: one.step(own)

    def sequence(self) -> int:
        with core_database.connect("sequencer") as own:
            return sequencer.step(own)

    def run(self) -> int | None:
        """One round of all processes: what waits is in the tree and signed."""
        with self.signing() as sign:
            sign()
            self.sequence()
            return sign()

    def save(self) -> None:
        postgres("pg_dump", "--format=custom", f"--file={self.dump}", self.name)

    def restore(self) -> None:
        from django.db import connections

        connections.close_all()
        with core_database.connect_superuser() as superuser:
            superuser.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(self.name)))
            superuser.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(self.name)))
            initialise.restrict_database(superuser, self.name)
        postgres("pg_restore", "--exit-on-error", f"--dbname={self.name}", str(self.dump))

    def export(self, place: Path, number: int | None = None) -> Path:
        with core_database.connect("reader") as own:
            storage.export(own, place, storage.origin(own, number))
        return place

    def head(self) -> tuple[int, bytes]:
        with core_database.connect("reader") as own:
            row = own.execute("SELECT size, root FROM logwork.head").fetchone()
        assert row is not None
        return int(row[0]), bytes(row[1])

    def places(self) -> dict[uuid.UUID, tuple[int, int]]:
        with core_database.connect("reader") as own:
            rows = own.execute("SELECT e.uid, p.origin, p.index FROM log.place p JOIN log.entry e ON e.id = p.entry_id")
            return {uid: (origin, index) for uid, origin, index in rows.fetchall()}


@pytest.fixture
def log(database: kits.Clone, settings: Any) -> Installation:
    return Installation(database, settings)


@pytest.fixture
def restored(log: Installation, tmp_path: Path) -> Installation:
    """Dump at 40 entries and one that waits, 100 more appended and signed, export and checkpoint kept, dump restored."""
    log.append(40)
    size = log.run()
    assert size is not None
    log.waited = log.append(1)  # type: ignore[attr-defined]
    log.save()
    log.append(99)
    assert log.run() == size + 100
    log.whole = log.export(tmp_path / "whole")  # type: ignore[attr-defined]
    log.before = log.head()  # type: ignore[attr-defined]
    log.restore()
    assert log.head()[0] == size
    return log


def verified(place: Path, *arguments: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        keys = [part for key in verifier_keys.published() for part in ("--key", str(key))]
        status = verify.main([str(place), *keys, *arguments])
    assert status == 0, out.getvalue()
    return out.getvalue()


def command(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


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
        asking = outside.asking(policy, log.first)
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
    with pytest.raises(signer.SignerRefusal, match="not that 158 entries of it were signed"):
        restored.run()


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


def test_a_new_log_begins_with_nothing_but_its_succession(as_role: Open) -> None:
    """The sequencer cannot put anything else there, whoever has opened the new log."""
    body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body
    as_role("app").execute("SELECT log.append(%s)", [body])
    migrate = as_role("migrate")
    migrate.execute(SQL("SET ROLE {}").format(Identifier(core_database.role_name("log_owner"))))
    migrate.execute("INSERT INTO log.origin (number, base) VALUES (2, 0)")
    with pytest.raises(psycopg.Error, match="begins by saying so"):
        sequencer.step(as_role("sequencer"))


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
