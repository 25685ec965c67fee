"""The painted face: skin, lips, eyes, brows and beard on the frontal plane of the head."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.portraits.fields import Field, bump, grain, mix, step
from core.portraits.identity import Person
from core.portraits.scene import Scene

PIXELS_PER_UNIT = 125
HALF_WIDTH, HALF_HEIGHT = 1.25, 1.9
SHAPE = (int(2 * HALF_HEIGHT * PIXELS_PER_UNIT), int(2 * HALF_WIDTH * PIXELS_PER_UNIT))
MOUTH_OPENING = 0.13  # head units between the lips at mouth_open = 1


def mouth_height(person: Person, scene: Scene) -> float:
    """Where the lips meet: a smile lifts them."""
    return person.mouth.height - 0.03 * scene.smile


class _Canvas:
    """Skin colour and, kept apart so that darkenings multiply, a layer of brightness.

    x, y: coordinates in head units as a row and a column; a: distance from the middle line.
    """

    def __init__(self, person: Person) -> None:
        self.rng = np.random.default_rng([31, person.seed])
        self.x: Field = (np.arange(SHAPE[1], dtype=np.float32) / PIXELS_PER_UNIT - HALF_WIDTH)[None]
        self.y: Field = (np.arange(SHAPE[0], dtype=np.float32) / PIXELS_PER_UNIT - HALF_HEIGHT)[:, None]
        self.a: Field = np.abs(self.x)
        self.light: Field = np.ones(SHAPE, np.float32)
        for cell, strength in ((60, 0.030), (14, 0.018), (1, 0.018)):
            self.light += grain(self.rng, SHAPE, cell) * np.float32(strength)
        self.colour: Field = np.empty((*SHAPE, 3), np.float32)

    def paint(self, mask: Field, colour: Field | tuple[float, ...]) -> None:
        """Blend towards an RGB colour, or an image of colours, where the mask is above 0; rows without any are skipped."""
        rows = np.flatnonzero(mask.max(axis=1) > 0.004)
        if not len(rows):
            return
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        target = np.asarray(colour, np.float32)
        target = target[part] if target.ndim == 3 else target
        self.colour[part] += (target - self.colour[part]) * mask[part, :, None]

    def darken(self, amount: Field) -> None:
        self.light *= 1 - amount

    def result(self) -> Field:
        """Shade falls a little less on red: skin is translucent."""
        self.colour *= np.stack([self.light**0.93, self.light, self.light], axis=-1)
        return self.colour


def texture(person: Person, scene: Scene) -> Field:
    """(SHAPE, 3) float32 RGB 0..255 without any light from the scene."""
    canvas = _Canvas(person)
    _skin(canvas, person, scene)
    lips = _mouth(canvas, person, scene)
    _nose(canvas, person)
    _brows(canvas, person, scene)
    if person.hair.beard != "none":
        _beard(canvas, person, lips)
    colour = canvas.result()
    for side in (-1, 1):
        _eye(canvas, person, scene, side)
    return np.clip(colour, 0, 255)


def _skin(canvas: _Canvas, person: Person, scene: Scene) -> None:
    x, y, a, skin, eyes = canvas.x, canvas.y, canvas.a, person.skin, person.eyes
    red = bump(a, 0.55, 0.26) * bump(y, 0.42, 0.24) + 0.8 * bump(x, 0, 0.2) * bump(y, person.nose.length, 0.14)
    red = skin.redness * (red + 0.3 * bump(y, 1.5, 0.25) * bump(x, 0, 0.4))
    tint = np.array([0.04, -0.08, -0.07], np.float32)
    canvas.colour[:] = np.array(skin.colour, np.float32) * (1 + red[..., None] * tint)
    if skin.freckles > 0:
        spots = (grain(canvas.rng, SHAPE, 3.0) > 1.3).astype(np.float32)
        canvas.darken(spots * min(skin.freckles, 1) * 0.2 * bump(y, 0.3, 0.4) * bump(a, 0.3, 0.5))
    for mole_x, mole_y, radius in skin.moles:
        canvas.paint(0.75 * step(radius - np.hypot(x - mole_x, y - mole_y), 0.006), tuple(0.4 * c for c in skin.colour))
    bags = 0.18 * skin.bags * bump(a, eyes.apart - 0.02, 0.17) * bump(y, eyes.height + 0.18, 0.05)
    sockets = 0.08 * bump(a, eyes.apart - 0.12, 0.2) * bump(y, eyes.height + 0.02, 0.16)
    canvas.darken(bags + sockets)
    _folds(canvas, person, scene)
    if skin.wrinkles > 0.05:
        _wrinkles(canvas, person)


def _folds(canvas: _Canvas, person: Person, scene: Scene) -> None:
    """From the sides of the nose to the corners of the mouth."""
    y, nose, mouth = canvas.y, person.nose, person.mouth
    down = np.clip((y - nose.length) / max(0.15, mouth.height - nose.length + 0.08), 0, 1)
    line = nose.width + 0.07 + (mouth.width - nose.width + 0.03 + 0.06 * scene.smile) * down
    depth = 0.03 + 0.11 * person.skin.folds + 0.08 * scene.smile
    within = step(y - nose.length + 0.02, 0.03) * step(mouth.height + 0.1 - y, 0.05)
    canvas.darken(depth * bump(canvas.a, line, 0.05) * within)


def _wrinkles(canvas: _Canvas, person: Person) -> None:
    y, a, depth = canvas.y, canvas.a, person.skin.wrinkles
    wobble = grain(canvas.rng, SHAPE, 50) * 0.015 + 0.06 * a**2
    outer = person.eyes.apart + 0.33
    for k in range(3):
        canvas.darken(0.15 * depth * bump(y + wobble, -0.52 - 0.13 * k, 0.015) * bump(a, 0.0, 0.5))
        ray = (k - 1) * 0.35 * (a - outer + 0.23)
        canvas.darken(0.18 * depth * bump(y - person.eyes.height, ray, 0.012) * bump(a, outer, 0.09))
    canvas.darken(0.15 * depth * bump(a, 0.06, 0.015) * bump(y, -0.25, 0.10))


def _mouth(canvas: _Canvas, person: Person, scene: Scene) -> tuple[Field, Field]:
    """Paint lips and teeth; returns the lips' mask and the line of the upper lip, which a beard must know."""
    x, y, a, mouth, skin = canvas.x, canvas.y, canvas.a, person.mouth, person.skin
    smile, opening = scene.smile, scene.mouth_open * MOUTH_OPENING
    width, middle = mouth.width * (1 + 0.20 * smile), mouth_height(person, scene)
    q = np.clip(a / width, 0, 1)
    meet = middle - 0.10 * smile * q**2 + 0.012 * (1 - q) * np.cos(q * 6)
    profile = np.sqrt(np.clip(1 - q**1.8, 0, 1))
    upper_edge, lower_edge = meet - opening * 0.25 * (1 - q**2), meet + opening * (1 - q**2)
    bow = 1 - 0.35 * mouth.bow * bump(x, 0, 0.06)
    top = upper_edge - mouth.upper_lip * profile * (1 - 0.25 * smile) * bow
    bottom = lower_edge + mouth.lower_lip * profile**1.3 * (1 - 0.15 * smile)
    inside = step(width - a, 0.012)

    base = np.array(skin.colour) * [0.86, 0.62, 0.62] + np.array([6, -1, 2]) * mouth.tint * 0.6
    lip_colour = np.clip(mix(base, np.array([165, 72, 80]), 0.30 * mouth.depth * (1 - 0.6 * skin.tone)), 0, 255)
    lips = step(y - top, 0.014) * step(bottom - y, 0.016) * inside
    canvas.paint(lips * np.float32(0.85), lip_colour)
    hollow = step(y - upper_edge, 0.008) * step(lower_edge - y, 0.008) * inside * np.float32(opening > 0.012)
    canvas.paint(hollow, (52, 24, 22))
    teeth = step(upper_edge + 0.085 - y, 0.01) * step(width * 0.85 - a, 0.03)
    canvas.paint(hollow * teeth, (222, 214, 202))
    corners = 0.25 * bump(a, width, 0.03) * bump(y, meet, 0.03)
    canvas.darken(0.5 * bump(y, upper_edge, 0.013) * step(width + 0.01 - a, 0.015) + corners)
    canvas.darken(0.08 * bump(x, 0, mouth.width * 0.7) * bump(y, bottom + 0.05, 0.045))
    return lips, top


