"""Small smooth functions from which skin, hair and heads are put together."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
Rng = np.random.Generator


def turned(points: Field, matrix: Field) -> Field:
    """(n, 3) points under a (3, 3) matrix. Not `@`: a threaded product would cost two cores and vary with them."""
    x, y, z = points.T
    return np.stack([x * row[0] + y * row[1] + z * row[2] for row in matrix], axis=-1)


def along(points: Field, direction: Field) -> Field:
    """(n,) lengths of (n, 3) points along a direction, without a threaded product either."""
    return points[:, 0] * direction[0] + points[:, 1] * direction[1] + points[:, 2] * direction[2]


def bump(x: Field, centre: Field | float, width: Field | float) -> Field:
    """Gaussian bump of height 1 around `centre`; `width` is where it has fallen to 1/e."""
    return np.exp(-np.square((x - centre) / width)).astype(np.float32)


def step(x: Field | float, width: float = 1.0) -> Field:
    """0 for x far below zero, 1 far above, smooth over about `width`."""
    return np.asarray(0.5 + 0.5 * np.tanh(np.asarray(x, np.float32) * np.float32(0.5 / width)), np.float32)


def mix(a: Field | float, b: Field | float, share: Field | float) -> Field:
    """a where share is 0, b where it is 1."""
    return np.asarray(a + (b - a) * share, np.float32)


def grain(rng: Rng, shape: tuple[int, ...], cell: float, stretch: float = 1.0) -> Field:
    """(rows, columns) smooth noise of unit variance at its knots, `cell` pixels apart, longer along rows by `stretch`."""
    rows, columns = shape[:2]
    knots = (max(2, int(rows / (cell * stretch))), max(2, int(columns / cell)))
    noise = rng.standard_normal(knots, np.float32)
    return np.asarray(cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)
