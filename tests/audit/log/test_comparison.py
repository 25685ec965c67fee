"""Nothing is signed, and nothing gets a place in the tree, where somebody outside knows more than the database."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.log import entries, sequencer, signer
from audit.log.check import Earlier
from audit.log.checkpoint import Checkpoint
from audit.log.outside import NobodyAnswers
from audit.log.signer import SignerRefusal, open_signer
from tests.enforcement.refusals import denied

ORIGIN = "log.test.example/one"
Open = Callable[..., psycopg.Connection]


def append(connection: psycopg.Connection, count: int = 1) -> None:
    for _ in range(count):
        body = entries.compose("core:user:signed_in", user=uuid.uuid4()).body
        connection.execute("SELECT log.append(%s)", [body])


def head(connection: psycopg.Connection) -> tuple[int, bytes]:
    row = connection.execute("SELECT size, root FROM logwork.head").fetchone()
    assert row is not None
    return int(row[0]), bytes(row[1])


def frozen(connection: psycopg.Connection) -> Any:
    return connection.execute("SELECT reason, known_size, known_root FROM logwork.frozen").fetchone()


def uncleared(as_superuser: psycopg.Connection) -> None:
    """As after a start or a restore: whatever clearance there is belongs to another run of the server."""
    as_superuser.execute("UPDATE logwork.clearance SET incarnation = 'another server'")


def test_without_the_signer_s_comparison_entries_wait_and_are_not_lost(
    as_role: Open, as_superuser: psycopg.Connection, tmp_path: Path
) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    uncleared(as_superuser)
    append(app, 3)
    assert not sequencer.is_cleared(own)
    assert sequencer.step(own) == 0
    with pytest.raises(psycopg.Error, match="has not compared"):
        own.execute("INSERT INTO log.leaf SELECT 0, min(id) FROM log.entry")
    assert head(app)[0] == 0
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        one.step(signing)
    assert sequencer.step(own) == 3
    assert app.execute("SELECT count(*) FROM logwork.pending").fetchone() == (0,)


@pytest.mark.parametrize("change", ["incarnation = 'x'", "until = clock_timestamp() - interval '1 second'"])
def test_a_clearance_ends_with_its_time_and_with_its_server(
    as_role: Open, as_superuser: psycopg.Connection, change: str
) -> None:
    assert sequencer.is_cleared(as_role("sequencer"))
    as_superuser.execute(f"UPDATE logwork.clearance SET {change}")
    assert not sequencer.is_cleared(as_role("sequencer"))


def test_a_copy_of_a_database_is_cleared_by_nobody(database: Any, as_superuser: psycopg.Connection) -> None:
    from core.database import connect, connect_superuser
    from core.initialise import restrict_database

    as_superuser.close()
    copy = f"{database.name}_copy"
    with connect_superuser() as superuser:
        superuser.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{database.name}"')
        restrict_database(superuser, copy)
        try:
            with connect_superuser(copy) as there:
                assert there.execute("SELECT count(*) FROM logwork.clearance").fetchone() == (1,)
            with connect("sequencer", dbname=copy) as there:
                assert not sequencer.is_cleared(there)
        finally:
            superuser.execute(f'DROP DATABASE "{copy}"')


@pytest.mark.parametrize("role", ["app", "sequencer", "reader", "notifier", "registrar", "witness_client", "migrate"])
def test_only_the_signer_clears_and_only_it_and_the_witness_client_freeze(as_role: Open, role: str) -> None:
    connection = as_role(role)
    for statement in (
        "SELECT logwork.clear(0, sha256(''), 60)",
        *(["SELECT logwork.freeze('x', 1, sha256(''))"] if role != "witness_client" else []),
        "INSERT INTO logwork.clearance (incarnation, until) VALUES ('x', now())",
        "UPDATE logwork.clearance SET until = now()",
        "DELETE FROM logwork.clearance",
        "DELETE FROM logwork.frozen",
    ):
        with denied():
            connection.execute(statement)


def test_the_signer_clears_only_the_tree_that_is_there(as_role: Open) -> None:
    signing = as_role("signer")
    for size, root, seconds in ((5, b"\1" * 32, 60), (0, b"\1" * 32, 60), (0, signer.EMPTY_ROOT, 3601)):
        with pytest.raises(psycopg.Error) as caught:
            signing.execute("SELECT logwork.clear(%s, %s, %s)", [size, root, seconds])
        assert caught.value.sqlstate in ("GC403", "GC422")
    signing.execute("SELECT logwork.freeze('A drill.')")
    with pytest.raises(psycopg.Error) as caught:
        signing.execute("SELECT logwork.clear(0, sha256(''), 60)")
    assert caught.value.sqlstate == "GC503"


def test_a_signer_restored_with_its_database_is_stopped_by_the_archive(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    place, archive = tmp_path / "signer", tmp_path / "archive"
    append(app, 3)
    sequencer.step(own)
    with open_signer(place, ORIGIN, archive=archive) as one:
        one.step(signing)
        key = (place / "key").read_bytes()
    backup = tmp_path / "backup"
    shutil.copytree(place, backup)
    # What was signed since: in a database that is not there any more, by the same key.
    with open_signer(place, ORIGIN, archive=archive) as one:
        text = Checkpoint(ORIGIN, 8, b"\5" * 32).text
        key_ = signer.SigningKey.of(key, ORIGIN)
        note = signer.Note(text).with_signatures(signer.sign(text, key_.public, key_.private)).encode()
        one._archive.keep(8, note)
    with (
        open_signer(backup, ORIGIN, archive=archive) as restored,
        pytest.raises(SignerRefusal, match=r"the archive of checkpoints in .* knows 8.*log-recovery"),
    ):
        restored.step(signing)
    reason, size, root = frozen(app)
    assert "restored from a backup" in reason
    assert (size, bytes(root)) == (8, b"\5" * 32)
    append_refused(app)
    with pytest.raises(sequencer.Frozen):
        sequencer.step(own)


def append_refused(app: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        append(app)
    assert caught.value.sqlstate == "GC503"


@pytest.mark.parametrize(
    ("size", "own_root", "sentence"),
    [
        (9, False, "The Board's witness knows 9"),
        (3, False, "is not the one that The Board's witness knows"),
        (2, False, "does not extend the 2 that The Board's witness knows"),
        (3, True, None),
        (0, True, None),
    ],
)
def test_what_a_witness_holds_is_compared_at_the_start(
    as_role: Open, tmp_path: Path, size: int, own_root: bool, sentence: str | None
) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    append(app, 3)
    sequencer.step(own)
    root = (head(app)[1] if size else signer.EMPTY_ROOT) if own_root else b"\2" * 32
    asked: list[int] = []

    def outside(_: object) -> list[Earlier]:
        asked.append(1)
        return [Earlier("The Board's witness", Checkpoint(ORIGIN, size, root))]

    with open_signer(tmp_path / "signer", ORIGIN, outside=outside) as one:
        if sentence is None:
            assert one.step(signing) == 3
            one.step(signing)
            assert len(asked) == 1, "not at every step"
        else:
            with pytest.raises(SignerRefusal, match=sentence):
                one.step(signing)
            assert app.execute("SELECT count(*) FROM log.checkpoint").fetchone() == (0,)
    assert (frozen(app) is None) == (sentence is None)


def test_a_tree_that_grew_past_what_the_witness_knows_is_cleared_and_signed(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    append(app, 3)
    sequencer.step(own)
    held = head(app)
    append(app, 300)
    sequencer.step(own)
    outside = [Earlier("a witness", Checkpoint(ORIGIN, *held))]
    with open_signer(tmp_path / "signer", ORIGIN, outside=lambda _: outside) as one:
        assert one.step(signing) == 303


def test_a_signer_restored_alone_learns_from_the_archive_what_it_signed(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    place, archive = tmp_path / "signer", tmp_path / "archive"
    append(app, 3)
    sequencer.step(own)
    with open_signer(place, ORIGIN, archive=archive) as one:
        one.step(signing)
        state = (place / "state.json").read_bytes()
        append(app, 2)
        sequencer.step(own)
        one.step(signing)
    (place / "state.json").write_bytes(state)
    with open_signer(place, ORIGIN, archive=archive) as restored:
        assert restored.step(signing) is None
        assert restored.remembered().size == 5
    assert frozen(app) is None


def test_an_archive_that_lacks_what_was_put_there_stops_the_signer(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    place, archive = tmp_path / "signer", tmp_path / "archive"
    with open_signer(place, ORIGIN, archive=archive) as one:
        for _ in range(2):
            append(app, 3)
            sequencer.step(own)
            one.step(signing)
    assert json.loads((place / "state.json").read_text())["archived"] == 3
    archive.rename(tmp_path / "unmounted")
    with (
        open_signer(place, ORIGIN, archive=archive) as one,
        pytest.raises(SignerRefusal, match="Mount the right archive"),
    ):
        one.step(signing)
    assert frozen(app) is None, "that is no fault of the database"


def test_every_published_checkpoint_is_in_the_archive_byte_for_byte(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        for count in (1, 5, 255):
            append(app, count)
            sequencer.step(own)
            one.step(signing)
        for size, note in app.execute("SELECT size, note FROM log.checkpoint").fetchall():
            assert one._archive.holds(note.encode(), size)
        found = [signed.checkpoint.size for signed in one._archive.checkpoints([one.key])]
    assert found == [261, 6, 1]


def test_nothing_is_published_that_could_not_be_archived(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    append(app, 3)
    sequencer.step(own)
    (tmp_path / "archive").write_text("a file where the directory should be")
    with open_signer(tmp_path / "signer", ORIGIN, archive=tmp_path / "archive") as one:
        with pytest.raises(OSError):
            one.step(signing)
        assert app.execute("SELECT count(*) FROM log.checkpoint").fetchone() == (0,)
        (tmp_path / "archive").unlink()
        assert one.step(signing) == 3


def test_a_signer_clears_nothing_before_one_of_its_witnesses_has_answered(
    as_role: Open, as_superuser: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, signing = as_role("sequencer"), as_role("signer")
    uncleared(as_superuser)
    answers: list[list[Earlier] | None] = [None, [], None]

    def outside(_: object) -> list[Earlier]:
        answer = answers.pop(0)
        if answer is None:
            raise NobodyAnswers("no witness says what it knows of the log")
        return answer

    monkeypatch.setattr(signer, "OUTSIDE_SECONDS", 0.0)
    monkeypatch.setattr(signer, "COMPARE_SECONDS", 0.0)
    with open_signer(tmp_path / "signer", ORIGIN, outside=outside) as one:
        with pytest.raises(NobodyAnswers):
            one.step(signing)
        assert not sequencer.is_cleared(own)
        one.step(signing)
        assert sequencer.is_cleared(own)
        one.step(signing)  # later their silence is no reason to stop
        assert answers == []


def test_the_doctor_says_whether_database_signer_and_archive_agree(database: Any, as_role: Open, pump: Any) -> None:
    from audit.diagnosis import log

    append(as_role("app"), 3)
    pump()
    said = {finding.subject: finding for finding in log()}
    assert said["log"].fine
    assert said["log memory"].fine
    assert "the signer's memory (3) and the archive of checkpoints (3)" in said["log memory"].sentence
    memory = database.home / "signer" / "state.json"
    memory.write_text(json.dumps({"origin": ORIGIN, "size": 9, "root": "00" * 32}))
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    said = {finding.subject: finding for finding in log()}
    assert not said["log"].fine
    assert "frozen: A drill." in said["log"].sentence
    assert not said["log memory"].fine
    assert "the signer's memory knows 9" in said["log memory"].sentence
