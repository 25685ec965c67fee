"""`glasscase-witness`: a witness for the oversight board's own machine (C2SP tlog-witness).

    glasscase-witness --state FILE --key FILE --name NAME --log VKEY [--log VKEY …] [--listen HOST:PORT]
    glasscase-witness --state FILE --key FILE [--name NAME] --show-key

It remembers of each log the largest checkpoint that it has cosigned, and cosigns another one only where that extends it.
What it has seen is on disk before the cosignature exists, in one transaction with the check, so no two trees that
contradict each other are ever cosigned, whatever is asked at once and whenever it is killed. The first start makes the
key; the verifier key that it prints goes to whoever checks the log. Needs Python alone.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

from audit.log.checkpoint import (
    ED25519,
    Checkpoint,
    Note,
    NoteError,
    SignatureError,
    SignedCheckpoint,
    VerifierKey,
    cosign,
    decode_hash,
    decode_number,
    open_checkpoint,
)
from audit.log.merkle import EMPTY_ROOT, verify_consistency
from audit.log.witness import MAX_PROOF, SIZE_TYPE
from audit.log.witness_key import WitnessKey

LISTEN: Final = "127.0.0.1:8090"
MAX_BODY: Final = 65_536
TEXT: Final = "text/plain; charset=utf-8"
_BUSY_SECONDS: Final = 5.0
_MOST_AT_ONCE: Final = 32
_PATIENCE: Final = 10.0  # seconds for a request to arrive
_SEEN: Final = re.compile(r"/([0-9a-f]{64})/checkpoint", re.ASCII)


class CannotStart(Exception):
    """The witness cannot be started as it was asked to."""


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = TEXT

    @classmethod
    def refusing(cls, status: int, sentence: str) -> Reply:
        return cls(status, f"{sentence}\n".encode())


@dataclass(frozen=True)
class Request:
    """The body of add-checkpoint, read but not believed."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, body: bytes) -> Request:
        """Raises NoteError."""
        head, parted, note = body.partition(b"\n\n")
        try:
            old, *proof = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise NoteError("the request is not ASCII above its checkpoint") from None
        if not parted or not old.startswith("old ") or len(proof) > MAX_PROOF:
            raise NoteError("the request is not an old size, at most 63 hashes, an empty line and a checkpoint")
        checkpoint = Checkpoint.parse(Note.parse(note).text)
        return cls(decode_number(old.removeprefix("old ")), tuple(map(decode_hash, proof)), note, checkpoint)


