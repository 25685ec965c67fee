"""Measures of one face in one photo, and what falls short of the limits.

The measures are plain and rough on purpose: an officer can see why a photo was refused. None of them predicts
whether a search will find the right person.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.faces.crop import eye_aligned_crop
from core.faces.face import Face

DEFAULT_LIMITS = Path(__file__).with_name("limits.toml")

_BLACK, _WHITE = 4, 251  # luma at or beyond which detail is lost
_ANGLES = ("yaw", "pitch", "roll")

# A frontal head in units of the distance between the eyes: how far nose and mouth lie below the eye line, and the nose
# in front of it. The drops are medians over official portraits; the depths were set so that yaw came out right (slope
# 1.08 and 1.09) on a thousand rendered heads of known pose.
_TIP_DROP, _TIP_DEPTH, _MOUTH_DROP = 0.61, 0.60, 0.95
_BASE_DROP, _BASE_DEPTH = 0.76, 0.42


@dataclass(frozen=True)
class Measures:
    """What was measured on one face.

    face_px: shorter side of the box. inter_eye_px: distance of the eye centres. sharpness: variance of the Laplacian
    of luma on the face brought to 112 x 112 pixels. mean_luma: 0..255. dark_percent, bright_percent: share of the
    face without detail. yaw, pitch, roll: degrees, estimated from five points (see `pose`). detection_score: on the
    scale of `detector`.
    """

    face_px: float
    inter_eye_px: float
    sharpness: float
    mean_luma: float
    dark_percent: float
    bright_percent: float
    yaw: float
    pitch: float
    roll: float
    detection_score: float
    detector: str

    def as_dict(self) -> dict[str, float | str]:
        return asdict(self)


@dataclass(frozen=True)
class Limit:
    """One limit on one measure; exactly one of minimum and maximum is set. `detector` None means every detector."""

    code: str
    measure: str
    kind: Literal["refuse", "override"]
    sentence: str
    minimum: float | None = None
    maximum: float | None = None
    detector: str | None = None

    @property
    def value(self) -> float:
        return self.minimum if self.minimum is not None else self.maximum or 0.0


Limits = tuple[Limit, ...]


@dataclass(frozen=True)
class Shortfall:
    """One measure outside its limit, with a sentence that names both. Not overridable means: not searchable."""

    code: str
    measure: str
    measured: float
    limit: float
    sentence: str
    overridable: bool


def load_limits(path: Path = DEFAULT_LIMITS) -> Limits:
    """Read limits from a TOML file laid out as `limits.toml`. Raises ValueError naming the entry that is wrong."""
    entries = tomllib.loads(path.read_text("utf-8")).get("limit", [])
    return tuple(_limit(entry, f"{path.name}, limit {number}") for number, entry in enumerate(entries, 1))


def measure(rgb: NDArray[np.uint8], face: Face) -> Measures:
    """Measure a face on (height, width, 3) uint8. From pixels and landmarks alone: nothing is embedded."""
    import cv2

    luma = cv2.cvtColor(eye_aligned_crop(rgb, face), cv2.COLOR_RGB2GRAY)
    yaw, pitch, roll = pose(face)
    return Measures(
        face_px=round(min(face.width, face.height), 1),
        inter_eye_px=round(float(np.linalg.norm(face.right_eye - face.left_eye)), 1),
        sharpness=round(float(cv2.Laplacian(luma, cv2.CV_64F).var()), 1),
        mean_luma=round(float(luma.mean()), 1),
        dark_percent=round(100 * float((luma <= _BLACK).mean()), 1),
        bright_percent=round(100 * float((luma >= _WHITE).mean()), 1),
        yaw=round(yaw, 1),
        pitch=round(pitch, 1),
        roll=round(roll, 1),
        detection_score=round(face.detection_score, 4),
        detector=face.detector,
    )


def pose(face: Face) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees: rough, meant for limits and nothing else.

    Positive yaw: the nose points to the right of the image; positive pitch: it points up; positive roll: the head
    leans clockwise as seen. One average head under orthographic projection. On rendered heads within 12 degrees of
    frontal, one standard deviation of the error was 2 degrees of yaw and 7 of pitch from insightface's points, 5 and 13
    from dlib's: a long nose reads as pitch where the detector gives no mouth. Looking down stops at -29 there.
    """
    across = (face.right_eye - face.left_eye).astype(float)
    apart = float(np.hypot(*across))
    if apart < 1e-6:
        return 0.0, 0.0, 0.0
    roll = math.degrees(math.atan2(across[1], across[0]))
    right, down = across / apart, np.array([-across[1], across[0]]) / apart
    middle = (face.left_eye + face.right_eye).astype(float) / 2
    nose = (face.nose - middle) / apart
    depth = _TIP_DEPTH if face.mouth is not None else _BASE_DEPTH
    yaw = math.atan2(float(nose @ right), depth)
    drop = float(nose @ down) * math.cos(yaw)  # turning aside brings the eyes together: undo it
    if face.mouth is not None:
        mouth = float((face.mouth - middle) @ down) / apart * math.cos(yaw)
        ratio = drop / mouth if mouth > 1e-6 else _TIP_DROP / _MOUTH_DROP
        pitch = math.atan2((_TIP_DROP / _MOUTH_DROP - ratio) * _MOUTH_DROP, _TIP_DEPTH)
    else:
        # drop = base_drop cos(pitch) - base_depth sin(pitch), solved for pitch
        radius, phase = math.hypot(_BASE_DROP, _BASE_DEPTH), math.atan2(_BASE_DEPTH, _BASE_DROP)
        pitch = math.acos(min(1.0, max(-1.0, drop / radius))) - phase
    return math.degrees(yaw), math.degrees(pitch), roll


