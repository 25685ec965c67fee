"""The cut on embeddings of faces, generated and real: neither isotropic nor independent, and lost as rarely all the same."""

from __future__ import annotations

import csv
import secrets
import uuid
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import psycopg
import pytest

from core.faces.decode import decode
from core.faces.engines import Engine, load
from tests.enforcement.coded import build, enrol
from tests.enforcement.world import World, unit

# Of all ordered pairs with a positive score, as if each had been searched with its own score as the threshold: how many there are,
# how many a cut of one in a million lets go, and how many one in a hundred does.
PAIRS = """
    SELECT count(*),
        count(*) FILTER (WHERE distance > gallery.cut_of(%(edition)s, probe, score, 1e-6)),
        count(*) FILTER (WHERE distance > gallery.cut_of(%(edition)s, probe, score, 0.01))
    FROM (
        SELECT a.embedding AS probe, c.code <~> d.code AS distance,
            round(-(a.embedding <#> b.embedding) * 1000000)::integer AS score
        FROM gallery.template a JOIN gallery.code_of_template c USING (edition, template),
            gallery.template b JOIN gallery.code_of_template d USING (edition, template)
        WHERE a.edition = %(edition)s AND b.edition = %(edition)s AND a.template <> b.template
        OFFSET 0
    ) pair WHERE score > 0
"""


def embedded(engine: Engine, manifest: Path, most: int) -> np.ndarray:
    with manifest.open(encoding="utf-8", newline="") as file:
        photos = [manifest.parent / row["file"] for row in islice(csv.DictReader(file), most)]
    vectors = []
    for photo in photos:
        rgb = decode(photo.read_bytes()).rgb
        if faces := engine.detect(rgb):
            vectors.append(unit(engine.embed(rgb, max(faces, key=lambda face: face.width * face.height))))
    assert len(vectors) > 0.9 * len(photos)
    return np.stack(vectors)


def lost(world: World, superuser: psycopg.Connection, vectors: np.ndarray) -> tuple[int, int, int]:
    world.edition = world.new_edition(uuid.uuid4(), secrets.token_hex(32), vectors.shape[1])
    enrol(world, [(uuid.uuid4(), uuid.uuid4(), vector) for vector in vectors])
    build(world.app, world.edition)
    row = superuser.execute(PAIRS, {"edition": world.edition}).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def test_no_pair_of_generated_faces_is_lost_at_its_own_score(
    world: World, as_superuser: psycopg.Connection, portraits: Callable[..., Path]
) -> None:
    pairs, gone, weakly = lost(world, as_superuser, embedded(load("dlib"), portraits(16, 2), 32))
    assert pairs > 800
    assert gone == 0
    assert weakly < 0.05 * pairs


@pytest.mark.slow
def test_no_pair_of_real_faces_is_lost_at_its_own_score(
    world: World, as_superuser: psycopg.Connection, real_faces: Path
) -> None:
    engine = load("insightface", real_faces / "insightface" / "models" / "scrfd_mbf")
    vectors = embedded(engine, real_faces / "congress" / "photos.csv", 60)
    pairs, gone, weakly = lost(world, as_superuser, vectors)
    assert pairs > 1000
    assert gone == 0
    assert weakly < 0.05 * pairs
