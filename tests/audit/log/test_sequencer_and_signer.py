"""Sequencer and signer on a real database: order, restarts, two at once, and trees that were tampered with."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.log import entries, sequencer, signer, storage
from audit.log.merkle import EMPTY_ROOT
from audit.log.signer import Signer, SignerRefusal, open_signer

ORIGIN = "log.test.example/one"
Open = Callable[..., psycopg.Connection]


def append(connection: psycopg.Connection, count: int = 1) -> list[uuid.UUID]:
    made = [entries.compose("core:user:signed_in", user=uuid.uuid4()) for _ in range(count)]
    for entry in made:
        connection.execute("SELECT log.append(%s)", [entry.body])
    return [entry.id for entry in made]


def head(connection: psycopg.Connection) -> tuple[int, bytes]:
    row = connection.execute("SELECT size, root FROM logwork.head").fetchone()
    assert row is not None
    return int(row[0]), bytes(row[1])


def test_entries_get_dense_indices_in_the_order_of_their_ids(as_role: Open) -> None:
    app, own = as_role("app"), as_role("sequencer")
    append(app, 3)
    with app.transaction(force_rollback=True):
        append(app)  # its id stays a gap
    append(app, 2)
    assert sequencer.step(own) == 5
    assert own.execute("SELECT idx FROM log.leaf ORDER BY idx").fetchall() == [(i,) for i in range(5)]
    assert head(own)[0] == 5
    assert sequencer.step(own) == 0


def test_an_entry_that_commits_late_is_not_passed_over(as_role: Open) -> None:
    early, late, own = as_role("app", autocommit=False), as_role("app"), as_role("sequencer")
    first = append(early)
    second = append(late)
    assert sequencer.step(own) == 1
    early.commit()
    assert sequencer.step(own) == 1
    order = own.execute("SELECT e.uid FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id ORDER BY l.idx").fetchall()
    assert [row[0] for row in order] == [*second, *first]


def test_two_sequencers_at_once_give_every_entry_one_place(as_role: Open) -> None:
    app = as_role("app")
    append(app, 60)
    workers = [as_role("sequencer") for _ in range(2)]

    def work(connection: psycopg.Connection) -> None:
        while sequencer.step(connection, limit=7):
            pass

    threads = [threading.Thread(target=work, args=(own,)) for own in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert app.execute("SELECT count(*), count(DISTINCT entry_id), max(idx) FROM log.leaf").fetchone() == (60, 60, 59)
    assert head(app)[0] == 60


def test_full_tiles_are_stored_and_the_tree_goes_on_across_their_edge(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        for count in (200, 57, 255, 1):
            append(app, count)
            while sequencer.step(own, limit=100):
                pass
            one.step(signing)
        receipts = [
            storage.receipt(app, uid, [one.key])
            for (uid,) in app.execute("SELECT uid FROM log.entry WHERE id % 61 = 0")
        ]
        for receipt in receipts:
            body = app.execute(
                "SELECT e.body FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id WHERE l.idx = %s", [receipt.index]
            ).fetchone()
            assert body is not None
            receipt.verify(bytes(body[0]), [one.key])
    assert receipts
    assert app.execute("SELECT level, n FROM log.tile ORDER BY 1, 2").fetchall() == [(0, 0), (0, 1)]


def test_nothing_is_sequenced_after_the_leaves_were_changed(as_role: Open, as_superuser: psycopg.Connection) -> None:
    app, own = as_role("app"), as_role("sequencer")
    append(app, 4)
    sequencer.step(own)
    as_superuser.execute("ALTER EVENT TRIGGER glasscase_refuse_alter DISABLE")
    as_superuser.execute("ALTER TABLE log.entry DISABLE TRIGGER immutable_row")
    as_superuser.execute("UPDATE log.entry SET body = convert_to('{\"rewritten\":true}', 'UTF8') WHERE id = 2")
    append(app)
    with pytest.raises(sequencer.TreeMismatch):
        sequencer.step(own)
    assert head(own)[0] == 4


def test_the_signer_remembers_and_signs_growth_only_once(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    place = tmp_path / "signer"
    with open_signer(place, ORIGIN) as one:
        assert one.step(signing) is None
        assert one.remembered().root == EMPTY_ROOT
        append(app, 3)
        sequencer.step(own)
        assert one.step(signing) == 3
        assert one.step(signing) is None
        key = one.key
    with open_signer(place, ORIGIN) as again:
        assert again.key == key
        assert again.remembered().size == 3
        append(app, 2)
        sequencer.step(own)
        assert again.step(signing) == 5
    assert app.execute("SELECT size FROM log.checkpoint ORDER BY size").fetchall() == [(3,), (5,)]
    assert (place / "key").stat().st_mode & 0o777 == 0o600


def test_two_signers_with_one_key_are_refused(tmp_path: Path) -> None:
    with open_signer(tmp_path, ORIGIN), pytest.raises(SignerRefusal, match="Another signer"):
        Signer(tmp_path, ORIGIN)


@pytest.mark.parametrize("damage", ["cut", "rewritten", "grown_from_another_past"])
def test_a_tree_that_does_not_extend_the_signed_one_gets_no_signature(
    as_role: Open, tmp_path: Path, damage: str
) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    append(app, 3)
    sequencer.step(own)
    sizes = {"cut": 9, "rewritten": 3, "grown_from_another_past": 2}
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        one._remember(signer.Signed(sizes[damage], b"\1" * 32))
        with pytest.raises(SignerRefusal):
            one.step(signing)
    assert app.execute("SELECT count(*) FROM log.checkpoint").fetchone() == (0,)


def test_a_signature_lost_between_state_and_database_is_made_again(as_role: Open, tmp_path: Path) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    append(app, 3)
    sequencer.step(own)
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        size, root = head(app)
        one._remember(signer.Signed(size, root))  # killed after remembering, before the row
        assert one.step(signing) == 3


def test_an_export_verifies_and_one_changed_byte_does_not(
    as_role: Open, pump: Callable[[], None], database: Any, tmp_path: Path
) -> None:
    from audit.log import verifier_keys
    from audit.log.verify import main

    append(as_role("app"), 300)
    pump()
    assert storage.export(as_role("reader"), tmp_path / "log") == 300
    key = str(verifier_keys.published()[0])
    assert main([str(tmp_path / "log"), "--key", key]) == 0
    bundle = tmp_path / "log" / "tile" / "entries" / "000"
    data = bytearray(bundle.read_bytes())
    data[100] ^= 1
    bundle.write_bytes(data)
    assert main([str(tmp_path / "log"), "--key", key]) == 1
    with pytest.raises(FileExistsError):
        storage.export(as_role("reader"), tmp_path / "log")


def test_a_note_without_a_right_signature_is_passed_over_and_signed_again(as_role: Open, tmp_path: Path) -> None:
    """Whoever has the signer's database password, but not its key, can record a note: nobody takes it for a checkpoint."""
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        append(app, 2)
        sequencer.step(own)
        one.step(signing)
        append(app, 1)
        sequencer.step(own)
        size, root = head(app)
        text = signer.Checkpoint(ORIGIN, size, root).text
        for note in (text, text + "\n\u2014 " + ORIGIN + " " + "A" * 92 + "\n"):
            signing.execute("INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, %s)", [size, root, note])
        assert storage.latest_checkpoint(app, [one.key]) is not None
        assert storage.latest_checkpoint(app, [one.key])[0] == 2  # type: ignore[index]
        assert one.step(signing) == 3
        assert storage.latest_checkpoint(app, [one.key])[0] == 3  # type: ignore[index]