class State:
    """What was cosigned last, of each log: an SQLite file that belongs to one key."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def create(cls, file: Path) -> State:
        """Raises FileExistsError."""
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        state = cls(file)
        with state._open() as database:
            database.execute("CREATE TABLE owner (vkey TEXT NOT NULL)")
            database.execute("CREATE TABLE seen (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL)")
            database.execute("CREATE TABLE contradiction (note BLOB PRIMARY KEY, at INTEGER NOT NULL)")
        return state

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            database.execute("PRAGMA synchronous = FULL")
            yield database
        finally:
            database.close()

    def owner(self) -> str | None:
        """The verifier key that this state belongs to; None before the first start is through."""
        with self._open() as database:
            row = database.execute("SELECT vkey FROM owner").fetchone()
        return None if row is None else str(row[0])

    def claim(self, key: VerifierKey) -> None:
        with self._open() as database:
            database.execute("INSERT INTO owner VALUES (?)", [str(key)])

    def seen(self, origin_hash: str) -> bytes | None:
        """The checkpoint cosigned last of the log whose origin has this SHA-256."""
        with self._open() as database:
            rows = database.execute("SELECT origin, note FROM seen").fetchall()
        for origin, note in rows:
            if hashlib.sha256(origin.encode()).hexdigest() == origin_hash:
                return bytes(note)
        return None

    def keep_contradiction(self, note: bytes) -> None:
        """Keeps a checkpoint that the log signed beside another one of the same size: proof that it showed two histories."""
        with self._open() as database:
            database.execute("INSERT OR IGNORE INTO contradiction VALUES (?, ?)", [note, int(time.time())])

    def contradictions(self) -> list[bytes]:
        """The checkpoints kept by `keep_contradiction`."""
        with self._open() as database:
            return [bytes(note) for (note,) in database.execute("SELECT note FROM contradiction ORDER BY at, note")]

    def exchange(
        self, origin: str, decide: Callable[[Checkpoint | None], Reply | None], note: bytes, size: int
    ) -> Reply | None:
        """Shows `decide` the checkpoint cosigned last; where it has nothing to say against it, `note` takes its place.

        One transaction, on disk when this returns. Raises sqlite3.Error.
        """
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            row = database.execute("SELECT note FROM seen WHERE origin = ?", [origin]).fetchone()
            reply = decide(None if row is None else Checkpoint.parse(Note.parse(bytes(row[0])).text))
            if reply is not None:
                database.execute("ROLLBACK")
                return reply
            database.execute(
                "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT (origin) DO UPDATE SET size = excluded.size, note = excluded.note",
                [origin, size, note],
            )
            database.execute("COMMIT")
        return None


class CosigningWitness:
    """The witness without its HTTP: what it answers to a body. Safe to call from several threads."""

    def __init__(self, key: WitnessKey, state: State, logs: Sequence[VerifierKey]) -> None:
        self._key = key
        self._public = key.public
        self._state = state
        self._logs = tuple(logs)

    def add_checkpoint(self, body: bytes) -> Reply:
        """As C2SP tlog-witness has it; every status but 200 means that nothing was cosigned."""
        try:
            asked = Request.parse(body)
        except NoteError as error:
            return Reply.refusing(400, str(error))
        keys = [key for key in self._logs if key.name == asked.checkpoint.origin]
        if not keys:
            return Reply.refusing(404, "this log is not known here")
        try:
            signed = open_checkpoint(asked.note, keys)
        except SignatureError as error:
            return Reply.refusing(403, str(error))
        if asked.old > asked.checkpoint.size:
            return Reply.refusing(400, "the old size is larger than the checkpoint")
        kept = _own_lines(signed)
        reply = self._state.exchange(
            asked.checkpoint.origin, lambda last: _against(asked, last), kept, asked.checkpoint.size
        )
        if reply is not None:
            if reply.status == 409 and reply.content_type != SIZE_TYPE:
                self._state.keep_contradiction(kept)
            return reply
        return Reply(200, self._cosign(signed.note.text).encode())

    def _cosign(self, text: str) -> str:
        return str(cosign(text, self._public, self._key, time=int(time.time())))

    def checkpoint(self, origin_hash: str) -> Reply:
        """The largest checkpoint cosigned of the log whose origin has this SHA-256 (hex), with the log's signature."""
        note = self._state.seen(origin_hash)
        return Reply.refusing(404, "nothing of this log has been cosigned") if note is None else Reply(200, note)


def _own_lines(signed: SignedCheckpoint) -> bytes:
    """The note with the log's own signatures only: what others put under it is nobody's word here."""
    lines = tuple(line for key in signed.signers for line in signed.note.by(key))
    return Note(signed.note.text, lines).encode()


def _against(asked: Request, last: Checkpoint | None) -> Reply | None:
    """What speaks against cosigning; None when nothing does."""
    new = asked.checkpoint
    size, root = (0, EMPTY_ROOT) if last is None else (last.size, last.root)
    if asked.old != size:
        return Reply(409, f"{size}\n".encode(), SIZE_TYPE)
    if new.size == size and new.root != root and last is not None:
        return Reply.refusing(409, "another tree of this size has been cosigned")
    if not verify_consistency(old=size, new=new.size, proof=asked.proof, old_root=root, new_root=new.root):
        return Reply.refusing(422, "the proof does not show that this tree extends the one cosigned last")
    return None


