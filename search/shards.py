"""The servers over which the gallery of a search is spread: the same steps in each of them, and one list in the end.

Each has its own gate and log. The approved intent lists them all and is filed in each; each binds the same embedding and uses
the request up once. Nobody sees a candidate before the log of every one says that all have their result: a missing server
makes a search incomplete, and never one without a candidate. Of a gallery that is on the main server alone, there is one
server, and the steps are those of `search.life`.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import psycopg
import rfc8785
from pgvector import HalfVector

from audit.log import absence, case_tags, storage, verifier_keys
from audit.log.checkpoint import VerifierKey
from audit.log.commitments import commit
from audit.log.entries import compose
from core import database, shards
from core.exceptions import Unavailable
from core.shard_file import MAIN
from search import trail
from search.gate import client
from search.gate.client import Candidates, GateRefused
from search.models import EnrolledPhoto, Gallery, SearchRequest

MERGED: Final = "search:result:merged"
EXACT: Final = "exact"
"""In the place of a cut: this server compared every photo."""
_Answer = TypeVar("_Answer")
# What differs between the entries of one intent in the logs of several servers.
_OWN: Final = ("id", "at", "edition")
# Rules of a gate that are about the request, whichever server says so; "not yet" among them.
_OF_THE_REQUEST: Final = frozenset({"expired", "withdrawn", "receipt", "bound"})


class ServerTrouble(Exception):
    """A server other than the main one cannot do its part now. `reason` is a code for the log, `sentence` for people."""

    def __init__(self, name: str, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name
        self.reason = reason
        self.sentence = sentence


class OtherFace(Exception):
    """A server has bound another face than the one that was read here. `sentence` is for people."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sentence = (
            f"The server {name} has bound another face under this search. Nothing of it is shown. Tell the board, "
            "and make a new request."
        )
        super().__init__(self.sentence)


@dataclass(frozen=True)
class Server:
    """One of the servers that hold a part of a gallery, while a search speaks to it. `edition` is the gallery's there."""

    name: str
    edition: int
    connection: psycopg.Connection

    @property
    def is_main(self) -> bool:
        return self.name == MAIN

    def keys(self) -> list[VerifierKey]:
        """The public keys of its log. Raises NoVerifierKey."""
        if self.is_main:
            return verifier_keys.published()
        return verifier_keys.read(shards.named(self.name).home / "signer" / "vkey")

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """What goes wrong with a shard is ServerTrouble, so that it is said which one; with the main server it stays as it is."""
        if self.is_main:
            yield
            return
        try:
            yield
        except GateRefused as refused:
            if refused.rule in _OF_THE_REQUEST:
                raise
            raise ServerTrouble(
                self.name, f"refused:{refused.rule}", f"{_part(self.name)}: {refused.sentence}"
            ) from refused
        except trail.LogSilent as silent:
            raise ServerTrouble(self.name, "log_silent", f"{_part(self.name)}: {silent.sentence}") from silent
        except verifier_keys.NoVerifierKey as missing:
            raise ServerTrouble(
                self.name, "no_key", f"{_part(self.name)}: its log's public key is not here."
            ) from missing
        except (psycopg.Error, OSError) as problem:
            raise _missing(self.name) from problem


def _part(name: str) -> str:
    return f"The server {name}, which holds a part of the gallery, has not given its result"


def _missing(name: str) -> ServerTrouble:
    return ServerTrouble(name, "unreachable", f"{_part(name)}: it does not answer.")


@contextmanager
def opened(request: SearchRequest, own: psycopg.Connection) -> Iterator[list[Server]]:
    """The servers of a search, the main one first; `own` is the connection to that. Raises ServerTrouble."""
    assert request.edition is not None
    with ExitStack() as stack:
        found = [Server(MAIN, request.edition, own)]
        for name, edition in listed(request):
            if name != MAIN:
                found.append(Server(name, edition, stack.enter_context(reach(name))))
        yield found


@contextmanager
def reach(name: str) -> Iterator[psycopg.Connection]:
    """A connection to a shard that says itself that it is this one. Raises ServerTrouble."""
    try:
        connection = shards.connect(shards.named(name))
    except (shards.ShardMissing, OSError) as problem:
        raise _missing(name) from problem
    with connection:
        try:
            said = client.here(connection)
        except (psycopg.Error, GateRefused) as problem:
            raise _missing(name) from problem
        if said != name:
            raise ServerTrouble(name, "another_server", f"{_part(name)}: at its address answers {said}.")
        yield connection