def check(measures: Measures, limits: Sequence[Limit]) -> list[Shortfall]:
    """Everything that falls short, worst first. Where a measure misses a refusing limit its milder ones stay silent."""
    missed = [limit for limit in limits if _misses(measures, limit)]
    refused = {limit.measure for limit in missed if limit.kind == "refuse"}
    kept = [limit for limit in missed if limit.kind == "refuse" or limit.measure not in refused]
    return [_shortfall(measures, limit) for limit in sorted(kept, key=lambda limit: limit.kind != "refuse")]


def _measured(measures: Measures, limit: Limit) -> float:
    value = float(getattr(measures, limit.measure))
    return abs(value) if limit.measure in _ANGLES else value


def _misses(measures: Measures, limit: Limit) -> bool:
    if limit.detector not in (None, measures.detector):
        return False
    value = _measured(measures, limit)
    if limit.minimum is not None:
        return value < limit.minimum
    return limit.maximum is not None and value > limit.maximum


def _shortfall(measures: Measures, limit: Limit) -> Shortfall:
    value = _measured(measures, limit)
    sentence = limit.sentence.format(measured=f"{value:g}", limit=f"{limit.value:g}")
    return Shortfall(limit.code, limit.measure, value, limit.value, sentence, overridable=limit.kind == "override")


def _limit(entry: dict[str, Any], where: str) -> Limit:
    known = {field.name for field in fields(Limit)}
    if unknown := set(entry) - known:
        raise ValueError(f"{where}: unknown key {sorted(unknown)[0]!r}")
    if missing := {"code", "measure", "kind", "sentence"} - set(entry):
        raise ValueError(f"{where}: {sorted(missing)[0]!r} is missing")
    measurable = {field.name for field in fields(Measures)} - {"detector"}
    if entry["measure"] not in measurable:
        raise ValueError(f"{where}: there is no measure {entry['measure']!r}; choose one of {sorted(measurable)}")
    if entry["kind"] not in ("refuse", "override"):
        raise ValueError(f"{where}: kind is 'refuse' or 'override', not {entry['kind']!r}")
    if ("minimum" in entry) == ("maximum" in entry):
        raise ValueError(f"{where}: give either a minimum or a maximum")
    return Limit(**entry)
