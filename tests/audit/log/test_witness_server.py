"""`glasscase-witness`: the same table from the other side, two trees at once, and a kill between writing and answering."""

from __future__ import annotations

import hashlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from audit.log.checkpoint import Checkpoint, Note, cosignatures, encode_base64, sign
from audit.log.merkle import EMPTY_ROOT, Prover
from audit.log.witness import request_body
from audit.log.witness_key import WitnessKey
from audit.log.witness_server import CannotStart, CosigningWitness, Reply, State, main, open_key
from tests.audit.log.logs import ORIGIN, Key, Log, entries, witness
from tests.audit.log.witnesses import Running, running

REPOSITORY = Path(__file__).parents[3]
LOG = Log(entries(300))
OTHER = Log([*entries(99), *(b"{}" for _ in range(201))])
KEY = LOG.key.public
NAME = "w.example"


@pytest.fixture
def one(tmp_path: Path) -> CosigningWitness:
    key, state = open_key(tmp_path / "key", tmp_path / "state", NAME)
    return CosigningWitness(key, state, [KEY])


def body(size: int, old: int = 0, log: Log = LOG) -> bytes:
    return request_body(log.note(size), old, Prover(size, log.tiles.get).consistency(old))


def times(reply: Reply, one: CosigningWitness, note: Note) -> int:
    assert reply.status == 200
    signed = Note.parse(note.text.encode() + b"\n" + reply.body)
    return cosignatures(signed, [one._public])[one._public]


def test_what_grows_is_cosigned_and_what_was_cosigned_is_shown(one: CosigningWitness) -> None:
    shown = hashlib.sha256(ORIGIN.encode()).hexdigest()
    assert one.checkpoint(shown).status == 404
    old = 0
    for size in (0, 1, 2, 255, 256, 257, 257, 300):
        assert times(one.add_checkpoint(body(size, old)), one, LOG.note(size))
        assert one.checkpoint(shown).body == LOG.note(size).encode()
        old = size


def test_a_stale_size_is_answered_with_the_right_one(one: CosigningWitness) -> None:
    one.add_checkpoint(body(200))
    for old, size in ((0, 300), (100, 300), (0, 100), (201, 300), (0, 200)):
        reply = one.add_checkpoint(body(size, old))
        assert (reply.status, reply.content_type, reply.body) == (409, "text/x.tlog.size", b"200\n")
    fresh = one.add_checkpoint(body(300, 200))
    assert fresh.status == 200


def test_another_tree_of_the_same_size_is_refused_and_kept_as_proof(one: CosigningWitness) -> None:
    one.add_checkpoint(body(200))
    reply = one.add_checkpoint(request_body(OTHER.note(200), 200, []))
    assert (reply.status, reply.content_type) == (409, "text/plain; charset=utf-8")
    assert one._state.contradictions() == [OTHER.note(200).encode()]
    assert one.add_checkpoint(body(200, 200)).status == 200


@pytest.mark.parametrize("proof", [[], [b"\0" * 32], Prover(300, OTHER.tiles.get).consistency(200)])
def test_a_proof_that_does_not_hold_is_refused(one: CosigningWitness, proof: list[bytes]) -> None:
    one.add_checkpoint(body(200))
    assert one.add_checkpoint(request_body(LOG.note(300), 200, proof)).status == 422
    assert one.add_checkpoint(request_body(OTHER.note(300), 200, proof)).status == 422
    assert one._state.contradictions() == []
    assert one.checkpoint(hashlib.sha256(ORIGIN.encode()).hexdigest()).body == LOG.note(200).encode()


def test_a_proof_where_there_has_to_be_none_and_an_empty_tree_with_a_root_are_refused(one: CosigningWitness) -> None:
    assert one.add_checkpoint(request_body(LOG.note(200), 0, [b"\0" * 32])).status == 422
    text = Checkpoint(ORIGIN, 0, b"\1" * 32).text
    note = Note(text, (sign(text, KEY, LOG.key.private),))
    assert one.add_checkpoint(request_body(note, 0, [])).status == 422
    text = Checkpoint(ORIGIN, 0, EMPTY_ROOT).text
    note = Note(text, (sign(text, KEY, LOG.key.private),))
    assert one.add_checkpoint(request_body(note, 0, [])).status == 200
    assert one.add_checkpoint(body(1)).status == 200


def test_only_a_signature_by_a_known_key_of_a_known_log_counts(one: CosigningWitness) -> None:
    stranger = Log(LOG.bodies, Key(ORIGIN, 5))
    assert one.add_checkpoint(body(10, log=stranger)).status == 403
    text = Checkpoint("unknown.example/log", 10, b"\1" * 32).text
    unknown = Key("unknown.example/log", 1)
    note = Note(text, (sign(text, unknown.public, unknown.private),))
    assert one.add_checkpoint(request_body(note, 0, [])).status == 404
    wrong = Note(LOG.note(10).text, LOG.note(11).signatures)
    assert one.add_checkpoint(request_body(wrong, 0, [])).status == 403
    also = stranger.note(10).with_signatures(*LOG.note(10).signatures)
    assert one.add_checkpoint(request_body(also, 0, [])).status == 200