@contextmanager
def place(name: str) -> Iterator[psycopg.Connection]:
    """A connection to a shard, or to the main server for an empty name. Raises Unavailable."""
    if name in ("", MAIN):
        with database.connect("app") as own:
            yield own
        return
    try:
        with reach(name) as connection:
            yield connection
    except ServerTrouble as trouble:
        raise Unavailable(f"{trouble.sentence} Nothing was done there. Try again when it is back.") from trouble
    except psycopg.OperationalError as problem:
        raise Unavailable(f"{_missing(name).sentence} Try again when it is back.") from problem


@contextmanager
def session(name: str) -> Iterator[psycopg.Connection]:
    """As `place`, with Django's own connection and transaction for the main server; one to a shard commits each call."""
    if not name:
        yield database.session()
        return
    with place(name) as at:
        yield at


def listed(request: SearchRequest) -> list[tuple[str, int]]:
    """Name and edition of each server that the intent lists; none for a gallery on the main server alone."""
    return [(name, int(edition)) for name, _, edition in (one.partition(":") for one in request.shards)]


def others_of(request: SearchRequest) -> list[str]:
    """The shards that the intent lists beside the main server."""
    return [name for name, _ in listed(request) if name != MAIN]


def list_of(gallery: Gallery, edition: client.Edition) -> list[str]:
    """What an intent lists for a gallery now: name:edition of every server, in the order of names; empty where it is not spread.

    `edition` is the main server's. Raises ServerTrouble when one does not answer or has no sealed edition under this face model.
    """
    if not gallery.shards:
        return []
    found = {MAIN: edition.edition}
    for name in gallery.shards:
        if name == MAIN:
            continue
        with reach(name) as connection:
            there = [one for one in client.editions(connection, gallery.id) if one.is_current]
        if not there or there[0].model != edition.model:
            raise ServerTrouble(
                name,
                "edition",
                f"The server {name} has no edition of this gallery under the same face model. "
                "The custodian registers it: `manage.py register_edition`.",
            )
        if there[0].version == 0:
            raise ServerTrouble(
                name,
                "empty",
                f"The part of this gallery on the server {name} was never sealed. The custodian runs `manage.py enroll` "
                "with the manifest again: it seals the part of every server, also one to which nobody belongs.",
            )
        found[name] = there[0].edition
    return [f"{name}:{found[name]}" for name in sorted(found)]


# The steps of one search in a shard


