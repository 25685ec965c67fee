"""Asking witnesses to cosign: the client's half of C2SP tlog-witness.

    POST <url>/add-checkpoint       "old <size>", a line for each hash of the consistency proof, an empty line, the checkpoint
    GET  <url>/<hex SHA-256 of the origin>/checkpoint                            the largest checkpoint the witness has seen

Every answer has one meaning and one consequence:

    200                             cosigned; each line by the witness's key is verified
    409 with text/x.tlog.size       it has seen another size: prove from there, or, when it has seen more: KnowsMore
    409 without that type, 422      it has seen another tree: Fork, never to be tried again
    403, 404, 400, other 4xx, 3xx   it does not know our key, or our log, or what we said: Rejected
    429, 5xx, no answer, nonsense   Unavailable, to be tried again later

Needs Python alone.
"""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from audit.log.checkpoint import (
    Checkpoint,
    Note,
    NoteError,
    Signature,
    SignedCheckpoint,
    VerifierKey,
    cosigned_at,
    decode_number,
    encode_base64,
    open_checkpoint,
)
from audit.log.policy import Policy, Witness

SIZE_TYPE: Final = "text/x.tlog.size"
TIMEOUT: Final = 1.0  # seconds, of the whole exchange
MAX_ANSWER: Final = 65_536
MAX_PROOF: Final = 63
_ATTEMPTS: Final = 4  # the first, and three with the size that the witness named
_MALFORMED: Final = "its answer is malformed"

Prove = Callable[[int], Sequence[bytes]]  # old size -> consistency proof to the checkpoint's size


class WitnessProblem(Exception):
    """The witness did not cosign. `code` is a word for the log."""

    code = "problem"


class Unavailable(WitnessProblem):
    """It may cosign later."""

    code = "unavailable"


class Rejected(WitnessProblem):
    """It will not cosign until somebody has changed something; `status` is its HTTP status."""

    code = "rejected"

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Fork(WitnessProblem):
    """It has seen a tree that ours does not extend."""

    code = "fork"


class KnowsMore(WitnessProblem):
    """It has cosigned a larger tree than the one we showed: `size` entries."""

    code = "ahead"

    def __init__(self, size: int, sentence: str) -> None:
        super().__init__(sentence)
        self.size = size


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes


