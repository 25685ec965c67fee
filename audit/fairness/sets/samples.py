"""What an evaluation measures: embeddings with the person and the cohorts of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from audit.fairness.cohorts import cohort_labels
from audit.fairness.scores import Floats
from audit.fairness.sets.rows import LeftOut


@dataclass(frozen=True, eq=False)
class Samples:
    """What an evaluation measures: one row per photo.

    people        (n,) person of each photo
    labels        column -> (n,) cohort labels
    embeddings    (n, d) float32; rows without an embedding are zero
    extracted     (n,) bool: False where the photo gave no embedding (a failure to extract)
    """

    name: str
    people: Sequence[str]
    labels: Mapping[str, Sequence[str]]
    embeddings: Floats
    extracted: npt.NDArray[np.bool_]
    set_hash: str
    left_out: tuple[LeftOut, ...] = ()
    failures: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def cohorts(self, axis: str) -> list[str]:
        """The cohort of each photo for "sex", "sex x birth_year" or "" (everybody in one)."""
        return cohort_labels(self.labels, axis, len(self.people))