def file_intent(server: Server, request: SearchRequest, intent: bytes) -> uuid.UUID:
    """Files the intent in a shard's log, once; `intent` is the main log's entry. The two say the same of everything but the edition.

    Raises ServerTrouble when somebody else has filed another one under its id.
    """
    fields: dict[str, Any] = json.loads(intent)
    _announce_tags(server, fields)
    identity = uuid.uuid5(uuid.UUID(fields["id"]), server.name)
    fields |= {"id": str(identity), "at": time.time_ns() // 1_000_000, "edition": server.edition}
    try:
        filed = json.loads(storage.entry_body(server.connection, identity))
    except LookupError:
        _append(server.connection, rfc8785.dumps(fields))
        return identity
    if _shared(filed) != _shared(fields) or filed["edition"] != server.edition:
        raise ServerTrouble(
            server.name,
            "intent_taken",
            f"{_part(server.name)}: its log has another intent under this id. Tell the board.",
        )
    return identity


def _shared(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _OWN}


def _announce_tags(server: Server, fields: Mapping[str, Any]) -> None:
    """The hash of the key of case tags stands in every log that has tags."""
    if "case_key" in fields and not case_tags.is_in(server.connection, fields["case_key"]):
        _append(server.connection, compose(absence.KEYED, key=fields["case_key"]).body)


def _append(connection: psycopg.Connection, body: bytes) -> None:
    with client.refusals():
        connection.execute("SELECT log.append(%s)", [body])


def check_bound(
    server: Server, request: SearchRequest, bound: trail.Entry, probe: np.ndarray, claim_secret: bytes
) -> None:
    """Holds the commitment of a bound entry against the embedding that was read here: every server has to have bound this one.

    Raises OtherFace, for the main server too: somebody else who held the claim bound another one.
    """
    salt = client.bound_salt(server.connection, request.id, claim_secret)
    if bound.fields["c"]["embedding"] != commit("embedding", salt, HalfVector(probe).to_binary().hex()):
        raise OtherFace(server.name)


def merge_in_logs(
    servers: Sequence[Server], request: SearchRequest, results: Mapping[str, uuid.UUID], alive: Callable[[], None]
) -> None:
    """Says in every log, the main one last, that all of them have their result, by its SHA-256, and how each has searched; done
    when all are signed.

    The caller has verified each result's receipt under the keys of its log.
    """
    by_name = {server.name: server for server in servers}
    bodies = []
    for name, _ in listed(request):
        with by_name[name].speaking():
            bodies.append(storage.entry_body(by_name[name].connection, results[name]))
    whole = {"shards": request.shards, "results": [hashlib.sha256(body).hexdigest() for body in bodies], **_how(bodies)}
    for server in (*servers[1:], servers[0]):
        with server.speaking():
            said = [one for one in trail.entries(server.connection, request.id) if one.type == MERGED]
            entry = next(
                (one.id for one in said if all(one.fields.get(name) == value for name, value in whole.items())), None
            )
            if entry is None:
                made = compose(MERGED, request=request.id, **whole)
                _append(server.connection, made.body)
                entry = made.id
            trail.wait(server.connection, entry, covered=True, alive=alive)


def _how(bodies: Sequence[bytes]) -> dict[str, Any]:
    """How the servers searched, as their result entries say: exactly, or in two stages with this cut; the greatest loss of all."""
    results = [json.loads(body) for body in bodies]
    losses = [one["loss_one_in"] for one in results if one.get("cut") is not None]
    cuts = [EXACT if one.get("cut") is None else str(one["cut"]) for one in results]
    return {"cuts": cuts, **({"loss_one_in": min(losses)} if losses else {})}


# Reading


def file_reading(servers: Sequence[Server], view: uuid.UUID, **fields: Any) -> None:
    """Files the reading that the main log has as `view` in the logs of the shards, under the same id."""
    for server in servers[1:]:
        with server.speaking():
            _append(server.connection, compose("search:candidates:viewed", entry_id=view, **fields).body)
    for server in servers:
        with server.speaking():
            trail.wait(server.connection, view, covered=False)


def read(servers: Sequence[Server], request: SearchRequest, view: uuid.UUID, secret: bytes) -> Candidates:
    """The list of a search from all its servers: whole, or ServerTrouble."""
    parts = []
    for server in servers:
        with server.speaking():
            parts.append((server.name, client.candidates(server.connection, view, secret)))
    if len(parts) == 1:
        return parts[0][1]
    assert request.k is not None
    return merged(parts, request.k)


def merged(parts: Sequence[tuple[str, Candidates]], k: int) -> Candidates:
    """One list of the best `k`: by the score in steps of 10^-3, then by id; within one server the order of its gate is kept.

    A gate orders by millionths, which it does not tell. So this list has the same people with the same scores as that of one
    server with all templates, except where several of one score (in steps of 10^-3) stand at its end.
    """
    lists = [found.candidates for _, found in parts]
    best = heapq.merge(*lists, key=lambda one: (-one.score_milli, one.template))
    ranked = [
        client.Candidate(rank, one.template, one.score_milli) for rank, one in zip(range(1, k + 1), best, strict=False)
    ]
    return Candidates(tuple(ranked), b"", tuple(parts))


@contextmanager
def holding(template: uuid.UUID) -> Iterator[psycopg.Connection]:
    """A connection to the server that holds a template and one half of the key of its photo. Raises Unavailable."""
    name = EnrolledPhoto.objects.filter(pk=template).values_list("shard", flat=True).first()
    with place(name or "") as connection:
        yield connection


def answering(names: set[str]) -> set[str]:
    """Those of these shards that answer."""
    found = set()
    for name in names:
        try:
            with reach(name):
                found.add(name)
        except ServerTrouble:
            continue
    return found


def configured() -> list[str]:
    """The names of all shards of this installation."""
    return list(shards.configured())


def others(gallery: Gallery) -> list[str]:
    """The shards over which a gallery is spread beside the main server."""
    return [name for name in gallery.shards if name != MAIN]


def parts(gallery: Gallery) -> list[str]:
    """Where a gallery is: empty for the main server, then the names of its shards."""
    return ["", *others(gallery)]


def of_person(gallery: Gallery, person: uuid.UUID) -> str:
    """The shard that holds everything of a person, or empty for the main server: always the same, by a hash of the id."""
    if not gallery.shards:
        return ""
    number = int.from_bytes(hashlib.sha256(b"glasscase/v1 shard\0" + person.bytes).digest()[:8], "big")
    name = gallery.shards[number % len(gallery.shards)]
    return "" if name == MAIN else name


def everywhere(ask: Callable[[psycopg.Connection], _Answer]) -> list[_Answer]:
    """What every server answers, the main one first; a shard that does not answer is passed over, to be asked another time."""
    with database.connect("app") as own:
        found = [ask(own)]
    for name in shards.configured():
        with suppress(ServerTrouble), reach(name) as connection:
            found.append(ask(connection))
    return found
