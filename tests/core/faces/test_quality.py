from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.crop import arcface_points
from core.faces.face import Face
from core.faces.quality import Limit, Measures, check, load_limits, measure, pose

GOOD = Measures(
    face_px=160,
    inter_eye_px=70,
    sharpness=400,
    mean_luma=120,
    dark_percent=0,
    bright_percent=0,
    yaw=3,
    pitch=-4,
    roll=2,
    detection_score=0.8,
    detector="scrfd",
)
LIMITS = load_limits()


def blur(photo: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return cv2.GaussianBlur(photo, (0, 0), sigma).astype(np.uint8)


def frontal(scale: float = 2.0, shift: float = 60.0) -> Face:
    points = (arcface_points(112) * scale + shift).astype(np.float32)
    box = (shift, shift, shift + 112 * scale, shift + 112 * scale)
    return Face(box, points, 0.8, "scrfd", "centres")


def corners(centres: Face) -> Face:
    """The same face as dlib's five points describe it."""
    left, right = centres.left_eye, centres.right_eye
    half = (right - left) * 0.2
    base = centres.nose + 0.15 * np.array([-(right - left)[1], (right - left)[0]])
    points = np.stack([right + half, right - half, left - half, left + half, base]).astype(np.float32)
    return Face(centres.box, points, 1.2, "dlib-hog", "corners")


def turned(face: Face, degrees: float) -> Face:
    a = np.deg2rad(degrees)
    middle = face.landmarks.mean(axis=0)
    matrix = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    points = ((face.landmarks - middle) @ matrix.T + middle).astype(np.float32)
    return dataclasses.replace(face, landmarks=points)


def test_a_good_face_falls_short_of_nothing() -> None:
    assert check(GOOD, LIMITS) == []
    assert check(dataclasses.replace(GOOD, detector="dlib-hog", detection_score=1.5), LIMITS) == []


def test_a_face_box_of_20_pixels_gets_a_sentence_with_the_measured_value_and_a_supervisor_may_override_it() -> None:
    found = check(dataclasses.replace(GOOD, face_px=20), LIMITS)
    assert [(s.code, s.measured, s.limit, s.overridable) for s in found] == [("face_too_small", 20, 60, True)]
    assert "20 pixels" in found[0].sentence
    assert "60" in found[0].sentence


def test_a_face_box_of_10_pixels_is_refused_once_and_nobody_can_override_it() -> None:
    found = check(dataclasses.replace(GOOD, face_px=10), LIMITS)
    assert [(s.code, s.overridable) for s in found] == [("face_far_too_small", False)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"inter_eye_px": 12}, "eyes_too_close"),
        ({"inter_eye_px": 3}, "eyes_far_too_close"),
        ({"sharpness": 5}, "blurred"),
        ({"mean_luma": 20}, "too_dark"),
        ({"mean_luma": 240}, "too_bright"),
        ({"dark_percent": 60}, "shadows_lost"),
        ({"bright_percent": 60}, "lights_lost"),
        ({"yaw": -60}, "turned_aside"),
        ({"yaw": 60}, "turned_aside"),
        ({"pitch": -60}, "tilted_up_or_down"),
        ({"roll": 90}, "leaning"),
        ({"detection_score": 0.51}, "hardly_a_face"),
        ({"detection_score": 0.01, "detector": "dlib-hog"}, "hardly_a_face"),
    ],
)
def test_each_measure_has_a_limit_of_its_own(change: dict[str, Any], code: str) -> None:
    assert [shortfall.code for shortfall in check(dataclasses.replace(GOOD, **change), LIMITS)] == [code]


def test_a_detection_score_is_held_against_the_limit_of_its_own_detector_only() -> None:
    assert check(dataclasses.replace(GOOD, detection_score=0.3, detector="dlib-hog"), LIMITS) == []


def test_what_cannot_be_overridden_comes_first() -> None:
    found = check(dataclasses.replace(GOOD, sharpness=1, face_px=5, yaw=80), LIMITS)
    assert [shortfall.overridable for shortfall in found] == [False, True, True]


def test_size_sharpness_and_exposure_are_measured_on_the_face() -> None:
    rng = np.random.default_rng(0)
    photo = blur(rng.integers(0, 255, (400, 400, 3), np.uint8), 2)
    face = frontal()
    sharp = measure(photo, face)
    assert sharp.face_px == 224
    assert sharp.inter_eye_px == pytest.approx(70.5, abs=0.1)
    blurred = measure(blur(photo, 6), face)
    assert blurred.sharpness < sharp.sharpness / 5
    black = measure(np.zeros_like(photo), face)
    assert (black.mean_luma, black.dark_percent, black.sharpness) == (0, 100, 0)
    white = measure(np.full_like(photo, 255), face)
    assert (white.mean_luma, white.bright_percent) == (255, 100)


@pytest.mark.parametrize("degrees", [-70, -20, 0, 20, 70])
def test_roll_is_the_angle_of_the_eyes_and_leaves_yaw_and_pitch_alone(degrees: float) -> None:
    for face in (frontal(), corners(frontal())):
        yaw, pitch, roll = pose(turned(face, degrees))
        level = pose(face)
        assert roll == pytest.approx(degrees + level[2], abs=0.5)
        assert yaw == pytest.approx(level[0], abs=1)
        assert pitch == pytest.approx(level[1], abs=1)


def test_both_layouts_of_landmarks_tell_the_same_eyes() -> None:
    face, same = frontal(), corners(frontal())
    assert np.allclose(face.left_eye, same.left_eye, atol=1e-3)
    assert np.allclose(face.right_eye, same.right_eye, atol=1e-3)
    assert same.mouth is None


def test_a_face_whose_points_coincide_has_no_pose_and_breaks_nothing() -> None:
    face = dataclasses.replace(frontal(), landmarks=np.full((5, 2), 100, np.float32))
    assert pose(face) == (0, 0, 0)
    assert measure(np.zeros((300, 300, 3), np.uint8), face).inter_eye_px == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('measure = "beauty"', "no measure 'beauty'"),
        ('kind = "ignore"', "'refuse' or 'override'"),
        ("maximum = 3", "either a minimum or a maximum"),
        ('colour = "red"', "unknown key 'colour'"),
    ],
)
def test_a_wrong_limits_file_says_what_is_wrong(tmp_path: Path, line: str, complaint: str) -> None:
    entry = {"code": '"x"', "measure": '"face_px"', "kind": '"refuse"', "sentence": '"s"', "minimum": "1"}
    key, value = line.split(" = ")
    entry[key] = value
    path = tmp_path / "limits.toml"
    path.write_text("[[limit]]\n" + "\n".join(f"{k} = {v}" for k, v in entry.items()))
    with pytest.raises(ValueError, match=complaint):
        load_limits(path)


def test_limits_are_data(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[[limit]]\ncode="small"\nmeasure="face_px"\nminimum=300\nkind="refuse"\nsentence="{measured} < {limit}."\n'
    )
    own = load_limits(path)
    assert own == (Limit("small", "face_px", "refuse", "{measured} < {limit}.", minimum=300),)
    assert check(GOOD, own)[0].sentence == "160 < 300."


def test_a_face_survives_json() -> None:
    face = corners(frontal(1.7, 33.3))
    again = Face.from_dict(face.as_dict())
    assert again.as_dict() == face.as_dict()
    assert np.array_equal(again.landmarks, face.landmarks)
    with pytest.raises(ValueError, match="five landmarks"):
        Face.from_dict({**face.as_dict(), "landmarks": [[1, 2]]})
