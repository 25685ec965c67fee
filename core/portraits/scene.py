"""Everything that changes from photo to photo: pose, expression, light, camera, background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.portraits.identity import Colour


@dataclass(frozen=True)
class Scene:
    """One photo. Angles in radians, positive yaw turns the nose to the right of the image, positive pitch raises it.

    light_azimuth and light_elevation: where the lamp stands. shift: pixels of the finished photo. quality: of the JPEG.
    """

    seed: int
    yaw: float
    pitch: float
    roll: float
    light_azimuth: float
    light_elevation: float
    ambient: float
    warmth: float
    exposure: float
    smile: float
    mouth_open: float
    brow_raise: float
    blink: float
    gaze: float
    scale: float
    shift: tuple[float, float]
    blur: float
    noise: float
    quality: int
    background: tuple[Colour, Colour]
    clouds: int


def scene(seed: int, strength: float = 0.6) -> Scene:
    """The photo of this seed. `strength` scales what makes two photos of one person differ: 0 hardly, 1 a lot."""
    rng = np.random.default_rng([104729, seed])

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    wall = rng.normal(145, 42) + rng.normal(0, 15, (2, 3))
    above, below = ((float(r), float(g), float(b)) for r, g, b in wall.clip(25, 235))
    return Scene(
        seed=seed,
        yaw=np.deg2rad(between(-20, 20)) * strength,
        pitch=np.deg2rad(between(-20, 20)) * strength,
        roll=np.deg2rad(between(-8, 8)) * strength,
        light_azimuth=np.deg2rad(between(-55, 55)) * strength,
        light_elevation=np.deg2rad(between(6, 38)),
        ambient=between(0.44, 0.62),
        warmth=between(-0.05, 0.05) * strength,
        exposure=1 + between(-0.15, 0.15) * strength,
        smile=max(0.0, between(-0.4, 1)) * strength,
        mouth_open=max(0.0, between(-1, 0.8)) * strength,
        brow_raise=between(-0.3, 1) * strength * 0.5,
        blink=between(0, 0.18),
        gaze=between(-0.5, 0.5) * strength,
        scale=1 + between(-0.12, 0.12) * strength,
        shift=(between(-12, 12) * strength, between(-8, 8) * strength),
        blur=between(0.3, 0.7),
        noise=between(1, 5) * strength,
        quality=int(rng.integers(70, 96)),
        background=(above, below),
        clouds=int(rng.integers(3)),
    )
