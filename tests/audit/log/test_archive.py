"""The archive of checkpoints: written once, whole or passed over, the largest found first."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.log.archive import Archive, ArchiveDamaged
from audit.log.checkpoint import Checkpoint, Note, sign
from tests.audit.log.logs import ORIGIN, Key

KEY = Key()


def checkpoint(size: int, key: Key = KEY) -> bytes:
    text = Checkpoint(ORIGIN, size, size.to_bytes(32, "big")).text
    return Note(text).with_signatures(sign(text, key.public, key.private)).encode()


def test_the_largest_is_found_whatever_the_order(tmp_path: Path) -> None:
    archive = Archive(tmp_path, ORIGIN)
    assert archive.largest([KEY.public]) is None
    for size in (7, 999, 1000, 12_345, 3, 1_000_000, 999_999):
        archive.keep(size, checkpoint(size))
    sizes = [signed.checkpoint.size for signed in archive.checkpoints([KEY.public])]
    assert sizes == [1_000_000, 999_999, 12_345, 1000, 999, 7, 3]
    assert [s.checkpoint.size for s in archive.checkpoints([KEY.public], up_to=1000)] == [1000, 999, 7, 3]
    assert Archive(tmp_path, "log.example.org/other").largest([KEY.public]) is None


def test_a_checkpoint_is_written_once_and_nobody_may_write_it_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path, ORIGIN)
    archive.keep(5, checkpoint(5))
    (place,) = [found for found in tmp_path.rglob("*") if found.is_file()]
    before = place.stat()
    archive.keep(5, checkpoint(5))
    after = place.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert after.st_mode & 0o777 == 0o400
    assert archive.holds(checkpoint(5), 5)
    assert not archive.holds(checkpoint(6), 6)


def test_two_checkpoints_of_one_size_lie_side_by_side(tmp_path: Path) -> None:
    archive, other = Archive(tmp_path, ORIGIN), Key(seed=2)
    archive.keep(5, checkpoint(5))
    archive.keep(5, checkpoint(5, other))
    assert archive.holds(checkpoint(5), 5)
    assert archive.holds(checkpoint(5, other), 5)


def test_an_unfinished_file_is_passed_over_and_the_whole_one_put_beside_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path, ORIGIN)
    archive.keep(4, checkpoint(4))
    archive.keep(5, checkpoint(5))
    (place,) = tmp_path.rglob("005.*")
    place.chmod(0o600)
    place.write_bytes(checkpoint(5)[:40])
    largest = archive.largest([KEY.public])
    assert largest is not None
    assert largest.checkpoint.size == 4
    archive.keep(5, checkpoint(5))
    assert place.read_bytes() == checkpoint(5)[:40], "nothing is overwritten"
    assert archive.holds(checkpoint(5), 5)


def test_a_stranger_s_file_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    archive = Archive(tmp_path, ORIGIN)
    archive.keep(4, checkpoint(4))
    archive.keep(9, checkpoint(9, Key(seed=3)))
    archive.keep(8, checkpoint(7))  # says another size than its name
    assert [signed.checkpoint.size for signed in archive.checkpoints([KEY.public])] == [4]


def test_an_archive_full_of_damage_is_an_error_and_not_a_loop(tmp_path: Path) -> None:
    archive = Archive(tmp_path, ORIGIN)
    archive.keep(5, checkpoint(5))
    (place,) = tmp_path.rglob("005.*")
    for name in (place, *(place.with_name(f"{place.name}.{number}") for number in range(1, 100))):
        name.unlink(missing_ok=True)
        name.write_bytes(b"torn")
    with pytest.raises(ArchiveDamaged):
        archive.keep(5, checkpoint(5))
