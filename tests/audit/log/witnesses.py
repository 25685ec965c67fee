"""Witnesses for tests: our own server in a thread of this process, and one that says whatever it is told to say."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from audit.log.checkpoint import VerifierKey
from audit.log.policy import Witness
from audit.log.witness_key import WitnessKey
from audit.log.witness_server import CosigningWitness, State, WitnessServer, open_key


@dataclass
class Running:
    """A witness that listens: `key` is the one it signs with, `url` where it listens."""

    key: WitnessKey
    state: State
    witness: CosigningWitness
    url: str

    def line(self, name: str) -> str:
        return f"witness {name} {self.key.public} {self.url}\n"

    @property
    def listed(self) -> Witness:
        return Witness(self.key.name, self.key.public, self.url)


@contextlib.contextmanager
def running(directory: Path, name: str, logs: Sequence[VerifierKey], port: int = 0) -> Iterator[Running]:
    """`glasscase-witness` with its files in `directory`, on a free port of the loopback interface."""
    directory.mkdir(parents=True, exist_ok=True)
    key, state = open_key(directory / "key", directory / "state", name)
    witness = CosigningWitness(key, state, logs)
    with WitnessServer(("127.0.0.1", port), witness) as server, _serving(server):
        yield Running(key, state, witness, f"http://127.0.0.1:{server.server_address[1]}")


@contextlib.contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@dataclass
class Scripted:
    """Answers its requests in order with (status, type, body); None hangs up. The last one is repeated."""

    answers: list[Any] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    url: str = ""

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.contextmanager
def scripted(*answers: Any) -> Iterator[Scripted]:
    script = Scripted(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_POST(self) -> None:
            script.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply()

        def do_GET(self) -> None:
            script.requests.append(self.path.encode())
            self.reply()

        def reply(self) -> None:
            answer = script.next()
            if callable(answer):
                answer = answer(script.requests[-1])
            if answer is None:
                self.close_connection = True
                return
            status, kind, body = answer
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield script
