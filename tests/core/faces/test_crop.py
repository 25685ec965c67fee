from __future__ import annotations

import warnings

import numpy as np
import pytest

from core.faces.crop import arcface_crop, arcface_points, eye_aligned_crop, similarity, warp
from core.faces.face import Face

RNG = np.random.default_rng(3)


def scattered(scale: float = 2.0, angle: float = 20.0, shift: tuple[float, float] = (150, 90)) -> np.ndarray:
    """The template's points, turned, scaled, moved and a little disturbed."""
    a = np.deg2rad(angle)
    points = arcface_points(112) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) * scale + shift
    return (points + RNG.normal(0, 2, (5, 2))).astype(np.float32)


def face(points: np.ndarray) -> Face:
    x0, y0 = points.min(axis=0) - 20
    x1, y1 = points.max(axis=0) + 20
    return Face((float(x0), float(y0), float(x1), float(y1)), points.astype(np.float32), 0.9, "scrfd", "centres")


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0), (2.5, 35), (0.4, -80), (6, 170)])
def test_the_alignment_is_the_one_of_insightface(scale: float, angle: float) -> None:
    from insightface.utils import face_align

    points = scattered(scale, angle, (400, 300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scikit-image, inside the library
        theirs = face_align.estimate_norm(points, 112)
    assert np.allclose(similarity(points, arcface_points(112)), theirs, atol=1e-3)


@pytest.mark.parametrize("side", [112, 224, 128, 256])
def test_a_crop_inside_the_photo_has_the_pixels_of_insightface(side: int) -> None:
    from insightface.utils import face_align

    photo = RNG.integers(0, 255, (600, 700, 3), np.uint8)
    points = scattered(1.5, 10, (200, 150))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = face_align.norm_crop(photo, points, side)
    ours = arcface_crop(photo, face(points), side)
    assert ours.shape == (side, side, 3)
    # Coordinates are rounded to 1/32 pixel, in another place because only a part of the photo is passed on.
    assert np.abs(ours.astype(int) - theirs).mean() < 3


def test_a_side_that_no_model_uses_is_refused() -> None:
    with pytest.raises(ValueError, match="100 pixels"):
        arcface_points(100)


def test_beyond_the_photo_its_edge_is_repeated() -> None:
    photo = np.full((80, 80, 3), 90, np.uint8)
    away = np.array([[1.0, 0, 300], [0, 1.0, 300]])
    assert (warp(photo, away, 112) == 90).all()


def test_a_huge_photo_costs_no_more_than_its_face() -> None:
    # More columns than the filter can address: only the part with the face may reach it.
    photo = np.zeros((120, 40_000, 3), np.uint8)
    points = scattered(0.8, 0, (39_000, 10))
    assert arcface_crop(photo, face(points)).shape == (112, 112, 3)


def test_the_crop_for_quality_is_placed_by_the_eyes_and_averaged_down() -> None:
    noise = RNG.integers(0, 255, (2000, 2000, 3), np.uint8)
    points = arcface_points(112) * 10 + 300
    crop = eye_aligned_crop(noise, face(points))
    assert crop.shape == (112, 112, 3)
    assert crop.std() < 20  # sampling would have kept the noise of 74


def test_eyes_on_one_point_do_not_break_the_crop() -> None:
    points = np.full((5, 2), 50, np.float32)
    assert eye_aligned_crop(np.zeros((100, 100, 3), np.uint8), face(points)).shape == (112, 112, 3)
    assert arcface_crop(np.zeros((100, 100, 3), np.uint8), face(points)).shape == (112, 112, 3)
