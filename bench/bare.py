"""The peer of enrolment: a loop that decodes, detects and embeds, and keeps nothing safe. `python -m bench.bare MODEL MANIFEST OUT`."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np

from core.faces import registry
from core.faces.decode import decode


def main(model: str, manifest: Path, out: Path) -> None:
    """Writes people and embeddings (n, d) float32 of the photos with exactly one face to `out` (npz)."""
    place = os.environ.get("GLASSCASE_MODELS_DIR")
    engine = registry.engine(model, Path(place) if place and Path(place).is_dir() else None)
    people, embeddings = [], []
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rgb = decode((manifest.parent / row["file"]).read_bytes()).rgb
            faces = engine.detect(rgb)
            if len(faces) == 1:
                people.append(row["person_id"])
                embeddings.append(engine.embed(rgb, faces[0]))
    np.savez(out, people=np.array(people), embeddings=np.stack(embeddings))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
