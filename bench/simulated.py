"""Simulated embeddings, and galleries of them: unit vectors, impostor cosine 0 ± 1/sqrt(d), genuine cosine 0.6 ± 0.1."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import gated
from bench.installation import Installation, random_model
from search import galleries
from search.gate import client, params
from search.models import Gallery as Row

GENUINE, SPREAD = 0.6, 0.1
_AT_ONCE = 50_000


@dataclass(frozen=True)
class Gallery:
    """A sealed edition of random unit vectors; `vectors` (n, d) float16 in the order of `templates` (n, 16) bytes."""

    edition: gated.Edition
    templates: NDArray[np.uint8]
    vectors: NDArray[np.float16]

    def place(self, template: uuid.UUID) -> int:
        """Which row of `vectors` a template is; -1 for none."""
        found = np.flatnonzero((self.templates == np.frombuffer(template.bytes, np.uint8)).all(axis=1))
        return int(found[0]) if len(found) else -1


def vectors(people: int, dimension: int, seed: int) -> NDArray[np.float16]:
    """Independent unit vectors, (people, dimension)."""
    rng = np.random.default_rng(seed)
    made = np.empty((people, dimension), np.float16)
    for first in range(0, people, _AT_ONCE):
        some = rng.standard_normal((min(_AT_ONCE, people - first), dimension), np.float32)
        made[first : first + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
    return made


def mated(enrolled: NDArray[np.float16], seed: int) -> NDArray[np.float32]:
    """For each enrolled vector another of the same person: unit vectors, cosine drawn from N(0.6, 0.1)."""
    rng = np.random.default_rng(seed)
    cosines = np.clip(rng.normal(GENUINE, SPREAD, len(enrolled)), 0, 1)[:, None]
    theirs = unit(enrolled.astype(np.float32))
    others = rng.standard_normal(theirs.shape, np.float32)
    others = unit(others - (others * theirs).sum(axis=1, keepdims=True) * theirs)
    return unit(cosines * theirs + np.sqrt(1 - cosines**2) * others)


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def gallery(installation: Installation, people: int, dimension: int, *, threshold: int) -> Gallery:
    """A gallery with one batch of random vectors."""
    edition = registered(installation, dimension, threshold=threshold)
    made = vectors(people, dimension, people)
    return Gallery(edition, fill(installation, edition.edition, made), made)


def registered(installation: Installation, dimension: int, *, threshold: int) -> gated.Edition:
    """An empty edition whose face model may be searched from `threshold` on."""
    model, identity = random_model(), uuid.uuid4()
    [proposal] = installation.proposals(
        "gallery:register_edition", params.register_edition(gallery=identity, model=model, dimension=dimension), "sam"
    )
    edition = client.register_edition(
        installation.app, gallery=identity, model=model, dimension=dimension, proposal=proposal
    )
    installation.adopt(model, threshold)
    return gated.Edition(identity, edition, model)


def edition_of(gallery: Row) -> gated.Edition:
    """The current edition of a gallery that has one."""
    found = galleries.current_edition(gallery)
    assert found is not None
    return gated.Edition(gallery.id, found.edition, found.model)


def fill(installation: Installation, edition: int, made: NDArray[np.float16]) -> NDArray[np.uint8]:
    """One sealed batch of these unit vectors; the ids of the templates, (people, 16) bytes, in their order."""
    people = len(made)
    secret = secrets.token_bytes(32)
    batch = client.open_batch(installation.app, edition, hashlib.sha256(secret).digest())
    ids = np.frombuffer(secrets.token_bytes(32 * people), np.uint8).reshape(people, 2, 16)
    statement = "COPY gallery.template (edition, batch, template, person, embedding) FROM STDIN (FORMAT binary)"
    leaves: list[tuple[bytes, bytes]] = []
    with installation.app.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for first in range(0, people, _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            rows = _rows(edition, batch, ids[some], made[some])
            copy.write(rows.tobytes())
            leaves += [
                (
                    row["template"].tobytes(),
                    hashlib.sha256(
                        row["template"].tobytes() + row["person"].tobytes() + row["vector"].tobytes()
                    ).digest(),
                )
                for row in rows
            ]
        copy.write(b"\xff\xff")
    digest = hashlib.sha256(b"".join(leaf for _, leaf in sorted(leaves))).digest()
    client.seal_batch(installation.app, edition=edition, batch=batch, secret=secret, templates=people, digest=digest)
    return ids[:, 0]


def _rows(edition: int, batch: int, ids: NDArray[np.uint8], embeddings: NDArray[np.float16]) -> Any:
    """The rows as PostgreSQL's binary COPY wants them: each value after its length, numbers big-endian."""
    people, dimension = embeddings.shape
    vector = np.dtype([("dimension", ">i2"), ("unused", ">i2"), ("values", ">f2", (dimension,))])
    columns: list[tuple[str, Any]] = [
        ("edition", ">i4"),
        ("batch", ">i4"),
        ("template", "V16"),
        ("person", "V16"),
        ("vector", vector),
    ]
    fields: list[tuple[str, Any]] = [("count", ">i2")]
    for name, kind in columns:
        fields += [(f"{name}_length", ">i4"), (name, kind)]
    rows = np.zeros(people, fields)
    rows["count"], rows["edition"], rows["batch"] = len(columns), edition, batch
    for name, kind in columns:
        rows[f"{name}_length"] = np.dtype(kind).itemsize
    for place, name in enumerate(("template", "person")):
        rows[name] = np.ascontiguousarray(ids[:, place]).view("V16")[:, 0]
    rows["vector"]["dimension"], rows["vector"]["values"] = dimension, embeddings
    return rows
