"""Portraits of people who do not exist, drawn by arithmetic: no photo, no trained model, nothing downloaded.

For the demo and the tests. They look alike in ways real people do not, so thresholds and error rates measured on
them say nothing about anybody real.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.portraits.identity import person
from core.portraits.render import SIDE, render
from core.portraits.scene import scene

VERSION = 1  # raise it whenever the same seeds give other pixels: cached portraits are then drawn again

__all__ = ["SIDE", "VERSION", "portrait", "portrait_jpeg"]


def portrait(identity_seed: int, photo_seed: int, strength: float = 0.6, spread: float = 1.0) -> NDArray[np.uint8]:
    """(320, 320, 3) RGB uint8 of one generated person in one photo.

    strength: how much photos of one person differ (0..1). spread: how far people lie from the average face. The same
    arguments give the same pixels on one machine; another build of OpenCV may differ in the last bit.
    """
    return render(person(identity_seed, spread), scene(_scene_seed(identity_seed, photo_seed), strength))


def portrait_jpeg(identity_seed: int, photo_seed: int, strength: float = 0.6, spread: float = 1.0) -> bytes:
    """The same portrait as the bytes of a JPEG, at the quality that belongs to the photo (70..95)."""
    pixels = portrait(identity_seed, photo_seed, strength, spread)
    quality = scene(_scene_seed(identity_seed, photo_seed), strength).quality
    out = io.BytesIO()
    Image.fromarray(pixels, "RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def _scene_seed(identity_seed: int, photo_seed: int) -> int:
    return identity_seed * 1000 + photo_seed
