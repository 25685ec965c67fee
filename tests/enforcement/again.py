"""A re-embedding as a test of the gate does it by hand: approvals, slices, new templates, the seal."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector

from search.gate import client, params
from tests.enforcement.world import World, digest, unit


@dataclass
class Again:
    """A second edition of the world's gallery, halves of the first one's photos, and what opens a re-embedding."""

    world: World
    target: int
    halves: dict[uuid.UUID, bytes]
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    batch: int = 0

    @property
    def claim(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    def proposals(self, **changes: object) -> list[uuid.UUID]:
        asked = params.open_reembedding(**self.asked(**changes))
        return self.world.propose("gallery:open_reembedding", asked, self.world.sam, self.world.sue)

    def asked(self, **changes: object) -> dict[str, Any]:
        """What is approved: the source as it is now, with `changes`."""
        source = next(one for one in client.editions(self.world.app) if one.edition == self.world.edition)
        values = {"source": source.edition, "version": source.version, "templates": source.templates}
        return {"gallery": self.world.gallery, "target": self.target, "claim": self.claim, **values, **changes}

    def open(self, proposals: list[uuid.UUID] | None = None, **changes: object) -> int:
        self.batch = client.open_reembedding(
            self.world.app,
            **self.asked(**changes),
            proposals=self.proposals(**changes) if proposals is None else proposals,
        )
        return self.batch

    def announce(
        self, templates: list[uuid.UUID], connection: psycopg.Connection | None = None, secret: bytes | None = None
    ) -> uuid.UUID:
        return client.announce_slice(
            connection or self.world.app,
            edition=self.target,
            batch=self.batch,
            secret=secret or self.secret,
            templates=templates,
        )

    def drawn(self, templates: list[uuid.UUID]) -> dict[uuid.UUID, bytes]:
        slice_ = self.announce(templates)
        self.world.sign()
        return client.slice_halves(self.world.app, slice_, self.secret)

    def store(
        self, sources: list[int], person: uuid.UUID | None = None, origin: bool = True
    ) -> list[tuple[uuid.UUID, uuid.UUID, np.ndarray]]:
        """New templates of these rows of the world."""
        rng = np.random.default_rng(3)
        rows = [(uuid.uuid4(), person or self.world.rows[n][1], unit(rng.standard_normal(64))) for n in sources]
        for number, (template, whose, vector) in zip(sources, rows, strict=True):
            self.world.app.execute(
                "INSERT INTO gallery.template VALUES (%s, %s, %s, %s, %s)",
                [self.target, self.batch, template, whose, HalfVector(vector).to_text()],
            )
            if origin:
                self.world.app.execute(
                    "INSERT INTO gallery.origin VALUES (%s, %s, %s)",
                    [self.target, template, self.world.rows[number][0]],
                )
        return rows

    def seal(self, rows: list[tuple[uuid.UUID, uuid.UUID, np.ndarray]]) -> int:
        return client.seal_batch(
            self.world.app,
            edition=self.target,
            batch=self.batch,
            secret=self.secret,
            templates=len(rows),
            digest=digest(rows),
        )