def test_however_many_notes_without_a_signature_are_recorded_the_signed_one_is_found(
    as_role: Open, tmp_path: Path
) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        append(app, 2)
        sequencer.step(own)
        one.step(signing)
        append(app, 1)
        sequencer.step(own)
        size, root = head(app)
        text = signer.Checkpoint(ORIGIN, size, root).text
        for number in range(120):
            note = f"{text}\n\u2014 {ORIGIN} {number:03}{'A' * 89}\n"
            signing.execute("INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, %s)", [size, root, note])
        found = storage.signed_checkpoint(app, [one.key])
    assert found is not None
    assert found[0] == 2


@pytest.mark.parametrize("part", ["size", "root"])
def test_a_note_that_says_something_else_than_its_row_is_refused(as_role: Open, tmp_path: Path, part: str) -> None:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    append(app, 2)
    sequencer.step(own)
    size, root = head(app)
    lie = signer.Checkpoint(ORIGIN, size + 1, root) if part == "size" else signer.Checkpoint(ORIGIN, size, b"\1" * 32)
    with pytest.raises(psycopg.Error) as caught:
        signing.execute("INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, %s)", [size, root, lie.text])
    assert caught.value.sqlstate == "GC403"


def test_the_signer_publishes_its_public_key_where_others_look(tmp_path: Path, settings: Any) -> None:
    from audit.log import verifier_keys

    settings.GLASSCASE_LOG_VKEYS = str(tmp_path / "log.vkeys")
    with open_signer(tmp_path / "signer", ORIGIN) as one:
        verifier_keys.publish([one.key])
        verifier_keys.publish([one.key])
        assert verifier_keys.published() == [one.key]
    assert (tmp_path / "log.vkeys").stat().st_mode & 0o777 == 0o644
    settings.GLASSCASE_LOG_VKEYS = str(tmp_path / "elsewhere")
    with pytest.raises(verifier_keys.NoVerifierKey):
        verifier_keys.published()
