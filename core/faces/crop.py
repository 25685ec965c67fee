"""Cutting a face out of a photo, turned upright and brought to a fixed size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.faces.face import Face

# Where the ArcFace family of recognisers wants eyes, nose tip and mouth corners in a crop of 112 x 112 pixels:
# Deng et al., "ArcFace", CVPR 2019, and insightface.utils.face_align.
ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
ARCFACE_SIDE = 112


def arcface_points(side: int) -> NDArray[np.float64]:
    """(5, 2) target points in a crop of `side` pixels: a multiple of 112, or of 128 with the face in its middle 112."""
    if side % 112 == 0:
        return ARCFACE_POINTS * (side / 112)
    if side % 128 == 0:
        return (ARCFACE_POINTS + np.array([8.0, 0.0])) * (side / 128)
    raise ValueError(f"a crop of {side} pixels is not one that ArcFace models use")


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """(2, 3) matrix of the rotation, scaling and shift that brings (n, 2) `source` closest to `target`.

    Least squares (Umeyama, PAMI 13(4), 1991) without reflections, written in complex numbers: w = a z + b.
    """
    z = source[:, 0].astype(np.complex128) + 1j * source[:, 1]
    w = target[:, 0].astype(np.complex128) + 1j * target[:, 1]
    centred = z - z.mean()
    spread = float(np.sum(np.abs(centred) ** 2))
    a = np.sum(centred.conj() * (w - w.mean())) / spread if spread > 0 else 1.0 + 0j
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(rgb: NDArray[np.uint8], matrix: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """(side, side, 3): the photo under the (2, 3) similarity, bilinear; beyond the photo its edge is repeated.

    Only the part of the photo that is needed is touched, so a large photo costs no more than a small one.
    """
    import cv2

    forward = np.vstack([matrix, [0.0, 0.0, 1.0]])
    corners = np.linalg.inv(forward) @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]], float)
    height, width = rgb.shape[:2]
    x0, y0 = (int(np.clip(np.floor(corners[i].min()) - 2, 0, size - 1)) for i, size in ((0, width), (1, height)))
    x1, y1 = (int(np.clip(np.ceil(corners[i].max()) + 3, 1, size)) for i, size in ((0, width), (1, height)))
    part = np.ascontiguousarray(rgb[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)])
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [x0, y0]
    warped = cv2.warpAffine(part, shifted, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped.astype(np.uint8, copy=False)


def arcface_crop(rgb: NDArray[np.uint8], face: Face, side: int = ARCFACE_SIDE) -> NDArray[np.uint8]:
    """(side, side, 3) crop as insightface's `norm_crop` cuts it, but with the photo's edge repeated beyond it."""
    return warp(rgb, similarity(face.landmarks, arcface_points(side)), side)


def eye_aligned_crop(rgb: NDArray[np.uint8], face: Face, side: int = ARCFACE_SIDE) -> NDArray[np.uint8]:
    """(side, side, 3) crop placed by the eyes alone, the same for every detector: quality is measured on it.

    A face larger than the crop is averaged down rather than sampled, so that its pixel noise is not read as sharpness.
    """
    import cv2

    eyes = np.stack([face.left_eye, face.right_eye])
    if np.allclose(eyes[0], eyes[1]):  # a detector that places both eyes on one point: fall back to its box
        eye_line = face.box[1] + 0.4 * face.height
        eyes = np.array([[face.box[0], eye_line], [face.box[2], eye_line]])
    matrix = similarity(eyes, arcface_points(side)[:2])
    larger = max(1, round(1 / max(float(np.hypot(*matrix[:, 0])), 1 / 32)))
    crop = warp(rgb, matrix * larger, side * larger)
    return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