@pytest.mark.parametrize(
    "made",
    [
        b"",
        b"old 0\n",
        body(10).replace(b"old 0", b"old 00"),
        body(10).replace(b"old 0", b"old -1"),
        body(10).replace(b"old 0", b"old  0"),
        body(10).replace(b"old 0", b"size 0"),
        body(10).replace(b"old 0", b"old \xff"),
        body(10).replace(b"old 0\n", b"old 0\n" + b"A" * 44 + b"\n"),
        body(10).replace(b"old 0\n", b"old 0\nAAAA\n"),
        body(10).replace(b"old 0\n", b"old 0\n" + (encode_base64(bytes(32)).encode() + b"\n") * 64),
        body(10)[:-1],
        body(10).replace(b"\n10\n", b"\n010\n"),
        b"old 11" + body(10)[5:],
    ],
)
def test_what_is_malformed_is_refused(one: CosigningWitness, made: bytes) -> None:
    assert one.add_checkpoint(made).status == 400


def test_lines_by_others_under_the_checkpoint_are_not_kept(one: CosigningWitness) -> None:
    note = witness(1).cosign(LOG.note(10), 5)
    assert one.add_checkpoint(request_body(note, 0, [])).status == 200
    assert one.checkpoint(hashlib.sha256(ORIGIN.encode()).hexdigest()).body == LOG.note(10).encode()