class _Handler(BaseHTTPRequestHandler):
    """POST …/add-checkpoint and GET …/<hash>/checkpoint, on any prefix that a proxy may leave."""

    protocol_version = "HTTP/1.1"
    server_version = "glasscase-witness"
    sys_version = ""
    timeout: ClassVar[float] = _PATIENCE
    witness: ClassVar[CosigningWitness]

    def do_POST(self) -> None:
        if not self.path.endswith("/add-checkpoint"):
            self._refuse_unread(404, "there is nothing here")
            return
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length, re.ASCII) or "Transfer-Encoding" in self.headers:
            self._refuse_unread(411, "the request needs a Content-Length")
        elif int(length) > MAX_BODY:
            self._refuse_unread(413, f"the request is longer than {MAX_BODY} bytes")
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                self.close_connection = True
                return
            self._answer(lambda: self.witness.add_checkpoint(body))

    def do_GET(self) -> None:
        found = _SEEN.fullmatch(self.path[-76:])
        if found is None:
            self._send(Reply.refusing(404, "there is nothing here"))
        else:
            self._answer(lambda: self.witness.checkpoint(found[1]))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only what was refused is worth a line."""
        if not isinstance(code, int) or code >= 400:
            super().log_request(code, size)

    def _answer(self, make: Callable[[], Reply]) -> None:
        try:
            reply = make()
        except sqlite3.Error as error:
            self.log_error("the state cannot be read or written: %s", error)
            reply = Reply.refusing(503, "the witness cannot use its state now")
        self._send(reply)

    def _refuse_unread(self, status: int, sentence: str) -> None:
        # The body is left unread, so nothing more can come over this connection.
        self.close_connection = True
        self._send(Reply.refusing(status, sentence))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)


class WitnessServer(ThreadingHTTPServer):
    """Serves `witness`; at most a few dozen connections at once, the others are closed."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], witness: CosigningWitness) -> None:
        handler = type("Handler", (_Handler,), {"witness": witness})
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # somebody hung up
            print(f"a request failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def open_key(key_file: Path, state_file: Path, name: str | None) -> tuple[WitnessKey, State]:
    """The key and what was cosigned with it; both are made on the first start. Raises CannotStart.

    A key whose state is gone must not be used again: its owner no longer knows what it has vouched for.
    """
    try:
        if state_file.exists():
            state = State(state_file)
        elif key_file.exists():
            raise CannotStart(
                f"The key {key_file} is here, but what was cosigned with it ({state_file}) is not. Restore that file; "
                "if it is lost, move the key away, start again with a new one, and tell everybody the new key."
            )
        else:
            state = State.create(state_file)
        owner = state.owner()
        if key_file.exists():
            key = WitnessKey.parse(key_file.read_text(encoding="utf-8"))
        elif owner is not None:
            raise CannotStart(f"The state {state_file} belongs to the key {owner}, and {key_file} is not there.")
        elif name is None:
            raise CannotStart("Give this witness a --name, such as witness.board.example: its key is made with it.")
        else:
            key = WitnessKey.generate(name)
            _write_private(key_file, key.encode())
        if owner is None:
            state.claim(key.public)
        elif owner != str(key.public):
            raise CannotStart(f"The state {state_file} belongs to another key, {owner}.")
    except NoteError as error:
        raise CannotStart(f"{key_file}: {error}") from None
    except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
        raise CannotStart(f"{key_file} or {state_file} cannot be used: {error}") from None
    if name is not None and key.name != name:
        raise CannotStart(f"The key {key_file} is called {key.name}: leave --name out, or use another key file.")
    return key, state


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _parse_logs(vkeys: Sequence[str]) -> list[VerifierKey]:
    try:
        keys = [VerifierKey.parse(vkey) for vkey in vkeys]
    except NoteError as error:
        raise CannotStart(f"--log: {error}") from None
    for key in keys:
        if key.algorithm != ED25519:
            raise CannotStart(f"--log: the key of {key.name!r} is not a log's")
    if not keys:
        raise CannotStart("Name the log to watch with --log and its verifier key (`manage.py log_key` prints it).")
    return keys


def _parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
        raise CannotStart(f"--listen {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="glasscase-witness",
        description="Cosigns checkpoints of logs that only ever grow, and of no others (C2SP tlog-witness).",
    )
    add = parser.add_argument
    add(
        "--state",
        metavar="FILE",
        type=Path,
        required=True,
        help="what was cosigned so far (SQLite); never restore an old one",
    )
    add("--key", metavar="FILE", type=Path, required=True, help="this witness's private key; made on the first start")
    add(
        "--name",
        metavar="NAME",
        help="the name it signs under, such as witness.board.example; needed on the first start",
    )
    add(
        "--log",
        metavar="VKEY",
        action="append",
        default=[],
        help="a log to watch; repeat for others, and while a key is replaced",
    )
    add("--listen", metavar="HOST:PORT", default=LISTEN, help=f"where to take requests ({LISTEN})")
    add("--show-key", action="store_true", help="print this witness's verifier key and end")
    return parser


def _start(arguments: argparse.Namespace) -> None:
    address = _parse_address(arguments.listen)
    logs = [] if arguments.show_key else _parse_logs(arguments.log)
    key, state = open_key(arguments.key, arguments.state, arguments.name)
    print(key.public, flush=True)
    if arguments.show_key:
        return
    try:
        server = WitnessServer(address, CosigningWitness(key, state, logs))
    except OSError as error:
        raise CannotStart(f"{arguments.listen} cannot be listened on: {error.strerror}") from None
    with server:
        host, port = server.server_address[:2]
        print(f"Witnessing {', '.join(dict.fromkeys(log.name for log in logs))} at http://{host!s}:{port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        _start(arguments)
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
