"""The insightface adapter on hand-built models: what it accepts, refuses and maps, with no weights at all."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from core.faces.engines import UnusableModel, file_sha256, load
from tests.core.faces import tiny_models


@pytest.fixture
def pack(tiny_pack: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(tiny_pack, tmp_path / "pack"))


def refused(*arguments: object, **options: object) -> UnusableModel:
    with pytest.raises(UnusableModel) as caught:
        load("insightface", *arguments, **options)  # type: ignore[arg-type]
    return caught.value


def test_boxes_and_landmarks_are_mapped_back_over_border_and_scale(tiny_pack: Path) -> None:
    engine = load("insightface", tiny_pack)
    (face,) = engine.detect(np.full((560, 560, 3), 90, np.uint8))
    # 560 + 2 x 40 = 640: one input pixel of the detector is one pixel of the bordered photo.
    assert face.box == pytest.approx((184, 184, 376, 376), abs=1e-3)
    assert np.allclose(face.landmarks, tiny_models.POINTS + 280, atol=1e-3)
    assert face.detection_score == pytest.approx(0.9, abs=1e-6)


def test_a_large_photo_is_reduced_first_and_mapped_back(tiny_pack: Path) -> None:
    engine = load("insightface", tiny_pack)
    (face,) = engine.detect(np.full((4800, 4800, 3), 90, np.uint8))
    x0, y0, x1, y1 = face.box
    # 1600 + 80 pixels are shown to the detector as 640; 4800 / 1600 = 3
    half = tiny_models.HALF * 1680 / 640 * 3
    assert (x0, y0, x1, y1) == pytest.approx((2400 - half, 2400 - half, 2400 + half, 2400 + half), abs=1)


def test_a_face_is_embedded_at_unit_length_and_differs_from_another(tiny_pack: Path) -> None:
    engine = load("insightface", tiny_pack)
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 255, (560, 560, 3), np.uint8) for _ in range(2)]
    vectors = [engine.embed(photo, engine.detect(photo)[0]) for photo in photos]
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-6) for vector in vectors)
    assert vectors[0].shape == (64,) == (engine.identity().dimension,)
    assert not np.allclose(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], engine.embed(photos[0], engine.detect(photos[0])[0]))


@pytest.mark.parametrize("place", ["relative/pack", "/nowhere/at/all", "buffalo_l"])
def test_anything_but_an_existing_absolute_directory_is_refused_before_the_library_could_download(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import insightface.app

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("the library was called")

    monkeypatch.setattr(insightface.app, "FaceAnalysis", never)
    assert refused(Path(place)).code == "no_directory"
    assert refused(None).code == "no_directory"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).code == "no_files"


def test_a_file_that_is_no_model_is_refused(pack: Path) -> None:
    (pack / "det.onnx").write_bytes(b"not a model")
    assert refused(pack).code == "unreadable"


@pytest.mark.parametrize("gone", ["det.onnx", "rec.onnx"])
def test_half_a_pack_is_refused(pack: Path, gone: str) -> None:
    (pack / gone).unlink()
    assert refused(pack).code in ("unreadable", "incomplete")


def test_a_second_recogniser_is_refused_because_its_name_would_decide(pack: Path) -> None:
    tiny_models.recogniser(pack / "aaa.onnx", seed=1)
    error = refused(pack)
    assert error.code == "two_models"
    assert "aaa.onnx" in error.sentence
    assert "rec.onnx" in error.sentence


def test_expected_hashes_are_insisted_on(pack: Path) -> None:
    right = {name: file_sha256(pack / name) for name in ("det.onnx", "rec.onnx")}
    assert load("insightface", pack, files=right).identity().files == right
    assert refused(pack, files={**right, "rec.onnx": "0" * 64}).code == "file_changed"
    assert refused(pack, files={**right, "more.onnx": "0" * 64}).code == "file_missing"
    assert refused(pack, files={"det.onnx": right["det.onnx"]}).code == "file_unknown"


def test_a_manifest_of_an_unknown_version_is_refused(pack: Path) -> None:
    (pack / "manifest.json").write_text('{"manifest_version": 3}')
    assert refused(pack).code == "unknown_manifest"


def test_a_changed_recogniser_is_another_face_model(pack: Path, tiny_pack: Path) -> None:
    tiny_models.recogniser(pack / "rec.onnx", seed=1)
    assert load("insightface", pack).identity().hash != load("insightface", tiny_pack).identity().hash


def test_loading_adds_no_threads(tiny_pack: Path) -> None:
    load("insightface", tiny_pack)  # whatever the library starts once is started
    before = len(list(Path("/proc/self/task").iterdir()))
    engine = load("insightface", tiny_pack)
    photo = np.zeros((300, 300, 3), np.uint8)
    engine.embed(photo, engine.detect(photo)[0])
    assert len(list(Path("/proc/self/task").iterdir())) <= before
    assert threading.active_count() >= 1
