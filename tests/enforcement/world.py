"""A small world behind the gate, built through its own functions: what honest people did before Mallory came.

A gallery of random unit vectors under a made-up face model with an adopted evaluation, approvers with secrets, and helpers
that take a search to any step. No Django: everything here is a statement that a role may execute.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector

from audit.log import entries, sequencer
from audit.log.commitments import Opening
from search.gate import client, params

DIMENSION = 128
PEOPLE = 300
THRESHOLD = 400_000
_CONNECTIONS = {"app", "sequencer", "registrar", "sign"}


@dataclass(frozen=True)
class Approver:
    id: uuid.UUID
    secret: str


@dataclass(frozen=True)
class Filed:
    """A search whose intent is in the log, and what only its worker knows."""

    request: uuid.UUID
    intent: uuid.UUID
    claim_secret: bytes
    probe: np.ndarray
    params: bytes
    fields: dict[str, Any]


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def digest(rows: list[tuple[uuid.UUID, uuid.UUID, np.ndarray]]) -> bytes:
    """As `gallery.seal` computes it."""
    ordered = sorted(rows, key=lambda row: row[0])
    parts = (hashlib.sha256(t.bytes + p.bytes + HalfVector(v).to_binary()).digest() for t, p, v in ordered)
    return hashlib.sha256(b"".join(parts)).digest()


@dataclass
class World:
    app: psycopg.Connection
    sequencer: psycopg.Connection
    registrar: psycopg.Connection
    sign: Callable[[], None]
    model: str = field(default_factory=lambda: secrets.token_hex(32))
    gallery: uuid.UUID = field(default_factory=uuid.uuid4)
    requester: uuid.UUID = field(default_factory=uuid.uuid4)
    edition: int = 0
    faces: np.ndarray = field(default_factory=lambda: np.empty((0, DIMENSION), np.float32))
    rows: list[tuple[uuid.UUID, uuid.UUID, np.ndarray]] = field(default_factory=list)
    secrets: dict[uuid.UUID, bytes] = field(default_factory=dict)

    def build(self) -> World:
        self.sam, self.sue = self.approver(), self.approver()
        self.edition = self.new_edition(self.gallery, self.model)
        self.adopt(self.model)
        rng = np.random.default_rng(7)
        self.faces = np.stack([unit(row) for row in rng.standard_normal((PEOPLE, DIMENSION))])
        self.rows = [(uuid.uuid4(), uuid.uuid4(), face) for face in self.faces]
        secret = secrets.token_bytes(32)
        batch = client.open_batch(self.app, self.edition, hashlib.sha256(secret).digest())
        self.insert(batch, self.rows)
        client.seal_batch(
            self.app, edition=self.edition, batch=batch, secret=secret, templates=PEOPLE, digest=digest(self.rows)
        )
        self.sign()
        return self

    def facts(self) -> dict[str, Any]:
        """What the world knows of its database, without the connections: whoever has a copy of both can go on."""
        return {name: value for name, value in vars(self).items() if name not in _CONNECTIONS}

    def with_facts(self, facts: dict[str, Any]) -> World:
        vars(self).update(facts)
        return self

    def approver(self) -> Approver:
        who, secret, salt = uuid.uuid4(), secrets.token_hex(10), secrets.token_bytes(16)
        self.registrar.execute(
            "SELECT gate.enrol_approver(%s, %s, %s, 'somebody@agency.example')",
            [who, salt, hashlib.sha256(salt + secret.encode()).digest()],
        )
        return Approver(who, secret)

    def propose(self, act: str, values: dict[str, Any], *who: Approver) -> list[uuid.UUID]:
        return [client.propose(self.app, act=act, params=values, approver=a.id, secret=a.secret) for a in who]

    def new_edition(self, gallery: uuid.UUID, model: str, dimension: int = DIMENSION) -> int:
        values = params.register_edition(gallery=gallery, model=model, dimension=dimension)
        [proposal] = self.propose("gallery:register_edition", values, self.sam)
        return client.register_edition(self.app, gallery=gallery, model=model, dimension=dimension, proposal=proposal)

    def adopt(self, model: str, verdict: str = "met", hours: float = 24, threshold: int = THRESHOLD) -> None:
        values: dict[str, Any] = {
            "model": model,
            "report": secrets.token_hex(32),
            "verdict": verdict,
            "policy": "demo",
            "threshold": threshold,
            "expires": int((time.time() + hours * 3600) * 1000),
        }
        proposals = self.propose("gate:adopt_evaluation", params.adopt_evaluation(**values), self.sam, self.sue)
        client.adopt_evaluation(self.app, proposals=proposals, **values)

    def set_policy(self, setting: str, value: int) -> None:
        values = params.set_policy(setting=setting, value=value)
        client.set_policy(
            self.app,
            setting=setting,
            value=value,
            proposals=self.propose("gate:set_policy", values, self.sam, self.sue),
        )

    def insert(self, batch: int, rows: list[tuple[uuid.UUID, uuid.UUID, np.ndarray]]) -> None:
        statement = "COPY gallery.template (edition, batch, template, person, embedding) FROM STDIN"
        with self.app.transaction(), self.app.cursor() as cursor, cursor.copy(statement) as copy:
            for template, person, vector in rows:
                copy.write_row((self.edition, batch, template, person, HalfVector(vector).to_text()))

    # The steps of one search

    def file(self, probe: np.ndarray | None = None, *, approve: bool = True, **changes: Any) -> Filed:
        """An approved intent in the log, not yet sequenced. `changes` replace fields before the approval."""
        probe = self.faces[7] if probe is None else probe
        claim_secret = secrets.token_bytes(32)
        request = uuid.uuid4()
        values: dict[str, Any] = {
            "request": request,
            "case": uuid.uuid4(),
            "requester": self.requester,
            "purpose": "identify_suspect",
            "offence": "robbery",
            "legal_basis": "reasonable_suspicion",
            "gallery": self.gallery,
            "edition": self.edition,
            "model": self.model,
            "threshold": THRESHOLD,
            "k": 10,
            "emergency": False,
            "claim": hashlib.sha256(claim_secret).hexdigest(),
            "expires": int(time.time() * 1000) + 3_600_000,
        } | changes
        openings = [Opening.of("photo", secrets.token_hex(32)), Opening.of("box", [10, 10, 90, 90])]
        wanted = params.search(values, photo=openings[0].commitment, box=openings[1].commitment)
        if approve:
            self.approve(values["request"], wanted)
        entry = entries.compose("search:intent:filed", openings=openings, params=wanted.hex(), **values)
        self.app.execute("SELECT log.append(%s)", [entry.body])
        return Filed(values["request"], entry.id, claim_secret, probe, wanted, values)

    def approve(self, request: uuid.UUID, wanted: bytes, who: Approver | None = None) -> bool:
        who = who or self.sam
        proposal = client.propose(
            self.app, act=params.SEARCH_ACT, params=wanted, approver=who.id, secret=who.secret, subject=request
        )
        return client.approve(self.app, proposal)

    def bind(self, filed: Filed, connection: psycopg.Connection | None = None) -> uuid.UUID:
        return client.bind(
            connection or self.app, intent=filed.intent, probe=filed.probe, claim_secret=filed.claim_secret
        )

    def bound(self, probe: np.ndarray | None = None, **changes: Any) -> Filed:
        """A search that is bound and whose bound entry is in the tree."""
        filed = self.file(probe, **changes)
        self.sign()
        self.bind(filed)
        self.sign()
        return filed

    def executed(self, probe: np.ndarray | None = None, **changes: Any) -> Filed:
        """A search with a stored outcome that a checkpoint covers."""
        filed = self.bound(probe, **changes)
        self.execute(self.app, filed)
        self.sign()
        return filed

    def execute(self, connection: psycopg.Connection, filed: Filed) -> None:
        client.execute(connection, filed.request, filed.claim_secret)

    def candidates(self, connection: psycopg.Connection, view: uuid.UUID) -> client.Candidates:
        """Reads with the secret of who filed the view; any other entry has no secret that fits."""
        return client.candidates(connection, view, self.secrets.get(view, b"none"))

    def photo_key(self, connection: psycopg.Connection, view: uuid.UUID, template: uuid.UUID) -> bytes:
        return client.photo_key(connection, view, self.secrets[view], template)

    def view(self, request: uuid.UUID, *, sequenced: bool = True) -> uuid.UUID:
        secret = secrets.token_bytes(32)
        claim = hashlib.sha256(secret).hexdigest()
        entry = entries.compose("search:candidates:viewed", request=request, viewer=uuid.uuid4(), claim=claim)
        self.app.execute("SELECT log.append(%s)", [entry.body])
        self.secrets[entry.id] = secret
        if sequenced:
            sequencer.step(self.sequencer)
        return entry.id

    # What the log says

    def logged(self, type_: str, request: uuid.UUID | None = None) -> list[dict[str, Any]]:
        """The entries of a type, oldest first."""
        rows = self.app.execute(
            "SELECT convert_from(body, 'UTF8') FROM log.entry WHERE type = %s AND (%s::uuid IS NULL OR request = %s) ORDER BY id",
            [type_, request, request],
        ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def count(self) -> int:
        row = self.app.execute("SELECT count(*) FROM log.entry").fetchone()
        assert row is not None
        return int(row[0])
