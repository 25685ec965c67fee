"""The peer of enrolment: a loop that decodes, detects and embeds, and keeps nothing safe.

`python -m bench.bare MODEL MANIFEST OUT [SHARE OF]`: every OF-th photo from number SHARE on; all of them by default.
"""

from __future__ import annotations

import csv
import itertools
import os
import sys
from pathlib import Path

import numpy as np

from core.faces import registry
from core.faces.decode import decode


def main(model: str, manifest: Path, out: Path, share: int = 0, of: int = 1) -> None:
    """Writes people and embeddings (n, d) float32 of the photos with exactly one face to `out` (npz)."""
    place = os.environ.get("GLASSCASE_MODELS_DIR")
    engine = registry.engine(model, Path(place) if place and Path(place).is_dir() else None)
    people, embeddings = [], []
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in itertools.islice(csv.DictReader(file), share, None, of):
            rgb = decode((manifest.parent / row["file"]).read_bytes()).rgb
            faces = engine.detect(rgb)
            if len(faces) == 1:
                people.append(row["person_id"])
                embeddings.append(engine.embed(rgb, faces[0]))
    np.savez(out, people=np.array(people), embeddings=np.stack(embeddings))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:6]))
