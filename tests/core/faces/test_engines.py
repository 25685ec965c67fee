"""The same tests for both adapters, on generated people."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.faces.engines import Engine, UnusableModel
from core.faces.face import Face
from core.faces.quality import measure
from tests.core.faces.conftest import Rgb, drawn

PEOPLE = (0, 2, 4, 6, 8)


def only_face(engine: Engine, rgb: Rgb) -> Face:
    faces = engine.detect(rgb)
    assert len(faces) == 1
    return faces[0]


def side_by_side(*identities: int) -> Rgb:
    return np.hstack([drawn(identity, 0) for identity in identities])


def test_a_face_is_found_where_it_is(engine: Engine) -> None:
    face = only_face(engine, drawn(0, 0))
    x0, y0, x1, y1 = face.box
    assert 60 < x0 < 160 < x1 < 260
    assert 30 < y0 < 150 < y1 < 300
    assert face.landmarks.shape == (5, 2)
    assert face.left_eye[0] < face.nose[0] < face.right_eye[0]
    assert max(face.left_eye[1], face.right_eye[1]) < face.nose[1]
    assert face.detection_score > 0.2


def test_an_embedding_has_length_one_and_comes_out_the_same_twice(engine: Engine) -> None:
    rgb = drawn(0, 0)
    face = only_face(engine, rgb)
    first, second = engine.embed(rgb, face), engine.embed(rgb, only_face(engine, rgb.copy()))
    assert first.dtype == np.float32
    assert first.shape == (engine.identity().dimension,)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(first, second)


def test_a_face_that_was_stored_as_json_gives_the_same_embedding(engine: Engine) -> None:
    rgb = drawn(2, 0)
    face = only_face(engine, rgb)
    stored = Face.from_dict(json.loads(json.dumps(face.as_dict())))
    assert np.array_equal(engine.embed(rgb, stored), engine.embed(rgb, face))


def test_two_photos_of_one_person_score_above_those_of_different_people(engine: Engine) -> None:
    def embedded(identity: int, photo: int) -> np.ndarray:
        rgb = drawn(identity, photo)
        return engine.embed(rgb, only_face(engine, rgb))

    first = np.stack([embedded(identity, 0) for identity in PEOPLE])
    second = np.stack([embedded(identity, 1) for identity in PEOPLE])
    scores = first @ second.T
    assert (scores.argmax(axis=1) == np.arange(len(PEOPLE))).all()
    impostors = scores[~np.eye(len(PEOPLE), dtype=bool)]
    assert np.median(np.diag(scores)) > impostors.max()


def test_the_aligned_crop_is_small_and_shows_the_face(engine: Engine) -> None:
    rgb = drawn(0, 0)
    crop = engine.aligned_crop(rgb, only_face(engine, rgb))
    side = {"dlib": 150, "insightface": 112}[engine.identity().engine]
    assert crop.shape == (side, side, 3)
    assert crop.dtype == np.uint8
    assert crop.std() > 15


def test_no_face_is_an_empty_list(engine: Engine) -> None:
    assert engine.detect(np.full((300, 300, 3), 128, np.uint8)) == []
    assert engine.detect(np.full((32, 32, 3), 200, np.uint8)) == []


def test_several_faces_are_numbered_from_left_to_right_and_embedded_one_by_one(engine: Engine) -> None:
    rgb = side_by_side(0, 2, 4)
    faces = engine.detect(rgb)
    assert len(faces) == 3
    assert [int(face.nose[0] // 320) for face in faces] == [0, 1, 2]
    alone = drawn(2, 0)
    chosen = engine.embed(rgb, faces[1])
    # insightface sees the wide photo reduced, so the landmarks move by a fraction of a pixel
    assert chosen @ engine.embed(alone, only_face(engine, alone)) > 0.97


def test_eleven_faces_are_eleven(engine: Engine) -> None:
    rows = [np.hstack([drawn(identity, photo) for identity in PEOPLE]) for photo in (0, 1)]
    rows.append(np.hstack([drawn(0, 2), np.full((320, 320 * 4, 3), 128, np.uint8)]))
    assert len(engine.detect(np.vstack(rows))) == 11


def test_a_face_lying_on_its_side_is_no_accident(engine: Engine) -> None:
    """A detector may miss it or find it; what it may not do is to fail or to place it outside the photo."""
    for face in engine.detect(np.ascontiguousarray(np.rot90(drawn(0, 0)))):
        assert 0 <= face.box[0] < face.box[2] <= 320
        assert 0 <= face.box[1] < face.box[3] <= 320


def test_a_face_too_small_to_use_is_missed_or_measured_as_small(engine: Engine) -> None:
    import cv2

    rgb = np.full((320, 320, 3), 128, np.uint8)
    rgb[140:180, 140:180] = cv2.resize(drawn(0, 0), (40, 40), interpolation=cv2.INTER_AREA)
    for face in engine.detect(rgb):
        assert measure(rgb, face).face_px < 40


def test_a_large_photo_is_searched_reduced_and_its_boxes_are_in_its_own_pixels(engine: Engine) -> None:
    import cv2

    small = drawn(0, 0)
    large = cv2.resize(small, (3200, 3200), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    here, there = only_face(engine, small), only_face(engine, large)
    middle = (there.left_eye + there.right_eye) / 2
    assert np.abs(middle / 10 - (here.left_eye + here.right_eye) / 2).max() < 6
    assert engine.embed(large, there) @ engine.embed(small, here) > 0.9


def test_a_read_only_photo_can_be_searched(engine: Engine) -> None:
    rgb = drawn(0, 0).copy()
    rgb.flags.writeable = False
    face = only_face(engine, rgb)
    assert engine.embed(rgb, face).shape == (engine.identity().dimension,)


def test_the_identity_names_files_alignment_licence_and_hashes_to_64_digits(engine: Engine) -> None:
    identity = engine.identity()
    assert len(identity.hash) == 64
    assert set(identity.hash) <= set("0123456789abcdef")
    assert len(identity.files) == 2
    assert all(len(digest) == 64 for digest in identity.files.values())
    assert identity.score_rule == "cosine of unit vectors"
    assert identity.licence
    assert identity.licence_status in ("permissive", "non-commercial", "unknown")
    assert identity.versions
    assert identity.as_dict()["hash"] == identity.hash
    json.dumps(identity.as_dict())


def test_a_face_of_another_detector_is_refused(engine: Engine) -> None:
    rgb = drawn(0, 0)
    stranger = Face((80, 80, 240, 240), np.zeros((5, 2), np.float32), 0.9, "somebody", "centres")
    with pytest.raises(UnusableModel, match="detect it"):
        engine.embed(rgb, stranger)
