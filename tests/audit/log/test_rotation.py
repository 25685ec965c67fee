"""Replacing the log's key: both sign for a while, nobody who has either is locked out, the old one ends."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from audit.log import entries, rotation, sequencer, signer, storage, verifier_keys, verify
from audit.log.checkpoint import Checkpoint, Note, Signature, SignatureError, VerifierKey, open_checkpoint, sign
from audit.log.signer import KeyFiles, Signer, open_signer
from core import state
from tests.audit.log.logs import ORIGIN, Key

Open = Callable[..., psycopg.Connection]


def grow(as_role: Open, one: Signer, count: int = 2) -> int:
    app, own, signing = as_role("app"), as_role("sequencer"), as_role("signer")
    for _ in range(count):
        app.execute("SELECT log.append(%s)", [entries.compose("core:user:signed_in", user=uuid.uuid4()).body])
    sequencer.step(own)
    size = one.step(signing)
    assert size is not None
    return size


def latest(as_role: Open, *keys: VerifierKey) -> int:
    found = storage.latest_checkpoint(as_role("app"), keys)
    return 0 if found is None else found[0]


def types(as_role: Open) -> list[str]:
    return [row[0] for row in as_role("app").execute("SELECT type FROM log.entry ORDER BY id").fetchall()]


def test_both_keys_sign_during_the_overlap_and_the_new_one_alone_after_it(as_role: Open, tmp_path: Path) -> None:
    signing = as_role("signer")
    files = KeyFiles(tmp_path, ORIGIN)
    with pytest.raises(rotation.RotationRefusal, match="Start the signer once"):
        rotation.begin(files, signing)
    with open_signer(tmp_path, ORIGIN) as one:
        grow(as_role, one)
        old = one.key
        with pytest.raises(rotation.RotationRefusal, match="begin first"):
            rotation.finish(files, signing)

        new = rotation.begin(files, signing)
        assert new != old
        assert new.name == old.name == ORIGIN
        with pytest.raises(rotation.RotationRefusal, match="already"):
            rotation.begin(files, signing)
        with pytest.raises(rotation.RotationRefusal, match="not signed by both"):
            rotation.finish(files, signing)
        size = grow(as_role, one)
        assert latest(as_role, old) == latest(as_role, new) == latest(as_role, old, new) == size
        note = storage.latest_checkpoint(as_role("app"), [old])
        assert note is not None
        assert open_checkpoint(note[1], [old, new]).signers == (old, new)

        assert rotation.finish(files, signing) == new
        after = grow(as_role, one)
        assert latest(as_role, new) == after
        assert latest(as_role, old) == size, "who has only the old key sees the end of the overlap"
        assert one.keys == (new,)
    with open_signer(tmp_path, ORIGIN) as again:
        assert again.keys == (new,)
        assert again.step(signing) is None
    assert types(as_role).count("log:key:announced") == types(as_role).count("log:key:rotated") == 1
    assert not files.next.exists()
    assert files.current.stat().st_mode & 0o777 == 0o600


def test_an_unchanged_tree_gets_the_second_signature_too(as_role: Open, tmp_path: Path) -> None:
    signing = as_role("signer")
    with open_signer(tmp_path, ORIGIN) as one:
        size = grow(as_role, one)
        new = rotation.begin(KeyFiles(tmp_path, ORIGIN), signing)
        assert one.step(signing) == size
        assert latest(as_role, new) == size
        assert one.step(signing) is None


def test_what_the_archive_holds_under_the_old_key_still_counts_after_it(as_role: Open, tmp_path: Path) -> None:
    signing, files = as_role("signer"), KeyFiles(tmp_path, ORIGIN)
    with open_signer(tmp_path, ORIGIN) as one:
        old = one.key
        text = Checkpoint(ORIGIN, 50, b"\5" * 32).text
        raw = signer.SigningKey.of(files.current.read_bytes(), ORIGIN)
        grow(as_role, one)
        rotation.begin(files, signing)
        one.step(signing)
        rotation.finish(files, signing)
        one._archive.keep(50, Note(text).with_signatures(sign(text, old, raw.private)).encode())
    with open_signer(tmp_path, ORIGIN) as again, pytest.raises(signer.SignerRefusal, match="knows 50"):
        again.step(signing)


@pytest.mark.parametrize("step", ["begin", "finish"])
def test_without_its_entry_no_key_is_changed(as_role: Open, tmp_path: Path, step: str) -> None:
    signing, files = as_role("signer"), KeyFiles(tmp_path, ORIGIN)
    with open_signer(tmp_path, ORIGIN) as one:
        grow(as_role, one)
        if step == "finish":
            rotation.begin(files, signing)
            one.step(signing)
        before = files.load()
        signing.execute("SELECT logwork.freeze('A drill.')")
        with pytest.raises(psycopg.Error):
            getattr(rotation, step)(files, signing)
        assert [key.public for key in files.load()] == [key.public for key in before]


def test_a_rotation_killed_after_the_new_key_took_over_goes_on_from_there(as_role: Open, tmp_path: Path) -> None:
    signing, files = as_role("signer"), KeyFiles(tmp_path, ORIGIN)
    with open_signer(tmp_path, ORIGIN) as one:
        grow(as_role, one)
        rotation.begin(files, signing)
        one.step(signing)
        both = files.public.read_bytes()
        new = rotation.finish(files, signing)
    files.public.write_bytes(both)  # killed before anybody wrote the public keys again
    with open_signer(tmp_path, ORIGIN) as again:
        assert again.keys == (new,)
        assert files.public.read_text().split() == [str(new)]


def command(step: str) -> str:
    out = io.StringIO()
    call_command("rotate_log_key", step, stdout=out)
    return out.getvalue()


def test_the_commands_print_the_key_for_the_paper_and_exports_verify_with_either(
    database: Any, as_role: Open, pump: Callable[[], None], tmp_path: Path
) -> None:
    from audit.log import journal

    journal.record_now("log:entries:viewed")
    pump()
    (old,) = verifier_keys.published()
    with pytest.raises(CommandError, match="begin first"):
        command("finish")
    said = command("begin")
    new = VerifierKey.parse(said.splitlines()[0])
    assert new.fingerprint == said.splitlines()[1].removeprefix("fingerprint ").replace(" ", "")
    pump()
    assert verifier_keys.published() == [old, new]
    storage.export(as_role("reader"), tmp_path / "overlap")
    printed = io.StringIO()
    call_command("log_key", stdout=printed)
    assert printed.getvalue().split() == [str(old), str(new)]
    for key in (old, new):
        with contextlib.redirect_stdout(io.StringIO()):
            assert verify.main([str(tmp_path / "overlap"), "--key", str(key)]) == 0
    assert VerifierKey.parse(command("finish").splitlines()[0]) == new
    pump()
    storage.export(as_role("reader"), tmp_path / "after")
    assert verifier_keys.published() == [new]
    with contextlib.redirect_stdout(io.StringIO()):
        assert verify.main([str(tmp_path / "after"), "--key", str(new)]) == 0
        assert verify.main([str(tmp_path / "after"), "--key", str(old)]) == 1
    assert state.directory("signer").stat().st_mode & 0o077 == 0


def lines_of(text: str, count: int) -> list[Signature]:
    """Lines as others would add them: ML-DSA-44 cosignatures (8 + 2420 bytes) and ones of types nobody knows yet."""
    return [
        Signature(
            f"witness{number}.example.org", bytes([6, 0, 0, number]), bytes([number]) * (2428 if number % 2 else 70)
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("others", [0, 15, 40])
def test_lines_of_other_algorithms_are_ignored_however_many(others: int) -> None:
    key = Key()
    text = Checkpoint(ORIGIN, 3, b"\3" * 32).text
    own = sign(text, key.public, key.private)
    note = Note(text).with_signatures(*lines_of(text, others), own)
    opened = open_checkpoint(note.encode(), [key.public])
    assert opened.signers == (key.public,)
    assert len(opened.note.signatures) == others + 1
    assert Note.parse(note.encode()).encode() == note.encode()


def test_a_wrong_signature_by_a_known_key_rejects_the_note_beside_sixteen_right_ones() -> None:
    keys = [Key(seed=seed) for seed in range(1, 18)]
    text = Checkpoint(ORIGIN, 3, b"\3" * 32).text
    right = [sign(text, key.public, key.private) for key in keys]
    publics = [key.public for key in keys]
    assert len(open_checkpoint(Note(text).with_signatures(*right).encode(), publics).signers) == 17
    wrong = Signature(right[-1].name, right[-1].key_id, bytes(64))
    broken = Note(text).with_signatures(*right[:-1], wrong).encode()
    with pytest.raises(SignatureError, match="is wrong"):
        open_checkpoint(broken, publics)
    assert len(open_checkpoint(broken, publics[:-1]).signers) == 16, "to whom the key is unknown, the line says nothing"
