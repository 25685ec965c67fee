"""One face found in a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
Layout = Literal["centres", "corners"]


@dataclass(frozen=True, eq=False)
class Face:
    """A detected face. Pixels of the upright photo, origin at its upper left corner; "left" is left in the image.

    box: x0, y0, x1, y1 (float, half-open), cut to the photo.
    landmarks: (5, 2) float32, the points that the detector really gave and that the alignment uses. Their meaning is
    `layout`: "centres" = left eye, right eye, nose tip, left and right mouth corner (insightface's order); "corners" =
    outer and inner corner of the right eye, outer and inner corner of the left eye, base of the nose (dlib's five
    points, which have no mouth). Use the properties below and neither order matters.
    detection_score: how sure the detector is that this is a face, on the scale of `detector`. Never a match score.
    """

    box: Box
    landmarks: NDArray[np.float32]
    detection_score: float
    detector: str
    layout: Layout

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def left_eye(self) -> NDArray[np.float32]:
        """(2,) centre of the eye on the left of the image; with "corners" the middle of its two corners."""
        if self.layout == "centres":
            return self.landmarks[0]
        return self.landmarks[2:4].mean(axis=0, dtype=np.float32)

    @property
    def right_eye(self) -> NDArray[np.float32]:
        """(2,) centre of the eye on the right of the image."""
        if self.layout == "centres":
            return self.landmarks[1]
        return self.landmarks[0:2].mean(axis=0, dtype=np.float32)

    @property
    def nose(self) -> NDArray[np.float32]:
        """(2,) tip of the nose ("centres") or its base above the lip ("corners")."""
        return self.landmarks[2] if self.layout == "centres" else self.landmarks[4]

    @property
    def mouth(self) -> NDArray[np.float32] | None:
        """(2,) middle of the mouth corners, or None where the detector has none."""
        return self.landmarks[3:5].mean(axis=0, dtype=np.float32) if self.layout == "centres" else None

    def as_dict(self) -> dict[str, Any]:
        """JSON values that `from_dict` turns back into exactly this face."""
        return {
            "box": list(self.box),
            "landmarks": [[float(x), float(y)] for x, y in self.landmarks],
            "detection_score": self.detection_score,
            "detector": self.detector,
            "layout": self.layout,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Face:
        """Raises KeyError or ValueError when the values are not those of `as_dict`."""
        landmarks = np.asarray(values["landmarks"], np.float32)
        if landmarks.shape != (5, 2) or values["layout"] not in ("centres", "corners"):
            raise ValueError("a face has five landmarks and a known layout")
        x0, y0, x1, y1 = (float(v) for v in values["box"])
        return cls((x0, y0, x1, y1), landmarks, float(values["detection_score"]), values["detector"], values["layout"])
