"""A gallery to enrol into, photos of blocks instead of faces, and a face model that is quick and knows only those.

The real face models are exercised beside it; this one is for everything that is not about faces.
"""

from __future__ import annotations

import csv
import hashlib
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from PIL import Image

from core.faces.engines import LicenceStatus, ModelIdentity
from core.faces.face import Face
from core.models import Job
from search import enrolment, face_models, galleries
from search.models import EnrolledPhoto, Enrolment, FaceModel, Gallery
from tests.people import Cast

SIDE = 160


class BlockEngine:
    """Finds as many faces as the first pixel's red says, as wide as its green says; embeds by hashing the pixels."""

    def __init__(self, licence_status: LicenceStatus = "permissive") -> None:
        self._identity = ModelIdentity(
            engine="test",
            name="dlib",
            dimension=128,
            files={"blocks": "0" * 64},
            detector="blocks",
            alignment="none",
            parameters={},
            licence="For tests.",
            licence_status=licence_status,
        )

    def identity(self) -> ModelIdentity:
        return self._identity

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        number, width = int(rgb[0, 0, 0]), float(rgb[0, 0, 1])
        eyes = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32) * np.float32(width)
        return [Face((i, 0.0, i + width, width), eyes, 1.0, "blocks", "centres") for i in range(number)]

    def aligned_crop(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
        return np.ascontiguousarray(rgb[:112, :112])

    def embed(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.sha256(rgb.tobytes()).digest()[:8], "big")
        vector = np.random.default_rng(seed).standard_normal(128)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


class SturdyEngine(BlockEngine):
    """Another face model, which also reads what was kept of a photo: finds one face, or none in the dark."""

    def __init__(self) -> None:
        super().__init__()
        self._identity = replace(self._identity, name="other", dimension=64)

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        bright = np.full_like(rgb, 100)
        bright[0, 0, 0] = 1 if rgb.mean() > 20 else 0
        return super().detect(bright)

    def embed(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        half = super().embed(rgb, face)[:64]
        return half / np.float32(np.linalg.norm(half))


def draw(place: Path, seed: int, *, faces: int = 1, width: int = 100) -> None:
    """Write a photo of blocks: lossless, so that the first pixel survives."""
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    pixels[0, 0] = faces, width, 0
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, "RGB").save(place, "PNG")


def write_manifest(folder: Path, rows: list[dict[str, Any]], name: str = "manifest.csv") -> Path:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


@dataclass
class Shelf:
    """A gallery with one edition, and the folder that manifests lie in."""

    cast: Cast
    gallery: Gallery
    model: FaceModel
    edition: int
    folder: Path
    home: Path
    runs: list[Enrolment] = field(default_factory=list)

    def manifest(self, photos: int, first: int = 0, name: str = "manifest.csv") -> Path:
        """A manifest of photos of blocks, each of a person of its own."""
        rows = []
        for number in range(first, first + photos):
            draw(self.folder / f"photo{number}.png", number)
            rows.append({"person_id": f"P{number}", "file": f"photo{number}.png", "sex": "f"})
        return write_manifest(self.folder, rows, name)

    def start(self, manifest: Path) -> Enrolment:
        return enrolment.start(
            by=self.cast.carl, gallery=self.gallery, manifest=manifest, face_model=self.model, send=False
        )

    def enrol(self, manifest: Path, told: enrolment.Told | None = None) -> tuple[Enrolment, Job]:
        """Take the manifest in and work on it to the end of its job."""
        run = self.start(manifest)
        job = enrolment.run_here(run, told=told)
        run.refresh_from_db()
        return run, job

    def kept(self, superuser: psycopg.Connection) -> dict[str, int]:
        """What is there of enrolled photos, everywhere; all five numbers should agree."""
        known = {str(template) for (template,) in superuser.execute("SELECT template FROM gallery.template")}
        files = [file.name for file in (self.home / "media" / "enrolled").rglob("*") if file.is_file()]
        with sqlite3.connect(self.home / "keys" / "keystore.sqlite3") as store:
            keys = {key for (key,) in store.execute("SELECT id FROM key")}
        store.close()
        others = {str(self.gallery.id)} | {str(run) for run in Enrolment.objects.values_list("id", flat=True)}
        strangers = keys - others - self.keys_before
        assert all(file.endswith((".photo", ".crop")) for file in files)
        return {
            "templates": len(known),
            "halves": _count(superuser, "SELECT count(*) FROM gallery.photo_half"),
            "rows": EnrolledPhoto.objects.count(),
            "photos": sum(file.endswith(".photo") for file in files),
            "crops": sum(file.endswith(".crop") for file in files),
            "keys": len(strangers),
        }

    keys_before: set[str] = field(default_factory=set)


def all_of(number: int) -> dict[str, int]:
    return dict.fromkeys(("templates", "halves", "rows", "photos", "crops", "keys"), number)


def _count(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def build(cast: Cast, home: Path, folder: Path) -> Shelf:
    """A gallery with an edition under the default face model of this process."""
    gallery = galleries.create(
        by=cast.carl, agency=cast.agency, name="bookings", legal_basis="booking", retention_days=30
    )
    model = face_models.register(face_models.engine())
    edition = galleries.register_edition(
        by=cast.carl, gallery=gallery, face_model=model, approver=cast.sam, secret=cast.secrets[cast.sam.id]
    )
    with sqlite3.connect(home / "keys" / "keystore.sqlite3") as store:
        keys = {key for (key,) in store.execute("SELECT id FROM key")}
    store.close()
    return Shelf(cast, gallery, model, edition, folder, home, keys_before=keys)
