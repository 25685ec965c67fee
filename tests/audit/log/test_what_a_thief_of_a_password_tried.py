"""Attacks with the database password of one of the log's own processes, without its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError

from audit.log import journal, signer, storage, verifier_keys
from audit.log.merkle import Tree
from audit.oversight import absences
from core import database as core_database
from tests.audit.log.drill import Installation, command, verified


def test_a_head_that_the_sequencers_password_made_up_ends_the_log_but_not_the_way_out(
    log: Installation, cast: Any, tmp_path: Path
) -> None:
    """No copy could be put back, and no succession was allowed except by a cause that was a lie."""
    log.append(20)
    size = log.run()
    assert size is not None
    whole = log.export(tmp_path / "whole")
    [uid] = log.append(1)
    false = b"\7" * 32
    with core_database.connect("sequencer") as thief, thief.transaction():
        entry = thief.execute("SELECT id FROM log.entry WHERE uid = %s", [uid]).fetchone()
        assert entry is not None
        thief.execute("INSERT INTO logwork.step (size, root) VALUES (%s, %s)", [size + 1, false])
        thief.execute("INSERT INTO log.leaf (idx, entry_id) VALUES (%s, %s)", [size, entry[0]])
        thief.execute("DELETE FROM logwork.pending WHERE entry_id = %s", [entry[0]])
        thief.execute("UPDATE logwork.head SET size = %s, root = %s", [size + 1, false])
    with pytest.raises(signer.SignerRefusal, match="frozen"):
        log.run()
    with pytest.raises(CommandError, match="does not serve"):
        command("recover_log", "--from", str(whole))
    people = ["--approved-by", cast.bea.username, "--approved-by", cast.sam.username]
    command("succeed_log", "--cause", "rewritten", *people)
    log.append(1)
    assert log.run() is not None
    verified(log.export(tmp_path / "new"))


def test_a_false_tile_does_not_hide_an_entry_from_the_signed_tree(log: Installation) -> None:
    """Tiles were believed: with one that left out an entry, the signer signed a tree without it, and the gate took it as covered."""
    size = log.run() or 0
    [victim] = log.append(1)
    log.append(300)
    with core_database.connect("sequencer") as thief, thief.transaction():
        rows = thief.execute(
            "SELECT p.entry_id, e.leaf_hash, e.uid FROM logwork.pending p JOIN log.entry e ON e.id = p.entry_id ORDER BY 1"
        ).fetchall()
        tree = Tree.load(size, storage.getter(thief, size))
        full = tree.extend(b"\7" * 32 if uid == victim else bytes(leaf) for _, leaf, uid in rows)
        thief.execute("INSERT INTO logwork.step (size, root) VALUES (%s, %s)", [tree.size, tree.root()])
        thief.execute(
            "INSERT INTO log.leaf (idx, entry_id) SELECT %s + place - 1, id FROM unnest(%s::bigint[]) WITH ORDINALITY AS l (id, place)",
            [size, [entry for entry, _, _ in rows]],
        )
        [tile] = full
        with pytest.raises(psycopg.Error, match="A full tile holds"):
            thief.execute(
                "INSERT INTO log.tile (level, n, data, root) VALUES (%s, %s, %s, %s)",
                [tile.level, tile.n, tile.hashes, tile.root],
            )
        raise psycopg.Rollback
    assert log.run() == size + 301


def test_an_absence_is_stated_about_the_open_log(log: Installation, cast: Any) -> None:
    """After a succession it was a statement about entries of the old log, and under a key that the new one never announced."""
    log.append(3)
    log.run()
    journal._tagged("2026-00001")
    log.run()
    people = ["--approved-by", cast.bea.username, "--approved-by", cast.sam.username]
    command("succeed_log", "--cause", "key_stolen", *people)
    journal._tagged("2026-00002")
    size = log.run()
    assert size is not None
    stated = absences.state(by=cast.bea, number="2026-00002")
    assert (stated.origin, stated.first, stated.last) == (verifier_keys.published()[-1].name, 0, size - 1)
    with core_database.connect("reader") as own:
        rows = own.execute(
            "SELECT p.origin FROM log.place p JOIN log.entry e ON e.id = p.entry_id WHERE e.type = 'log:absence:keyed' ORDER BY 1"
        ).fetchall()
    assert rows == [(1,), (2,)]
