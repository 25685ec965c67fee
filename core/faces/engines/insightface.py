"""insightface: a directory of ONNX files (SCRFD detector, ArcFace-like recogniser) on ONNX Runtime.

The library downloads a pack when it is given a name it does not find, picks the first file of each kind in
alphabetical order, and never looks at licences. So: only an absolute, existing directory reaches it, hashes are
compared before it opens a file, exactly one detector and one recogniser may be there, and no other model (age and
sex among them) is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.faces.crop import arcface_crop
from core.faces.engines import LONGEST_SIDE, LicenceStatus, ModelIdentity, UnusableModel, file_sha256, reduced, unit
from core.faces.face import Face

DETECTOR = "scrfd"
TASKS = ("detection", "recognition")
DETECTION_SIDE = 640
DETECTION_THRESHOLD_PERCENT = 50
BORDER = 40  # pixels of repeated edge around the photo: closely cropped portraits are missed without


class InsightFaceEngine:
    """One detector and one recogniser on the CPU, one thread. Raises UnusableModel from the constructor."""

    def __init__(
        self,
        directory: Path,
        *,
        files: Mapping[str, str] | None = None,
        licence: str = "",
        licence_status: LicenceStatus = "unknown",
    ) -> None:
        if not directory.is_absolute() or not directory.is_dir():
            raise UnusableModel("no_directory", f"{directory} is not an existing directory with an absolute path.")
        found = {path.name: file_sha256(path) for path in sorted(directory.glob("*.onnx"))}
        if not found:
            raise UnusableModel("no_files", f"There are no .onnx files in {directory}.")
        for name, expected in (files or {}).items():
            if name not in found:
                raise UnusableModel(
                    "file_missing", f"{directory.name} has no file {name}, which its description names."
                )
            if found[name] != expected:
                raise UnusableModel("file_changed", f"{name} in {directory.name} is not the file that was approved.")
        self._models = _load(directory)
        used = {task: Path(model.model_file).name for task, model in self._models.items()}
        _only_one_of_each(directory, found, used)
        if files is not None and (strangers := sorted(set(used.values()) - set(files))):
            raise UnusableModel("file_unknown", f"{strangers[0]} in {directory.name} was not approved.")
        side, other = self._models["recognition"].input_size
        if side != other or (side % 112 and side % 128):
            raise UnusableModel(
                "wrong_shape", f"The recogniser wants crops of {side} x {other} pixels; it cannot be used."
            )
        self._side = int(side)
        dimension = int(self._features(np.zeros((self._side, self._side, 3), np.uint8)).size)
        self._identity = ModelIdentity(
            engine="insightface",
            name=directory.name,
            dimension=dimension,
            files={name: found[name] for name in used.values()},
            detector=f"SCRFD at {DETECTION_SIDE} px",
            alignment=f"five landmarks on the ArcFace template, {self._side} px",
            parameters={
                "adapter": 1,
                "border": BORDER,
                "detection_side": DETECTION_SIDE,
                "detection_threshold_percent": DETECTION_THRESHOLD_PERCENT,
                "longest_side": LONGEST_SIDE,
            },
            licence=licence or "No licence is stated with this model. InsightFace's own packs are for research only.",
            licence_status=licence_status,
            versions={
                name: metadata.version(name)
                for name in ("insightface", "numpy", "onnxruntime", "opencv-python-headless")
            },
        )

    def identity(self) -> ModelIdentity:
        return self._identity

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        import cv2

        small, factor = reduced(rgb)
        bordered = cv2.copyMakeBorder(small, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
        boxes, points = self._models["detection"].detect(cv2.cvtColor(bordered, cv2.COLOR_RGB2BGR))
        height, width = rgb.shape[:2]
        faces = []
        for row, landmarks in zip(boxes, points, strict=True):
            edges = (row[:4].astype(float) - BORDER) * factor
            x0, y0, x1, y1 = (float(v) for v in edges.clip(0, [width, height, width, height]))
            if x1 > x0 and y1 > y0:  # not a face that lies in the border alone
                own = ((landmarks.astype(float) - BORDER) * factor).astype(np.float32)
                faces.append(Face((x0, y0, x1, y1), own, float(row[4]), DETECTOR, "centres"))
        return sorted(faces, key=lambda face: face.box)

    def aligned_crop(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
        if face.detector != DETECTOR:
            raise UnusableModel("other_detector", f"This face was found by {face.detector!r}; detect it again.")
        return arcface_crop(rgb, face, self._side)

    def embed(self, rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        return unit(self._features(self.aligned_crop(rgb, face)))

    def _features(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = self._models["recognition"].get_feat(np.ascontiguousarray(crop[..., ::-1]))
        return features


def _options() -> Any:
    """One thread and no optimisation that depends on how many cores there are: the same photo, the same numbers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return options


def _load(directory: Path) -> dict[str, Any]:
    from insightface.app import FaceAnalysis

    try:
        app = FaceAnalysis(
            name=str(directory),
            allowed_modules=list(TASKS),
            providers=["CPUExecutionProvider"],
            sess_options=_options(),
        )
        app.prepare(ctx_id=-1, det_thresh=DETECTION_THRESHOLD_PERCENT / 100, det_size=(DETECTION_SIDE, DETECTION_SIDE))
    except (
        Exception
    ) as error:  # assertions, protobuf, runtime and manifest errors: all mean that this folder is no model
        raise UnusableModel("unreadable", f"{directory.name} is not a usable insightface model: {error}") from error
    if (directory / "manifest.json").exists() and app.model_package is None:
        raise UnusableModel("unknown_manifest", f"{directory.name} has a manifest.json of a version that is not known.")
    if set(app.models) != set(TASKS):
        raise UnusableModel(
            "incomplete",
            f"{directory.name} must hold a detection and a recognition model; found: {sorted(app.models)}.",
        )
    if not app.models["detection"].use_kps:
        raise UnusableModel(
            "no_landmarks", f"The detector in {directory.name} gives no landmarks; faces cannot be aligned."
        )
    return dict(app.models)


def _only_one_of_each(directory: Path, found: Mapping[str, str], used: Mapping[str, str]) -> None:
    """Refuse a second detector or recogniser: which one the library takes would hang on its file name."""
    for name in sorted(set(found) - set(used.values())):
        task = _task(directory / name)
        if task in TASKS:
            raise UnusableModel(
                "two_models", f"{directory.name} holds two {task} models, {used[task]} and {name}. Keep one of them."
            )


def _task(path: Path) -> str | None:
    from insightface.model_zoo import model_zoo

    try:
        spare = model_zoo.get_model(str(path), providers=["CPUExecutionProvider"], sess_options=_options())
    except Exception:  # not a model that the library knows, so it cannot be taken for one
        return None
    return getattr(spare, "taskname", None)