def test_two_trees_shown_at_once_are_never_both_cosigned(tmp_path: Path) -> None:
    """Each thread is its own view of the log; whatever comes first, all cosigned trees extend one another."""
    cosigned: list[tuple[int, Log]] = []
    with running(tmp_path, NAME, [KEY]) as one:
        barrier = threading.Barrier(4)

        def push(log: Log) -> None:
            barrier.wait()
            old = 0
            for size in range(100, 130):
                reply = post(one, body(size, old, log))
                if reply[0] == 200:
                    cosigned.append((size, log))
                    old = size
                elif reply[0] == 409 and reply[1] == "text/x.tlog.size":
                    old = min(int(reply[2]), size)

        threads = [threading.Thread(target=push, args=(log,)) for log in (LOG, OTHER, LOG, OTHER)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert cosigned
    assert len({id(log) for _, log in cosigned}) == 1, "one of the two histories, never both"


def post(one: Running, data: bytes, path: str = "/add-checkpoint") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(one.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", path, body=data)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type") or "", answer.read()
    finally:
        connection.close()


def test_over_http_there_is_nothing_else_and_nothing_endless(tmp_path: Path) -> None:
    with running(tmp_path, NAME, [KEY]) as one:
        assert post(one, body(10), "/elsewhere")[0] == 404
        assert post(one, body(10), "/behind/a/proxy/add-checkpoint")[0] == 200
        assert post(one, b"x" * 70_000)[0] == 413
        host, port = one.url.removeprefix("http://").split(":")
        for head, status in (
            (b"POST /add-checkpoint HTTP/1.1\r\n\r\n", b"411"),
            (b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
            (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"411"),
            (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", b"413"),
            (b"PUT /add-checkpoint HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"501"),
            (b"GET /add-checkpoint HTTP/1.1\r\n\r\n", b"404"),
            (b"GET /" + b"0" * 64 + b"/checkpoint HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        ):
            with socket.create_connection((host, int(port)), timeout=10) as plain:
                plain.sendall(head)
                assert plain.recv(65536).split(b" ")[1] == status, head
        assert post(one, body(11, 10))[0] == 200


def test_a_state_that_cannot_be_written_cosigns_nothing(tmp_path: Path) -> None:
    with running(tmp_path, NAME, [KEY]) as one:
        with one.state._open() as held:
            held.execute("DROP TABLE seen")
        assert post(one, body(10))[0] == 503


# Start-up


def test_the_first_start_makes_a_key_that_its_owner_alone_may_read(tmp_path: Path) -> None:
    key, state = open_key(tmp_path / "key", tmp_path / "state", NAME)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    assert state.owner() == str(key.public)
    assert open_key(tmp_path / "key", tmp_path / "state", None)[0] == key
    assert WitnessKey.parse(key.encode()) == key
    assert key.encode().strip() not in repr(key)


def test_a_first_start_that_was_cut_short_is_taken_up_again(tmp_path: Path) -> None:
    State.create(tmp_path / "state")
    key, _ = open_key(tmp_path / "key", tmp_path / "state", NAME)
    (tmp_path / "state").unlink()
    State.create(tmp_path / "state")  # killed after the key, before it was claimed
    again, state = open_key(tmp_path / "key", tmp_path / "state", NAME)
    assert (again, state.owner()) == (key, str(key.public))


def test_a_key_is_not_used_without_what_it_has_cosigned(tmp_path: Path) -> None:
    open_key(tmp_path / "key", tmp_path / "state", NAME)
    (tmp_path / "state").rename(tmp_path / "moved")
    with pytest.raises(CannotStart, match="what was cosigned with it"):
        open_key(tmp_path / "key", tmp_path / "state", NAME)
    (tmp_path / "moved").rename(tmp_path / "state")
    (tmp_path / "key").unlink()
    with pytest.raises(CannotStart, match="belongs to the key"):
        open_key(tmp_path / "key", tmp_path / "state", NAME)
    (tmp_path / "key").write_text(WitnessKey.generate("w2.example").encode())
    with pytest.raises(CannotStart, match="belongs to another key"):
        open_key(tmp_path / "key", tmp_path / "state", None)


@pytest.mark.parametrize(
    "text",
    ["", "PRIVATE+KEY+x", "PRIVATE+KEY+x+00000000+AAAA", "secret", "PRIVATE+KEY+w+00000000+" + "BA" + "A" * 42 + "\n"],
)
def test_a_file_that_is_no_key_is_a_sentence_that_does_not_show_it(tmp_path: Path, text: str) -> None:
    State.create(tmp_path / "state")
    (tmp_path / "key").write_text(text)
    with pytest.raises(CannotStart) as caught:
        open_key(tmp_path / "key", tmp_path / "state", NAME)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name the log to watch with --log"),
        (["--log", "nonsense"], "--log: 'nonsense' is not a verifier key"),
        (["--log", str(witness(1).public)], "is not a log's"),
        (["--log", str(KEY), "--listen", "8090"], "is not HOST:PORT"),
        (["--log", str(KEY), "--listen", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["--log", str(KEY), "--name", "a b"], "is not the name of a key"),
    ],
)
def test_what_cannot_be_started_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    files = ["--state", str(tmp_path / "state"), "--key", str(tmp_path / "key")]
    assert main([*files, *(["--name", NAME] if "--name" not in arguments else []), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_busy_port_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--state", str(tmp_path / "state"), "--key", str(tmp_path / "key"), "--name", NAME, "--log", str(KEY)]
    with socket.create_server(("127.0.0.1", 0)) as busy:
        assert main([*files, "--listen", f"127.0.0.1:{busy.getsockname()[1]}"]) == 2
    assert "cannot be listened on" in capsys.readouterr().err


# The same program, killed when it has written and not yet answered, and without anything but Python.

KILLED = """
import os, signal, sys
from audit.log import witness_server
witness_server.CosigningWitness._cosign = lambda self, text: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(witness_server.main(sys.argv[1:]))
"""
BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {"audit"}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
from audit.log import ed25519, witness_server
assert not ed25519.HAVE_CRYPTOGRAPHY
sys.exit(witness_server.main(sys.argv[1:]))
"""


def test_killed_between_writing_and_answering_it_has_vouched_and_answers_the_next_time(tmp_path: Path) -> None:
    with running(tmp_path, NAME, [KEY]) as one:
        assert post(one, body(100))[0] == 200
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *files(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as dying:
        url = listening(dying)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            post(Running(one.key, one.state, one.witness, url), body(200, 100))
        assert dying.wait(10) == -signal.SIGKILL
    with running(tmp_path, NAME, [KEY]) as again:
        fork = request_body(OTHER.note(200), 100, Prover(200, OTHER.tiles.get).consistency(100))
        assert post(again, fork) == (409, "text/x.tlog.size", b"200\n")
        assert post(again, request_body(OTHER.note(200), 200, []))[:2] == (409, "text/plain; charset=utf-8")
        assert post(again, body(200, 200))[0] == 200


def test_it_needs_python_alone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKED, *files(tmp_path), "--name", NAME],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as alone:
        try:
            key, state = (
                open_key(tmp_path / "key", tmp_path / "state", None) if (url := listening(alone)) else (None, None)
            )
            assert key is not None
            assert state is not None
            one = Running(key, state, CosigningWitness(key, state, [KEY]), url)
            status, _, lines = post(one, body(100))
            assert status == 200
            signed = Note.parse(LOG.note(100).text.encode() + b"\n" + lines)
            assert list(cosignatures(signed, [key.public])) == [key.public]
        finally:
            alone.terminate()


def files(directory: Path) -> list[str]:
    return [
        *("--state", str(directory / "state"), "--key", str(directory / "key")),
        *("--log", str(KEY), "--listen", "127.0.0.1:0"),
    ]


def listening(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    vkey = process.stdout.readline()
    assert vkey.startswith(NAME + "+")
    return process.stdout.readline().rsplit(" ", 1)[1].strip()
