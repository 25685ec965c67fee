"""One byte of a published log flipped: under the tree and the log's signature it is noticed, in a witness's line it costs that
cosignature at most."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.log.check import Refused, check_log, check_witnesses
from audit.log.checkpoint import NoteError, open_checkpoint
from audit.log.policy import Policy
from tests.audit.log.logs import Log, entries, witness
from tests.audit.log.second_verifier import audit_files, refused

LOG = Log(entries(500))
KEY = LOG.key.public
FILES = LOG.files()
WHOLE = sum(map(len, FILES.values()))


def _flipped(data: bytes, at: int, by: int) -> bytes:
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


@given(st.integers(0, WHOLE - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_flip_anywhere_in_an_export_of_500_entries_is_noticed(at: int, by: int) -> None:
    for path, data in FILES.items():
        if at < len(data):
            files = FILES | {path: _flipped(data, at, by)}
            with pytest.raises(Refused):
                check_log(files.__getitem__, [KEY])
            return
        at -= len(data)
    raise AssertionError("unreachable: every place lies in a file")


def test_every_byte_of_an_export_of_20_entries_is_noticed_by_the_second_verifier_too() -> None:
    files = LOG.files(20)
    for path, data in files.items():
        for at in range(len(data)):
            flipped = {**files, path: _flipped(data, at, 1 << at % 8)}
            assert refused(lambda flipped=flipped: audit_files(flipped, str(KEY)))


def test_a_flip_in_a_witness_line_costs_that_cosignature_and_nothing_else() -> None:
    trusted = [witness(1).public, witness(2).public]
    note = witness(2).cosign(witness(1).cosign(LOG.note(20), 100), 200)
    data = note.encode()
    start = len(LOG.note(20).encode())
    assert len(check_witnesses(open_checkpoint(data, [KEY]), Policy.of(trusted, 2))) == 2
    ignored = 0
    for at in range(start, len(data)):
        for by in (0x01, 0x20, 0x80):
            try:
                signed = open_checkpoint(_flipped(data, at, by), [KEY])
            except NoteError:
                continue  # no longer a note
            assert signed.checkpoint == LOG.checkpoint(20)
            assert len(check_witnesses(signed, Policy.of(trusted, 1))) == 1, at
            ignored += 1
            with pytest.raises(Refused, match="witness: "):
                check_witnesses(signed, Policy.of(trusted, 2))
    assert ignored > 50, "the line of a stranger is ignored, as the format has it"
