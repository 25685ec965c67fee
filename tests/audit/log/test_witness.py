"""The client: every status of the witness protocol has its consequence, and nothing unverified is believed."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from audit.log.checkpoint import Note, Signature, cosign, cosigned_at, sign
from audit.log.merkle import Prover
from audit.log.policy import Policy, Witness
from audit.log.witness import (
    Fork,
    KnowsMore,
    Rejected,
    Unavailable,
    WitnessClient,
    WitnessProblem,
    known_heads,
)
from tests.audit.log.logs import ORIGIN, Key, Log, entries, witness
from tests.audit.log.witnesses import Scripted, running, scripted

LOG = Log(entries(300))
KEY = LOG.key.public
ONE = witness(1)
SIZE = "text/x.tlog.size"
TEXT = "text/plain"


def prove(old: int, size: int = 300) -> list[bytes]:
    return Prover(size, LOG.tiles.get).consistency(old)


def ask(script: Scripted, *, old: int = 0, note: Note | None = None) -> list[Signature]:
    client = WitnessClient(Witness("one", ONE.public, script.url))
    try:
        return client.add_checkpoint(note or LOG.note(), old=old, prove=prove)
    finally:
        client.close()


def line(key: Key = ONE, note: Note | None = None) -> bytes:
    return str(cosign((note or LOG.note()).text, key.public, key.private, time=1_800_000_000)).encode()


def test_200_gives_the_lines_of_the_known_key_only() -> None:
    body = line(witness(2)) + line()
    with scripted((200, TEXT, body)) as script:
        (found,) = ask(script)
    assert cosigned_at(LOG.note().text, ONE.public, found) == 1_800_000_000
    assert script.requests == [b"old 0\n\n" + LOG.note().encode()]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"nonsense",
        line()[:-1],
        line(witness(2)),  # a stranger's only
        line(note=LOG.note(299)),  # of another checkpoint
        line() + line(note=LOG.note(299)),
        line().replace(b"1", b"2", 1),
        b"x" * 70_000,
    ],
)
def test_200_with_anything_else_is_believed_by_nobody(body: bytes) -> None:
    with scripted((200, TEXT, body)) as script, pytest.raises(Unavailable):
        ask(script)


def test_409_with_a_size_is_proved_from_there() -> None:
    with scripted((409, f"{SIZE}; charset=utf-8", b"100\n"), (200, TEXT, line())) as script:
        assert len(ask(script)) == 1
    assert [request.split(b"\n")[0] for request in script.requests] == [b"old 0", b"old 100"]
    assert script.requests[1].count(b"\n", 0, script.requests[1].index(b"\n\n") + 1) == 1 + len(prove(100))


def test_409_with_our_own_size_is_asked_again_without_a_proof() -> None:
    with scripted((409, SIZE, b"300\n"), (200, TEXT, line())) as script:
        assert len(ask(script)) == 1
    assert script.requests[1].startswith(b"old 300\n\n")


def test_409_with_a_new_size_every_time_is_given_up_after_three_more() -> None:
    with scripted(*[(409, SIZE, f"{n}\n".encode()) for n in range(1, 9)]) as script, pytest.raises(Unavailable):
        ask(script)
    assert len(script.requests) == 4


def test_409_with_a_larger_size_than_ours_stops_at_once() -> None:
    with scripted((409, SIZE, b"301\n")) as script, pytest.raises(KnowsMore) as caught:
        ask(script)
    assert (caught.value.size, len(script.requests)) == (301, 1)


@pytest.mark.parametrize("body", [b"", b"100", b"0100\n", b"-1\n", b"100\n\n", b"ten\n", b"\xff\n", b"9" * 30 + b"\n"])
def test_409_with_a_size_that_is_none_is_nonsense(body: bytes) -> None:
    with scripted((409, SIZE, body)) as script, pytest.raises(Unavailable, match="malformed"):
        ask(script)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "problem"),
    [
        (409, TEXT, Fork),
        (409, "", Fork),
        (422, TEXT, Fork),
        (422, SIZE, Fork),
        (403, TEXT, Rejected),
        (404, TEXT, Rejected),
        (400, TEXT, Rejected),
        (405, TEXT, Rejected),
        (413, TEXT, Rejected),
        (301, TEXT, Rejected),
        (204, TEXT, Rejected),
        (429, TEXT, Unavailable),
        (500, TEXT, Unavailable),
        (502, TEXT, Unavailable),
        (503, TEXT, Unavailable),
    ],
)
def test_every_other_status_has_its_consequence_and_is_not_asked_twice(
    status: int, kind: str, problem: type[WitnessProblem]
) -> None:
    with scripted((status, kind, b"" if status == 204 else b"why\n")) as script, pytest.raises(problem) as caught:
        ask(script)
    assert type(caught.value) is problem
    assert len(script.requests) == 1
    if isinstance(caught.value, Rejected):
        assert caught.value.status == status


def test_no_answer_is_unavailable() -> None:
    with scripted(None) as script, pytest.raises(Unavailable):
        ask(script)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        listed = Witness("one", ONE.public, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Unavailable):
            WitnessClient(listed, timeout=0.2).add_checkpoint(LOG.note(), old=0, prove=prove)
    with pytest.raises(Unavailable):  # nobody listens there any more
        WitnessClient(listed, timeout=0.2).add_checkpoint(LOG.note(), old=0, prove=prove)


def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    with scripted((200, TEXT, line()), None, (200, TEXT, line())) as script:
        client = WitnessClient(Witness("one", ONE.public, script.url))
        assert client.add_checkpoint(LOG.note(), old=0, prove=prove)
        assert client.add_checkpoint(LOG.note(), old=300, prove=prove)
        client.close()
    assert len(script.requests) == 3


def test_our_own_witness_cosigns_over_real_http_as_the_log_grows(tmp_path: Path) -> None:
    with running(tmp_path, "w.example", [KEY]) as one:
        client = WitnessClient(one.listed)
        for old, size in ((0, 1), (1, 255), (0, 256), (255, 257), (257, 257), (3, 300)):
            note = LOG.note(size)
            found = client.add_checkpoint(note, old=old, prove=lambda known, size=size: prove(known, size))  # type: ignore[misc]
            assert cosigned_at(note.text, one.key.public, found[0]) <= time.time() + 1
        with pytest.raises(KnowsMore) as caught:
            client.add_checkpoint(LOG.note(200), old=0, prove=lambda old: prove(old, 200))
        assert caught.value.size == 300
        seen = client.seen(ORIGIN, [KEY])
        assert seen is not None
        assert seen.checkpoint == LOG.checkpoint()
        assert client.seen("another.example/log", [KEY]) is None
        client.close()


def test_our_own_witness_does_not_cosign_a_fork(tmp_path: Path) -> None:
    other = Log([*entries(299), b"{}"])
    with running(tmp_path, "w.example", [KEY]) as one:
        client = WitnessClient(one.listed)
        client.add_checkpoint(LOG.note(), old=0, prove=prove)
        for size in (300, 299):
            with pytest.raises((Fork, KnowsMore)):
                client.add_checkpoint(other.note(size), old=size, prove=lambda _: [])
        with pytest.raises(Fork):
            client.add_checkpoint(other.note(), old=300, prove=lambda _: [])
        client.close()
        assert one.state.contradictions() == [other.note().encode()]


def test_a_checkpoint_under_two_keys_of_one_log_is_cosigned_while_the_key_is_replaced(tmp_path: Path) -> None:
    successor = Key(ORIGIN, 9)
    both = LOG.note().with_signatures(sign(LOG.note().text, successor.public, successor.private))
    after = Note(LOG.note().text, both.signatures[1:])
    with (
        running(tmp_path / "old", "old.example", [KEY]) as old,
        running(tmp_path / "both", "both.example", [KEY, successor.public]) as knows,
    ):
        for one in (old, knows):
            client = WitnessClient(one.listed)
            assert client.add_checkpoint(both, old=0, prove=prove)
            client.close()
        client = WitnessClient(knows.listed)
        assert client.add_checkpoint(after, old=300, prove=prove)
        client.close()
        client = WitnessClient(old.listed)
        with pytest.raises(Rejected, match="does not trust the key"):
            client.add_checkpoint(after, old=300, prove=prove)
        client.close()


def test_what_every_witness_has_seen_is_asked_and_verified(tmp_path: Path) -> None:
    strange = Log(LOG.bodies, Key(ORIGIN, 5))
    answers: list[Any] = [(200, TEXT, strange.note().encode())]
    with (
        running(tmp_path / "a", "a.example", [KEY]) as a,
        running(tmp_path / "b", "b.example", [KEY]) as b,
        scripted(*answers) as liar,
    ):
        client = WitnessClient(a.listed)
        client.add_checkpoint(LOG.note(200), old=0, prove=prove)
        client.close()
        policy = Policy(
            (),
            (a.listed, b.listed, Witness("liar", ONE.public, liar.url), Witness("paper", witness(2).public)),
            {},
            "none",
        )
        first, second, third = known_heads(policy, ORIGIN, [KEY])
    assert first.signed is not None
    assert first.signed.checkpoint == LOG.checkpoint(200)
    assert (second.signed, second.problem) == (None, "")
    assert third.signed is None
    assert "no checkpoint of this log" in third.problem
    (down, *_) = known_heads(policy, ORIGIN, [KEY], timeout=0.2)
    assert (down.signed, "does not answer" in down.problem) == (None, True)
