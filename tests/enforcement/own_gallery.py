"""A gallery of its own beside the world's: any dimension, any rows, any sub-galleries."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field

import numpy as np
import psycopg
from pgvector import HalfVector

from search.gate import client, params
from tests.enforcement.world import Filed, World

_COPY = "COPY gallery.template (edition, batch, template, person, embedding, marks) FROM STDIN (FORMAT binary)"
_TYPES = ["int4", "int4", "uuid", "uuid", "bytea", "int8"]


@dataclass(frozen=True)
class Row:
    """A template as it is enrolled: `halves` is its vector as halfvec's binary form has it."""

    template: uuid.UUID
    person: uuid.UUID
    halves: bytes
    marks: int = 0

    @property
    def digest(self) -> bytes:
        """As `gallery.seal` computes it for the row."""
        marks = self.marks.to_bytes(8, "big") if self.marks else b""
        return hashlib.sha256(self.template.bytes + self.person.bytes + self.halves + marks).digest()


def rows_of(vectors: np.ndarray, marks: np.ndarray | None = None) -> list[Row]:
    given = np.zeros(len(vectors), np.int64) if marks is None else marks
    return [
        Row(uuid.uuid4(), uuid.uuid4(), HalfVector(vector).to_binary(), int(mark))
        for vector, mark in zip(vectors, given, strict=True)
    ]


def digest(rows: list[Row]) -> bytes:
    return hashlib.sha256(b"".join(row.digest for row in sorted(rows, key=lambda row: row.template))).digest()


@dataclass
class OwnGallery:
    world: World
    dimension: int
    gallery: uuid.UUID = field(default_factory=uuid.uuid4)
    model: str = field(default_factory=lambda: secrets.token_hex(32))

    def __post_init__(self) -> None:
        self.edition = self.world.new_edition(self.gallery, self.model, self.dimension)
        self.world.adopt(self.model)

    def define(self, name: str, *matches: str) -> int:
        """A sub-gallery, with an approval; returns its mark."""
        wanted = params.define_sub_gallery(gallery=self.gallery, name=name, matches=matches)
        [proposal] = self.world.propose("gallery:define_sub_gallery", wanted, self.world.sam)
        client.define_sub_gallery(
            self.world.app, gallery=self.gallery, name=name, matches=list(matches), proposal=proposal
        )
        return next(
            one.mark for one in client.sub_galleries(self.world.app) if (one.gallery, one.name) == (self.gallery, name)
        )

    def open(self) -> tuple[int, bytes]:
        secret = secrets.token_bytes(32)
        return client.open_batch(self.world.app, self.edition, hashlib.sha256(secret).digest()), secret

    def copy(self, connection: psycopg.Connection, batch: int, rows: list[Row]) -> None:
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row((self.edition, batch, row.template, row.person, row.halves, row.marks))

    def seal(self, batch: int, secret: bytes, rows: list[Row]) -> int:
        return client.seal_batch(
            self.world.app, edition=self.edition, batch=batch, secret=secret, templates=len(rows), digest=digest(rows)
        )

    def enrol(self, rows: list[Row]) -> int:
        """Returns the edition's new version."""
        batch, secret = self.open()
        self.copy(self.world.app, batch, rows)
        return self.seal(batch, secret, rows)

    def bound(self, probe: np.ndarray, **changes: object) -> Filed:
        """A search of this gallery that waits for nothing but its execution."""
        return self.world.bound(
            probe, **{"gallery": self.gallery, "edition": self.edition, "model": self.model, **changes}
        )

    def found(self, filed: Filed) -> list[tuple[uuid.UUID, int]]:
        """Executes a bound search; the candidates with their scores in steps of 10^-3."""
        self.world.execute(self.world.app, filed)
        self.world.sign()
        reading = self.world.candidates(self.world.app, self.world.view(filed.request))
        return [(one.template, one.score_milli) for one in reading.candidates]
