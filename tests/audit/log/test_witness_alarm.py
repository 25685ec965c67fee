"""What happens when a witness knows another log than this database, or more of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.log import sequencer, storage, verifier_keys
from audit.log.checkpoint import Checkpoint, Note, sign
from audit.log.cosigning import WitnessAlarm
from audit.log.merkle import Prover
from audit.log.witness import WitnessClient
from audit.oversight import health
from tests.audit.log.witnessed import Site, settle
from tests.audit.log.witnesses import Running

Open = Callable[..., psycopg.Connection]
ROOT = Path(__file__).parents[3]


def other_tree(site: Site, size: int, root: bytes = b"\7" * 32) -> Note:
    """A checkpoint with the log's own signature, of a tree that this database does not have."""
    from core import state

    private = Ed25519PrivateKey.from_private_bytes((state.directory("signer") / "key").read_bytes())
    key = verifier_keys.published()[0]
    text = Checkpoint(key.name, size, root).text
    return Note(text, (sign(text, key, private),))


def show(one: Running, note: Note, old: int = 0) -> None:
    client = WitnessClient(one.listed)
    client.add_checkpoint(note, old=old, prove=lambda _: [])
    client.close()


@pytest.mark.parametrize(("size", "code"), [(50, "ahead"), (2, "fork"), (1, "fork")])
def test_a_witness_that_has_seen_another_log_freezes_this_one(site: Site, size: int, code: str) -> None:
    site.grow(2)
    show(site.witnesses[1], other_tree(site, size))
    with site.client() as asking, pytest.raises(WitnessAlarm, match=f"holds a checkpoint of {size} entries"):
        settle(asking, site.own)
    reason, known_size, known_root = site.app.execute(
        "SELECT reason, known_size, known_root FROM logwork.frozen"
    ).fetchone()
    assert "The witness w1 does not cosign the log of 2 entries" in reason
    assert (known_size, bytes(known_root)) == (size, b"\7" * 32)
    (entry,) = site.logged("log:witness:contradicted")
    assert (entry["reason"], entry["signed"], entry["known"]) == (code, 2, size)
    assert site.app.execute("SELECT count(*) FROM log.leaf").fetchone() == (2,), "the entry takes nobody's place"
    with pytest.raises(sequencer.Frozen):
        sequencer.step(site.as_role("sequencer"))
    with site.client() as again:
        assert again.step(site.own) is False, "nobody is asked while the log is frozen"
    assert health.state().state == "bad"


def test_the_alarm_ends_the_process_for_good(site: Site, database: Any) -> None:
    site.grow(2)
    show(site.witnesses[1], other_tree(site, 9))
    done = subprocess.run(
        [sys.executable, "manage.py", "witness_client"],
        cwd=ROOT,
        env={**database.environment, "GLASSCASE_WITNESS_POLICY": str(site.policy_file)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "The log is frozen until somebody has looked at it" in done.stderr


def test_a_signer_that_was_restored_with_its_database_is_told_by_the_witnesses(site: Site) -> None:
    from audit.log import outside
    from audit.log.comparison import first_contradiction

    site.grow(3)
    site.cosign()
    known = outside.asking(site.policy)(verifier_keys.published())
    assert [(earlier.what, earlier.checkpoint.size) for earlier in known] == [
        (f"the witness w{number}", 3) for number in range(3)
    ]
    two = Prover(2, storage.getter(site.app, 2))
    found = first_contradiction(size=2, root=two.root(), get=storage.getter(site.app, 2), known=known)
    assert found is not None
    assert "the witness w0 knows 3" in found.reason