class WitnessClient:
    """Talks to one witness that has an address, over one connection that is kept open. For one thread at a time."""

    def __init__(self, witness: Witness, *, timeout: float = TIMEOUT) -> None:
        self.witness = witness
        self._url = urlsplit(witness.url)
        self._timeout = timeout
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(self._url.hostname or "", self._url.port, timeout=timeout)

    def close(self) -> None:
        self._connection.close()

    def add_checkpoint(self, note: Note, *, old: int, prove: Prove) -> list[Signature]:
        """The witness's cosignatures of `note`, verified; `old` is the size that it is believed to have seen last.

        Raises Unavailable, Rejected, KnowsMore and Fork. What `prove` raises passes through.
        """
        size = Checkpoint.parse(note.text).size
        for _ in range(_ATTEMPTS):
            answer = self._request("POST", "add-checkpoint", request_body(note, old, prove(old)))
            if answer.status == 200:
                return self._verified(note, answer.body)
            if answer.status != 409 or answer.content_type != SIZE_TYPE:
                raise _problem(answer)
            old = _size(answer.body)
            if old > size:
                raise KnowsMore(old, f"it has cosigned {old} entries, and we show it {size}")
        raise Unavailable("it names another size every time it is asked")

    def seen(self, origin: str, keys: Iterable[VerifierKey]) -> SignedCheckpoint | None:
        """The largest checkpoint of `origin` that the witness has cosigned, signed by one of the log's `keys`; or None.

        Raises Unavailable and Rejected, also where what it shows is not signed by the log.
        """
        answer = self._request("GET", f"{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise _problem(answer)
        try:
            return open_checkpoint(answer.body, keys)
        except NoteError as error:
            raise Rejected(200, f"what it shows is no checkpoint of this log: {error}") from None

    def _verified(self, note: Note, body: bytes) -> list[Signature]:
        try:
            lines = Note.parse(note.text.encode() + b"\n" + body).signatures
            key = self.witness.key
            own = [line for line in lines if line.name == key.name and line.key_id == key.key_id]
            for line in own:
                cosigned_at(note.text, key, line)
        except NoteError as error:
            raise Unavailable(f"{_MALFORMED}: {error}") from None
        if not own:
            raise Unavailable("it answered without a cosignature by its key")
        return own

    def _request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """One exchange; a kept connection that the other side has closed meanwhile is opened once more."""
        kept = self._connection.sock is not None
        try:
            return self._exchange(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            if not kept:
                raise Unavailable(f"it does not answer: {_reason(error)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"it does not answer: {_reason(error)}") from None
        try:
            return self._exchange(method, path, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"it does not answer: {_reason(error)}") from None

    def _exchange(self, method: str, path: str, body: bytes | None) -> Answer:
        end = time.monotonic() + self._timeout
        headers = {"User-Agent": "glasscase"} | ({"Content-Type": "text/plain; charset=utf-8"} if body else {})
        done = False
        try:
            self._connection.request(method, f"{self._url.path.rstrip('/')}/{path}", body=body, headers=headers)
            with self._connection.getresponse() as response:
                parts, length = [], 0
                while piece := response.read1(MAX_ANSWER + 1 - length):
                    parts.append(piece)
                    length += len(piece)
                    if length > MAX_ANSWER:
                        raise ValueError("its answer is too long")
                    if time.monotonic() > end:
                        raise TimeoutError("its answer takes too long")
            if response.length:
                raise http.client.IncompleteRead(b"".join(parts), response.length)
            done = not response.will_close
            kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
            return Answer(response.status, kind, b"".join(parts))
        finally:
            if not done:
                self._connection.close()


def request_body(note: Note, old: int, proof: Sequence[bytes]) -> bytes:
    """The body of add-checkpoint."""
    assert len(proof) <= MAX_PROOF
    lines = [f"old {old}", *map(encode_base64, proof), ""]
    return "".join(f"{line}\n" for line in lines).encode() + note.encode()


def _size(body: bytes) -> int:
    try:
        text = body.decode("ascii")
        if not text.endswith("\n"):
            raise NoteError("no newline")
        return decode_number(text[:-1])
    except (NoteError, UnicodeDecodeError):
        raise Unavailable(_MALFORMED) from None


def _problem(answer: Answer) -> WitnessProblem:
    match answer.status:
        case 409 | 422:
            return Fork("it has seen another tree than ours")
        case 403:
            return Rejected(403, "it does not trust the key that the log is signed with: tell its operator the new one")
        case 404:
            return Rejected(404, "it does not know this log: its operator has to add it")
        case 400:
            return Rejected(400, "it says that our request is malformed: this is a fault in our program")
        case status if status == 429 or status >= 500:
            return Unavailable(f"it answered {status}")
        case status:
            return Rejected(status, f"it answered {status}: look at its address in the policy")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


@dataclass(frozen=True)
class Head:
    """What one witness has seen. `signed` is None where it has seen nothing, or where there is a `problem`."""

    witness: Witness
    signed: SignedCheckpoint | None
    problem: str = ""


def known_heads(policy: Policy, origin: str, keys: Sequence[VerifierKey], *, timeout: float = TIMEOUT) -> list[Head]:
    """Asks every witness that has an address for the largest checkpoint of `origin` that it has cosigned."""
    heads = []
    for witness in policy.witnesses:
        if witness.url:
            client = WitnessClient(witness, timeout=timeout)
            try:
                heads.append(Head(witness, client.seen(origin, keys)))
            except WitnessProblem as problem:
                heads.append(Head(witness, None, str(problem)))
            finally:
                client.close()
    return heads
