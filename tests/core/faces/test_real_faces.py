"""Both adapters on real portraits: the measured proof that they are wired as their makers meant."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from core.faces.decode import decode
from core.faces.engines import Engine
from core.faces.face import Face

FMR = 1e-3


def wilson(errors: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a proportion: Wilson, JASA 22 (1927), 209-212."""
    p = errors / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return max(0.0, middle - half), middle + half


def largest(faces: list[Face]) -> Face:
    return max(faces, key=lambda face: face.width * face.height)


@pytest.mark.slow
def test_real_portraits_reach_an_fnmr_of_4_percent_at_an_fmr_of_1_in_1000(
    engine: Engine, real_faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All pairs of 220 photos of 140 people; a photo without an embedding counts as a miss, and no limit is applied."""
    folder = real_faces / "congress"
    with (folder / "photos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    vectors = np.zeros((len(rows), engine.identity().dimension))
    failed = 0
    for number, row in enumerate(rows):
        rgb = decode((folder / row["file"]).read_bytes()).rgb
        if faces := engine.detect(rgb):
            vectors[number] = engine.embed(rgb, largest(faces))
        else:
            vectors[number] = np.nan
            failed += 1
    people = np.array([row["person_id"] for row in rows])
    pairs = np.triu_indices(len(rows), 1)
    scores = np.nan_to_num((vectors @ vectors.T)[pairs], nan=-1.0)
    same = people[pairs[0]] == people[pairs[1]]
    genuine, impostor = scores[same], np.sort(scores[~same])[::-1]
    assert (len(rows), len(set(people)), len(genuine), len(impostor)) == (220, 140, 80, 24_010)
    # The lowest threshold at which at most FMR of the impostor pairs score at or above it.
    threshold = np.nextafter(impostor[int(FMR * len(impostor))], 2.0)
    missed = int((genuine < threshold).sum())
    low, high = wilson(missed, len(genuine))
    name = engine.identity().name
    with capsys.disabled():
        print(  # noqa: T201 (the figures are what the run is for)
            f"\n{name}: FNMR {missed}/{len(genuine)} at FMR {FMR:g} (threshold {threshold:.4f}), "
            f"95 % Wilson interval {low:.1%} to {high:.1%}; no embedding {failed}/{len(rows)}"
        )
    assert int((impostor >= threshold).sum()) <= FMR * len(impostor)
    assert missed <= 3
