"""The solid parts of a portrait: head with hair, ears, neck, shoulders, hair behind the head.

Each part is a grid of points. The head is a stack of rings (rows from crown to chin, columns by azimuth) with smooth
bumps for nose, sockets, lips and the rest, computed on a coarse grid and refined when it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.portraits.fields import Field, Rng, bump, grain, mix, step
from core.portraits.identity import Hair, Person
from core.portraits.scene import Scene
from core.portraits.texture import MOUTH_OPENING, mouth_height

COARSE = 140
_LONG = ("long", "long fringe", "bob")

# Half outline of an average head at 15 heights from the crown to under the chin: height, half width, depth.
_HEIGHTS = (-1.64, -1.63, -1.53, -1.32, -1.0, -0.6, -0.2, 0.2, 0.6, 0.95, 1.25, 1.47, 1.60, 1.66, 1.62)
_DEPTHS = (0, 0.33, 0.64, 0.93, 1.10, 1.18, 1.13, 1.09, 1.13, 1.14, 1.09, 1.07, 0.98, 0.7, 0)


@dataclass(frozen=True)
class Part:
    """(rows, columns) points of one part, with colour and unit normals per point.

    gloss: strength of the highlight. follows: share of the head's turning that the part takes along. two_sided: seen
    from both sides, so normals are turned to the camera.
    """

    x: Field
    y: Field
    z: Field
    colour: Field
    normal: Field
    gloss: float
    follows: float
    two_sided: bool = False


@dataclass(frozen=True)
class Head:
    """The head on the COARSE grid. x, y, z: with hair; face_x, face_y: where the skin under it takes its texture from.

    hair: 0 skin .. 1 hair. hollow: how far a point lies below its surroundings, for the shade in folds.
    """

    x: Field
    y: Field
    z: Field
    face_x: Field
    face_y: Field
    hair: Field
    hollow: Field
    normal: Field


def normals(x: Field, y: Field, z: Field) -> Field:
    """(rows, columns, 3) unit normals of a grid, outwards where columns run from left to right."""

    def slope(values: Field, dx: int, dy: int) -> NDArray[np.float32]:
        values = np.ascontiguousarray(values, np.float32)
        return np.asarray(cv2.Sobel(values, cv2.CV_32F, dx, dy, ksize=3, borderType=cv2.BORDER_REPLICATE), np.float32)

    across = np.stack([slope(v, 1, 0) for v in (x, y, z)], -1)
    down = np.stack([slope(v, 0, 1) for v in (x, y, z)], -1)
    normal = np.cross(across, down)
    return np.asarray(normal / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9), np.float32)


def head(person: Person, scene: Scene, rng: Rng) -> Head:
    """The head of this person with this expression."""
    x, y, z, azimuth = _face(person, scene)
    hair = _hair_mask(person, azimuth, y, rng)
    thickness = np.asarray(cv2.GaussianBlur(hair, (0, 0), 2.3), np.float32) * np.float32(hair_volume(person.hair))
    if person.hair.style == "curly":
        thickness = thickness * (1 + 0.2 * grain(rng, y.shape, 9))
    outer_x, outer_z = np.asarray(x * (1 + thickness), np.float32), np.asarray(z * (1 + thickness), np.float32)
    outer_y = np.asarray(y - thickness * step(-0.7 - y, 0.3), np.float32)
    hollow = np.asarray(cv2.GaussianBlur(outer_z, (0, 0), 4) - outer_z, np.float32)
    return Head(outer_x, outer_y, outer_z, x, y, hair, hollow, normals(outer_x, outer_y, outer_z))


def hair_volume(hair: Hair) -> float:
    fixed = {"bald": 0.01, "buzz": 0.02, "curly": 0.14 + 2 * hair.volume, "back": 0.05, "fringe": 0.10}
    return fixed.get(hair.style, 0.10 if hair.style == "long fringe" else 0.04 + hair.volume)


def strands(rng: Rng, shape: tuple[int, ...], hair: Hair) -> Field:
    """(rows, columns) brightness of hair around 1: long streaks, or short ones where it curls."""
    long = 1.3 if hair.style == "curly" else 14
    fine, coarse = grain(rng, shape, 2, long), grain(rng, shape, 7, long * 0.6)
    return np.asarray(1 + 0.17 * fine + 0.14 * coarse + 0.1 * grain(rng, shape, 30), np.float32)


def others(person: Person, rng: Rng) -> list[Part]:
    """Everything but the head, in the order neck, shoulders, ears, hair behind."""
    parts = [_neck(person), _shoulders(person, rng), _ear(person, -1), _ear(person, 1)]
    if person.hair.style in _LONG:
        parts.append(_curtain(person, rng))
    return parts


def _outline(person: Person) -> tuple[Field, Field, Field]:
    """Height, half width and depth of COARSE rings, smoothed."""
    skull = person.skull
    heights = np.array(_HEIGHTS)
    heights[:5] *= [skull.upper, skull.upper, skull.upper, skull.upper, 1]
    heights[8:] *= skull.lower
    width_by_jaw = (skull.cheekbones + skull.jaw) / 2
    brow = np.array([0.27, 0.54, 0.82, 0.99, 1.06]) * skull.forehead
    cheeks = [1.05, 1.02 * skull.cheekbones, (0.99 + skull.fat) * skull.cheekbones, (0.93 + skull.fat) * width_by_jaw]
    jaw = [(0.79 + 1.2 * skull.fat) * skull.jaw, (0.55 + skull.fat) * skull.chin_width]
    widths = np.array([0, *brow, *cheeks, *jaw, 0.37 * skull.chin_width, 0.19 * skull.chin_width, 0])
    kernel = np.hanning(15) / np.hanning(15).sum()

    def rings(values: NDArray[np.floating]) -> Field:
        dense = np.interp(np.linspace(0, 1, COARSE), np.linspace(0, 1, len(_HEIGHTS)), values)
        padded = np.pad(dense, 7, mode="reflect", reflect_type="odd")
        return np.convolve(padded, kernel, "valid").astype(np.float32)

    return rings(heights), np.maximum(rings(widths), 0), np.maximum(rings(np.array(_DEPTHS)), 0)


def _face(person: Person, scene: Scene) -> tuple[Field, Field, Field, Field]:
    """x, y, z and azimuth on the COARSE grid, without hair. Azimuth 0 is the middle of the face, radians."""
    heights, widths, depths = _outline(person)
    across = np.linspace(-1, 1, COARSE, dtype=np.float32)[None]
    # More columns in front, where the face is, than behind.
    turn = np.float32(np.deg2rad(130)) * (0.6 * across + 0.4 * across**3)
    azimuth = np.repeat(turn, COARSE, axis=0)
    x, z = widths[:, None] * np.sin(azimuth), depths[:, None] * np.cos(azimuth)
    y = np.repeat(heights[:, None], COARSE, axis=1)
    relief = _nose(person, x, y) + _sockets_and_cheeks(person, scene, x, y) + _mouth_and_chin(person, scene, x, y)
    if person.hair.beard == "full":
        relief = relief + 0.05 * step(y - mouth_height(person, scene) - 0.15, 0.06) * bump(np.abs(x), 0, 0.8)
    opened = scene.mouth_open * MOUTH_OPENING * 0.6 * step(y - mouth_height(person, scene) - 0.1, 0.12)
    z = z + relief * np.clip(np.cos(azimuth) * 1.6, 0, 1)
    return x, np.asarray(y + opened, np.float32), np.asarray(z, np.float32), azimuth


def _nose(person: Person, x: Field, y: Field) -> Field:
    nose, eye = person.nose, person.eyes.height
    off = x - np.float32(nose.shift)
    down = np.clip((y - eye + 0.06) / (nose.length - eye + 0.06), 0, 1)
    ridge = nose.bridge + (nose.height - nose.bridge) * down**1.3 + nose.hook * np.sin(np.pi * down)
    ends = step(y - eye + 0.10, 0.05) * step(nose.length + 0.075 - nose.turn - y, 0.042)
    bridge = ridge * ends * bump(off, 0, nose.ridge_width * (0.95 + 0.45 * down))
    tip = nose.tip * bump(off, 0, 0.13) * bump(y, nose.length - 0.01 - nose.turn, 0.10)
    wings = 0.12 * bump(np.abs(off), nose.width * 0.95, 0.085) * bump(y, nose.length + 0.02, 0.095)
    return bridge + tip + wings


def _sockets_and_cheeks(person: Person, scene: Scene, x: Field, y: Field) -> Field:
    a, eyes, skull = np.abs(x), person.eyes, person.skull
    brow = skull.brow_ridge * bump(a, 0.38, 0.36) * bump(y, -0.27 + eyes.height, 0.11)
    socket = skull.socket * bump(a, eyes.apart - 0.03, 0.24) * bump(y, eyes.height - 0.02, 0.16)
    ball = 0.075 * bump(a, eyes.apart, 0.17) * bump(y, eyes.height, 0.11)
    smile = 0.05 * scene.smile
    cheek = (skull.cheek + smile) * bump(a, 0.60, 0.24) * bump(y, 0.30 - smile + eyes.height, 0.17)
    return brow - socket + ball + cheek + skull.fat * bump(a, 0.58, 0.3) * bump(y, 0.75, 0.3)


def _mouth_and_chin(person: Person, scene: Scene, x: Field, y: Field) -> Field:
    a, mouth, skull, nose = np.abs(x), person.mouth, person.skull, person.nose
    middle, opening = mouth_height(person, scene), scene.mouth_open * MOUTH_OPENING
    lips = 0.075 * bump(x, 0, mouth.width * 0.8) * bump(y, middle - mouth.upper_lip * 0.6, 0.07)
    lips = lips + 0.085 * bump(x, 0, mouth.width * 0.7) * bump(y, middle + opening + mouth.lower_lip * 0.6, 0.07)
    slit = 0.05 * bump(x, 0, mouth.width) * bump(y, middle + opening * 0.4, 0.025 + opening * 0.4)
    chin = skull.chin * bump(x, 0, 0.24 * skull.chin_width) * bump(y, 1.46 * skull.lower + opening * 0.5, 0.16)
    cleft = skull.cleft * bump(x, 0, 0.03) * bump(y, 1.5 * skull.lower, 0.1)
    under_lip = 0.04 * bump(x, 0, 0.35) * bump(y, middle + mouth.lower_lip + 0.09, 0.06)
    groove = 0.02 * bump(x, 0, 0.03) * bump(y, nose.length + 0.2, 0.08)
    fold = nose.width + 0.08 + (mouth.width - nose.width) * np.clip((y - nose.length) / 0.4, 0, 1)
    depth = 0.010 + 0.022 * person.skin.folds + 0.025 * scene.smile
    folds = depth * bump(a, fold, 0.07) * bump(y, (nose.length + middle) / 2, 0.22)
    return lips - slit + chin - cleft - under_lip - groove - folds


def _hair_mask(person: Person, azimuth: Field, y: Field, rng: Rng) -> Field:
    """0 skin .. 1 hair: above a hair line that runs over the forehead, past the ears and down to the neck."""
    hair, degrees = person.hair, np.rad2deg(azimuth)
    aside = np.abs(degrees)
    line = hair.line + 0.05 * (aside / 40) ** 2 - hair.receding * bump(aside, 32, 14) + hair.peak * bump(aside, 0, 8)
    if "fringe" in hair.style:
        fringe = -0.58 + 0.10 * (aside / 50) ** 2 + 0.03 * np.sin(degrees * 0.45)
        line = np.where(aside < 58, fringe, line)
    if hair.style == "side":
        parted = step((degrees * np.sign(hair.parting) + 12) / 12) * step((52 - aside) / 4)
        line = line + 0.2 * parted - 0.05
    sideburn = {"buzz": 0.02, "bald": 0.1}.get(hair.style, 0.14 + 0.25 * (hair.beard == "full"))
    line = mix(mix(line, sideburn, step((aside - 66) / 3.5)), 1.0, step((aside - 100) / 3))
    mask = step(line + grain(rng, y.shape, 3, 4) * 0.03 - y, 0.04)
    if hair.style == "bald":
        mask = mask * step((aside - 74) / 5 + 3 * (y + 0.55), 0.6) * step(y + 0.75, 0.05) * np.float32(0.6)
    return np.asarray(mask, np.float32)


def _sheet(
    size: tuple[float, float],
    heights: Field,
    azimuths: Field,
    flare: Field,
    behind: float,
    colour: Callable[[tuple[int, ...]], Field],
    *,
    gloss: float,
    follows: float,
    two_sided: bool = False,
) -> Part:
    """A tube of the given half width and depth, widened per row by `flare`, its axis shifted by `behind`."""
    x = np.asarray(size[0] * flare[:, None] * np.sin(azimuths), np.float32)
    z = np.asarray(size[1] * flare[:, None] * np.cos(azimuths) + behind, np.float32)
    y = np.repeat(heights[:, None], len(azimuths), axis=1).astype(np.float32)
    return Part(x, y, z, colour(x.shape).astype(np.float32), normals(x, y, z), gloss, follows, two_sided)


def _neck(person: Person) -> Part:
    t = np.linspace(0, 1, 170, dtype=np.float32)
    width = 0.62 + 0.12 * person.hardness + person.skull.fat
    skin = np.array(person.skin.colour, np.float32) * np.float32(0.93)
    flare = 1 + 0.2 * np.clip(t - 0.45, 0, 1) ** 2  # stays inside the collar
    around = np.linspace(-1.7, 1.7, 190, dtype=np.float32)
    colour = lambda shape: np.broadcast_to(skin, (*shape, 3))  # noqa: E731 (one expression, used once)
    return _sheet((width, 0.58), 0.9 + 1.6 * t, around, flare, -0.20, colour, gloss=0.3, follows=0.35)


def _shoulders(person: Person, rng: Rng) -> Part:
    t = np.linspace(0, 1, 230, dtype=np.float32)
    bend = np.clip(t * 2, 0, 1) * np.pi / 2
    heights = 2.02 + 0.70 * (1 - np.cos(bend)) + 1.6 * np.clip(t - 0.5, 0, 1)
    flare = 0.36 + 0.64 * np.sin(bend) ** 1.15
    around = np.linspace(-1.5, 1.5, 520, dtype=np.float32)

    def cloth(shape: tuple[int, ...]) -> Field:
        weave = 1 + 0.04 * grain(rng, shape, 12) + 0.05 * grain(rng, shape, 1.5)
        return np.asarray(np.array(person.clothes, np.float32) * weave[..., None], np.float32)

    return _sheet((2.25, 1.15), heights, around, flare, -0.14, cloth, gloss=0.02, follows=0.08)


def _ear(person: Person, side: int) -> Part:
    skull = person.skull
    polar, around = np.mgrid[0 : np.pi : 60j, 0 : 2 * np.pi : 80j].astype(np.float32)
    ring = np.sin(polar)
    x = ring * np.cos(around) * (0.05 + skull.ear_out)
    y = -np.cos(polar) * skull.ear
    z = ring * np.sin(around) * 0.19
    inner = bump(ring * np.sin(around), 0.35, 0.4) * bump(np.cos(polar), 0.1, 0.55) * (np.cos(around) > -0.2)
    normal = np.stack([side * x / 0.01, y / 0.1, z / 0.04], -1)
    normal = normal / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-6)
    colour = np.array(person.skin.colour) * [1, 0.92, 0.90] * (1 - 0.35 * inner)[..., None]
    out = side * (skull.cheekbones * 1.02 + 0.03 + x - 0.25 * (z + 0.1))
    out, y, z, colour, normal = (np.asarray(v, np.float32) for v in (out, y + 0.16, z - 0.02, colour, normal))
    return Part(out, y, z, colour, normal, gloss=0.2, follows=1.0, two_sided=True)


def _curtain(person: Person, rng: Rng) -> Part:
    """Long hair, hanging behind and beside the head."""
    hair = person.hair
    length, volume = (1.25 if hair.style == "bob" else hair.length), hair_volume(hair)
    t = np.linspace(0, 1, int(115 * (length + 0.9)), dtype=np.float32)
    flare = 0.78 + 0.34 * np.sin(np.pi * np.clip(t * 0.62 + 0.1, 0, 1))
    flare = flare * (1 + 0.03 * hair.wave * np.sin(t * 22))
    around = np.linspace(1.22, 2 * np.pi - 1.22, 440, dtype=np.float32)

    def colour(shape: tuple[int, ...]) -> Field:
        shade = strands(rng, shape, hair) * (1 - 0.25 * t[:, None])
        return np.asarray(np.array(hair.colour, np.float32) * shade[..., None], np.float32)

    size = (1.10 * (1 + volume), 1 + volume)
    heights = -0.95 + (length + 0.95) * t
    return _sheet(size, heights, around, flare, -0.06, colour, gloss=0.2, follows=1.0, two_sided=True)