def _nose(canvas: _Canvas, person: Person) -> None:
    y, a, nose = canvas.y, canvas.a, person.nose
    below = nose.length + 0.095 - nose.turn
    nostrils = 0.45 * bump(a, nose.width * 0.54, nose.width * 0.17)
    canvas.darken(nostrils * bump(y, below, 0.020 + 0.4 * max(0.0, nose.turn)))
    canvas.darken(0.14 * bump(a, nose.width + 0.05, 0.025) * bump(y, nose.length + 0.04, 0.06))


def _brows(canvas: _Canvas, person: Person, scene: Scene) -> None:
    y, brows = canvas.y, person.brows
    hairs = cv2.resize(canvas.rng.standard_normal((SHAPE[0] // 3, SHAPE[1]), np.float32), (SHAPE[1], SHAPE[0]))
    along = (canvas.a - brows.inner) / (brows.length * 2)
    t = np.clip(along, 0, 1)
    centre = brows.height - 0.07 * scene.brow_raise - brows.arch * np.sin(np.pi * t * 0.9) * 1.3
    centre = centre - brows.slope * (t - 0.4)
    thickness = brows.thickness * (1.05 - 0.75 * t**1.5)
    mask = step(thickness - np.abs(y - centre), 0.014) * step(along, 0.03) * step(1 - along, 0.03)
    canvas.paint(mask * np.float32(brows.density) * np.clip(0.85 + 0.3 * hairs, 0, 1), brows.colour)


def _beard(canvas: _Canvas, person: Person, lips: tuple[Field, Field]) -> None:
    x, y, a = canvas.x, canvas.y, canvas.a
    kind, middle = person.hair.beard, person.mouth.height
    lip_mask, lip_top = lips
    cheeks = step(a - 0.34 - 0.35 * (1.2 - y), 0.07)
    shapes: dict[str, Field] = {
        "full": step(y - 0.62 - 0.25 * (1 - a), 0.06) * np.maximum(cheeks, step(y - middle - 0.22, 0.06)),
        "stubble": step(y - 0.60 - 0.2 * (1 - a), 0.09),
        "goatee": bump(a, 0, 0.36) ** 2 * step(y - middle - 0.16, 0.05),
        "moustache": np.zeros(SHAPE, np.float32),
    }
    lip_hair = bump(x, 0, person.mouth.width * 0.95) ** 2
    lip_hair = lip_hair * step(y - person.nose.length - 0.19, 0.03) * step(lip_top - y, 0.02)
    shape = np.maximum(shapes[kind], lip_hair)
    strands = grain(canvas.rng, SHAPE, 2.5, 2.5)
    colour = mix(np.array(person.hair.colour), np.array(person.brows.colour), 0.5)
    mask = np.clip(shape * (1 - lip_mask) * (1 + 0.4 * strands), 0, 1)
    # The root thickens what is full and thins its rim: a beard grows out of skin, it is not cut from felt.
    mask = mask**1.3 * np.float32(0.35 if kind == "stubble" else 0.88)
    canvas.paint(mask.astype(np.float32), colour * (1 + 0.25 * strands[..., None]))


def _eye(canvas: _Canvas, person: Person, scene: Scene, side: int) -> None:
    """One eye, painted on the finished skin: only its own window of the canvas is touched."""
    eyes = person.eyes
    x0, x1 = (int((side * eyes.apart + d + HALF_WIDTH) * PIXELS_PER_UNIT) for d in (-0.40, 0.40))
    y0, y1 = (int((eyes.height + d + HALF_HEIGHT) * PIXELS_PER_UNIT) for d in (-0.32, 0.28))
    window = canvas.colour[y0:y1, x0:x1]
    a = (canvas.x[:, x0:x1] - side * eyes.apart) * side  # outwards from the middle of the eye
    b = canvas.y[y0:y1] - eyes.height + eyes.tilt * a
    q, away = np.clip(a / eyes.width, -1, 1), np.abs(a)

    def paint(mask: Field, colour: NDArray[np.floating] | tuple[float, ...]) -> None:
        window[...] += (np.asarray(colour, np.float32) - window) * mask[..., None]

    def darken(mask: Field) -> None:
        window[...] *= 1 - mask[..., None] * np.array([0.92, 1, 1], np.float32)

    arc = 1 - np.abs(q + 0.12 * (1 - q**2)) ** eyes.roundness
    upper = -eyes.opening * (1 - 0.75 * scene.blink) * arc + eyes.hood * q**3
    lower = eyes.opening * (0.62 - 0.22 * scene.smile) * (1 - np.abs(q - 0.1 * (1 - q**2)) ** 2)
    ball = step(b - upper, 0.008) * step(lower - b, 0.008) * step(eyes.width - away, 0.01)
    crease = upper - eyes.fold - 0.01
    lid = step(b - crease, 0.02) * step(upper - b, 0.01) * step(eyes.width - away, 0.03)
    darken(0.36 * eyes.crease * bump(b, crease, 0.014) * step(eyes.width * 1.08 - away, 0.04) + 0.08 * lid)

    white = np.array([234, 229, 224]) * (1 - 0.15 * person.skin.tone) * (1 - 0.2 * q**2)[..., None]
    paint(ball, white)
    paint(ball * step(0.03 - np.hypot(a + eyes.width * 0.95, b - 0.01), 0.01), (200, 138, 128))
    radius = np.hypot(a - side * scene.gaze * 0.05, b + 0.012)
    iris = np.array(eyes.iris, np.float32)
    paint(ball * step(eyes.iris_radius - radius, 0.006), iris * (0.72 + 0.55 * bump(radius, 0.055, 0.03))[..., None])
    paint(ball * bump(radius, eyes.iris_radius, 0.014) * np.float32(0.6), iris * 0.25)
    paint(ball * step(0.036 - radius, 0.005), (10, 8, 8))
    darken(ball * np.float32(0.4) * step(upper + 0.03 - b, 0.014))
    paint(ball * step(0.015 - np.hypot(a * side + 0.03, b + 0.045), 0.004), (250, 250, 250))
    lashes = 0.85 * bump(b, upper - 0.005, 0.015 + 0.008 * (1 - person.hardness))
    darken(lashes * step(eyes.width * 1.04 - away, 0.012))
    darken(0.28 * bump(b, lower + 0.004, 0.010) * step(eyes.width - away, 0.02))
