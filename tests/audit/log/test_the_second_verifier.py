"""Our logs are read by software of others, and what our check refuses of the tree, that one refuses too."""

from __future__ import annotations

import pytest

from tests.audit.log.logs import ORIGIN, Key
from tests.audit.log.second_verifier import audit_files, refused, second_verifier
from tests.audit.log.test_check import FILES, KEY, LOG, TAMPERED, rewritten

VKEY = str(KEY)


@pytest.mark.parametrize("size", [1, 2, 20, 255, 256, 257, 511, 512, 513, 520])
def test_it_accepts_an_honest_log_of_any_size_and_that_it_extends_its_past(size: int) -> None:
    for old in {1, 255, 256, 257, size}:
        if old <= size:
            assert audit_files(LOG.files(size), VKEY, old=(old, LOG.checkpoint(old).root)) == size


@pytest.mark.parametrize("name", TAMPERED)
def test_it_refuses_what_ours_refuses(name: str) -> None:
    reason = refused(lambda: audit_files(TAMPERED[name][0], VKEY))
    assert reason, "it says why"


def test_a_history_rewritten_and_signed_agrees_with_itself_here_too_and_only_an_older_checkpoint_shows_it() -> None:
    files = rewritten().files()
    assert audit_files(files, VKEY) == 520
    assert audit_files(files, VKEY, old=(300, LOG.checkpoint(300).root)) == 520
    assert "not consistent" in refused(lambda: audit_files(files, VKEY, old=(301, LOG.checkpoint(301).root)))


def test_a_shorter_log_with_a_valid_signature_is_only_shown_by_an_older_checkpoint() -> None:
    files = LOG.files(400)
    assert audit_files(files, VKEY) == 400
    assert "fewer than 401" in refused(lambda: audit_files(files, VKEY, old=(401, LOG.checkpoint(401).root)))


def test_it_wants_the_right_key() -> None:
    refused(lambda: audit_files(FILES, str(Key(ORIGIN, 2).public)))


def test_our_receipts_hold_before_it() -> None:
    other = second_verifier()
    for index in (0, 255, 256, 519):
        receipt = LOG.receipt(index)
        leaf, root = other.leaf_hash(LOG.bodies[index]), LOG.checkpoint().root
        assert other.verify_inclusion(leaf, index, 520, list(receipt.hashes), root)
        assert not other.verify_inclusion(leaf, (index + 1) % 520, 520, list(receipt.hashes), root)
