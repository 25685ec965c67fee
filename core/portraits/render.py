"""Drawing: parts are projected as dense points into a depth buffer, then every visible pixel is lit.

Light is one lamp with wrapped diffuse shading, a soft highlight and a shadow map, and ambient light from above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.portraits import geometry
from core.portraits.fields import Field, along, grain, step, turned
from core.portraits.geometry import COARSE, Head, Part
from core.portraits.identity import Glasses, Person
from core.portraits.scene import Scene
from core.portraits.texture import HALF_HEIGHT, HALF_WIDTH, PIXELS_PER_UNIT, texture

SIDE = 320  # pixels of the finished portrait
_SUPERSAMPLING = 1.25
_CANVAS = int(SIDE * _SUPERSAMPLING)
_FINE = 500  # points per side to which the head is refined for drawing
_UNIT = 66 * _SUPERSAMPLING  # canvas pixels per head unit
_DISTANCE = 9  # of the camera, head units
_PIVOT = np.array([0, 0.75, -0.25], np.float32)  # the head turns about the top of the neck
_TILT = 0.09  # the modelled head looks down a little: raise it
_SHADOW_SIDE, _SHADOW_SCALE = 200, 30
_MISS = np.float32(-9)


@dataclass(frozen=True)
class _Camera:
    scene: Scene

    def rotation(self, follows: float) -> Field:
        """(3, 3) turning of a part that takes this share of the head's pose."""
        s = self.scene
        (cy, sy), (cx, sx), (cz, sz) = (
            (np.cos(angle * follows), np.sin(angle * follows)) for angle in (s.yaw, s.pitch + _TILT, s.roll)
        )
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        roll = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        return np.asarray(roll @ pitch @ yaw, np.float32)

    def place(self, points: Field, follows: float) -> Field:
        """(n, 3) points of the head's own coordinates in the scene's."""
        return np.asarray(turned(points - _PIVOT, self.rotation(follows)) + _PIVOT, np.float32)

    def project(self, placed: Field) -> tuple[Field, Field]:
        """Canvas pixels (u, v) of (n, 3) placed points."""
        scale = np.float32(_UNIT * self.scene.scale * _DISTANCE) / (_DISTANCE - placed[:, 2])
        dx, dy = (shift * _SUPERSAMPLING for shift in self.scene.shift)
        u = placed[:, 0] * scale + np.float32(_CANVAS / 2 + dx)
        return u, placed[:, 1] * scale + np.float32(_CANVAS * 0.47 + dy)


class _Lamp:
    """Direction of the light and the shadow map seen from it."""

    def __init__(self, scene: Scene) -> None:
        az, el = scene.light_azimuth, scene.light_elevation
        self.towards = np.array([np.sin(az) * np.cos(el), -np.sin(el), np.cos(az) * np.cos(el)], np.float32)
        half = self.towards + np.array([0, 0, 1], np.float32)
        self.half = np.asarray(half / np.linalg.norm(half), np.float32)
        self._across = np.array([np.cos(az), 0, -np.sin(az)], np.float32)
        self._along = np.asarray(np.cross(self.towards, self._across), np.float32)
        self._depth = np.full(_SHADOW_SIDE**2, _MISS, np.float32)

    def _cells(self, placed: Field) -> tuple[Field, Field]:
        return along(placed, self._across) * _SHADOW_SCALE + 100, along(placed, self._along) * _SHADOW_SCALE + 90

    def cast(self, placed: Field) -> None:
        """Take every third point into the shadow map: it is coarse anyway."""
        some = placed[::3]
        u, v = (np.clip(c, 0, _SHADOW_SIDE - 1).astype(np.int32) for c in self._cells(some))
        np.maximum.at(self._depth, v * _SHADOW_SIDE + u, along(some, self.towards))

    def lit(self, placed: Field, hit: NDArray[np.intp]) -> Field:
        """1 in the light .. 0 in shadow for the visible points, softened across the canvas."""
        depth = cv2.dilate(self._depth.reshape(_SHADOW_SIDE, _SHADOW_SIDE), np.ones((3, 3)))
        depth = cv2.GaussianBlur(depth, (0, 0), 1.0)
        u, v = (_scatter(c, hit) for c in self._cells(placed))
        above = cv2.remap(depth, u, v, cv2.INTER_LINEAR).ravel()[hit]
        shadow = np.zeros(_CANVAS**2, np.float32)
        shadow[hit] = step(above - along(placed, self.towards) - np.float32(0.16), 0.03)
        soft = cv2.GaussianBlur(shadow.reshape(_CANVAS, _CANVAS), (0, 0), 3.0)
        return np.asarray(1 - soft.ravel()[hit], np.float32)


def render(person: Person, scene: Scene) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 3) RGB uint8."""
    rng = np.random.default_rng([53, person.seed])
    head = geometry.head(person, scene, rng)
    parts = geometry.others(person, rng)
    camera, lamp = _Camera(scene), _Lamp(scene)
    clouds = [_refined(head), *(np.stack([p.x.ravel(), p.y.ravel(), p.z.ravel()], -1) for p in parts)]
    follows = [1.0, *(part.follows for part in parts)]
    placed = [camera.place(cloud, share) for cloud, share in zip(clouds, follows, strict=True)]
    for points in placed:
        lamp.cast(points)
    buffer = _depth_buffer(camera, placed)
    hit = np.flatnonzero(buffer >= 0)
    which = buffer[hit] & 0xFFFFFF
    pixels = _Pixels.empty()
    first = 0
    for number, points in enumerate(placed):
        mine = (which >= first) & (which < first + len(points))
        at, index = hit[mine], which[mine] - first
        pixels.point[at] = points[index]
        turn = camera.rotation(follows[number])
        if number == 0:
            _skin_and_hair(pixels, at, index, head, texture(person, scene), person, turn, rng)
        else:
            _solid(pixels, at, index, parts[number - 1], turn)
        first += len(points)
    image = _light(pixels, hit, lamp, scene, person.skin.tone)
    image, covered = _close_holes(image, buffer)
    if person.glasses is not None:
        _draw_glasses(image, person, person.glasses, camera)
    return _develop(image, covered, scene)


@dataclass(frozen=True)
class _Pixels:
    """Per canvas pixel (flat): colour, normal, placed point, strength of the highlight."""

    colour: Field
    normal: Field
    point: Field
    gloss: Field

    @classmethod
    def empty(cls) -> _Pixels:
        count = _CANVAS**2
        flat, triple = np.float32, (count, 3)
        return cls(np.zeros(triple, flat), np.zeros(triple, flat), np.zeros(triple, flat), np.zeros(count, flat))


def _refined(head: Head) -> Field:
    """(_FINE ** 2, 3) points of the head."""
    fine = (cv2.resize(v, (_FINE, _FINE), interpolation=cv2.INTER_CUBIC) for v in (head.x, head.y, head.z))
    return np.stack([v.ravel() for v in fine], -1)


def _depth_buffer(camera: _Camera, placed: Sequence[Field]) -> NDArray[np.int64]:
    """(_CANVAS ** 2,) nearest point per pixel as depth << 24 | running number of the point; -1 where there is none."""
    buffer = np.full(_CANVAS**2, -1, np.int64)
    first = 0
    for points in placed:
        u, v = camera.project(points)
        seen = np.flatnonzero((u > 0) & (v > 0) & (u < _CANVAS - 1) & (v < _CANVAS - 1) & (points[:, 2] > -1.6))
        key = ((points[seen, 2] + 8) * 65536).astype(np.int64) << 24 | (seen + first)
        pixel = (v[seen] + 0.5).astype(np.int32) * _CANVAS + (u[seen] + 0.5).astype(np.int32)
        np.maximum.at(buffer, pixel, key)
        first += len(points)
    return buffer


def _scatter(values: Field, at: NDArray[np.intp]) -> Field:
    """(_CANVAS, _CANVAS) with the values at these flat positions, far outside any map elsewhere."""
    full = np.full(_CANVAS**2, _MISS, np.float32)
    full[at] = values
    return full.reshape(_CANVAS, _CANVAS)


def _skin_and_hair(
    pixels: _Pixels,
    at: NDArray[np.intp],
    index: NDArray[np.int64],
    head: Head,
    skin: Field,
    person: Person,
    turn: Field,
    rng: np.random.Generator,
) -> None:
    """The head's own pixels: its coarse fields are interpolated at the pixel, the texture is looked up through them."""
    ratio = COARSE / _FINE
    column = _scatter(((index % _FINE + 0.5) * ratio - 0.5).astype(np.float32), at)
    row = _scatter(((index // _FINE + 0.5) * ratio - 0.5).astype(np.float32), at)

    def sample(image: Field, u: Field, v: Field, border: int = cv2.BORDER_CONSTANT) -> Field:
        looked = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(looked, np.float32)

    normal = sample(head.normal, column, row).reshape(-1, 3)[at]
    fields = np.dstack(
        [
            (head.face_x + HALF_WIDTH) * PIXELS_PER_UNIT,
            (head.face_y + HALF_HEIGHT) * PIXELS_PER_UNIT,
            head.hair,
            head.hollow,
        ]
    )
    looked = sample(fields.astype(np.float32), column, row)
    albedo = sample(skin, looked[..., 0], looked[..., 1], cv2.BORDER_REPLICATE).reshape(-1, 3)[at]
    flat = looked.reshape(-1, 4)[at]

    streaks = geometry.strands(rng, (_FINE, _FINE), person.hair).ravel()[index]
    cover = step(flat[:, 2] - 0.5 + 0.5 * (streaks - 1), 0.09)
    if person.hair.style in ("buzz", "bald"):
        cover = cover * np.float32(0.6)
    hollow = np.clip(1 - 1.5 * np.clip(flat[:, 3], 0, 0.15) * (1 - cover), 0.6, 1)
    hair = np.array(person.hair.colour, np.float32) * streaks[:, None]
    pixels.colour[at] = (albedo + (hair - albedo) * cover[:, None]) * hollow[:, None]
    pixels.normal[at] = turned(normal, turn)
    pixels.gloss[at] = 0.36 * (1 - cover) + 0.25


def _solid(pixels: _Pixels, at: NDArray[np.intp], index: NDArray[np.int64], part: Part, turn: Field) -> None:
    normal = turned(part.normal.reshape(-1, 3)[index], turn)
    if part.two_sided:
        normal = np.where(normal[:, 2:] < 0, -normal, normal)
    pixels.colour[at] = part.colour.reshape(-1, 3)[index]
    pixels.normal[at] = normal
    pixels.gloss[at] = part.gloss


def _light(pixels: _Pixels, hit: NDArray[np.intp], lamp: _Lamp, scene: Scene, tone: float) -> Field:
    """(_CANVAS, _CANVAS, 3) RGB, unclipped. Dark skin is exposed a little longer, as a photographer would."""
    normal, point = pixels.normal[hit], pixels.point[hit]
    clear = lamp.lit(point, hit)
    diffuse = np.clip((along(normal, lamp.towards) + np.float32(0.25)) / np.float32(1.25), 0, 1) * (0.5 + 0.5 * clear)
    ambient = scene.ambient * (0.74 - 0.15 * normal[:, 1] + 0.13 * normal[:, 2])
    shine = np.clip(along(normal, lamp.half), 0, 1) ** 20 * pixels.gloss[hit] * clear * 44
    direct = np.float32(1.22 - scene.ambient)
    colour = pixels.colour[hit]
    lit = np.empty_like(colour)
    for channel, bleed in ((0, 0.07), (1, 0.0), (2, -0.03)):  # light that has been through skin comes out redder
        lit[:, channel] = colour[:, channel] * (ambient + direct * diffuse * (1 + bleed * (1 - diffuse))) + shine
    image = np.zeros((_CANVAS**2, 3), np.float32)
    image[hit] = lit * np.float32(1 + 0.34 * tone)
    return image.reshape(_CANVAS, _CANVAS, 3)


def _close_holes(image: Field, buffer: NDArray[np.int64]) -> tuple[Field, Field]:
    """Fill pixels that no point hit, or that one behind shows through, from their neighbours; and what is covered."""
    alpha = (buffer >= 0).reshape(_CANVAS, _CANVAS).astype(np.float32)
    depth = np.where(buffer >= 0, buffer >> 24, 0).reshape(_CANVAS, _CANVAS).astype(np.float32) / 65536
    window = np.ones((5, 5), np.uint8)
    covered = np.asarray(cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, window), np.float32)
    nearest = cv2.morphologyEx(depth, cv2.MORPH_CLOSE, window)
    hole = (covered > 0) & ((alpha == 0) | (depth < nearest - 0.12))
    weight = alpha * ~hole
    around = cv2.blur(weight, (5, 5))
    hole &= around > 1e-3
    image[hole] = cv2.blur(image * weight[..., None], (5, 5))[hole] / around[hole, None]
    return image, covered


def _draw_glasses(image: Field, person: Person, glasses: Glasses, camera: _Camera) -> None:
    """Rims, bridge and the temple that is in sight, as lines in front of the face."""
    eyes, front = person.eyes, 1.20

    def line(points: NDArray[np.floating]) -> None:
        u, v = camera.project(camera.place(points.astype(np.float32), 1.0))
        pixels = (np.stack([u, v], 1) * 16).round().astype(np.int32)
        width = max(1, round(glasses.thickness * _SUPERSAMPLING * 0.8))
        cv2.polylines(image, [pixels], False, glasses.colour, width, cv2.LINE_AA, 4)

    around = np.linspace(0, 2 * np.pi, 60)

    def rounded(wave: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.sign(wave) * np.abs(wave) ** (2 / glasses.squareness)

    for side in (-1, 1):
        x = side * eyes.apart + glasses.width * rounded(np.cos(around))
        y = eyes.height + 0.05 + glasses.height * rounded(np.sin(around))
        line(np.stack([x, y, front - 0.25 * (x / 0.75) ** 2], 1))
        if side * camera.scene.yaw < 0.12:
            outer, height = eyes.apart + glasses.width, eyes.height - 0.03
            hinge = [side * outer, height, front - 0.25 * (outer / 0.75) ** 2]
            line(np.array([hinge, [side * 1.05 * person.skull.cheekbones, height, 0.3]]))
    inner = eyes.apart - glasses.width
    bridge = [
        [-inner, eyes.height, front - 0.02],
        [0, eyes.height - 0.05, front + 0.02],
        [inner, eyes.height, front - 0.02],
    ]
    line(np.array(bridge))


def _develop(image: Field, covered: Field, scene: Scene) -> NDArray[np.uint8]:
    """Background, reduction to SIDE, blur, exposure, colour of the light, noise."""
    rng = np.random.default_rng([3, scene.seed])
    down = np.linspace(0, 1, _CANVAS, dtype=np.float32)[:, None, None]
    above, below = (np.array(colour, np.float32) for colour in scene.background)
    wall = np.repeat(above * (1 - down) + below * down, _CANVAS, axis=1)
    if scene.clouds:
        wall = wall * (1 + 0.12 * grain(rng, (_CANVAS, _CANVAS), 160 / scene.clouds)[..., None])
    alpha = cv2.GaussianBlur(covered, (0, 0), 0.9)[..., None]
    full = cv2.GaussianBlur(image * alpha + np.clip(wall, 0, 255) * (1 - alpha), (0, 0), 0.5)
    photo = cv2.resize(full, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    photo = cv2.GaussianBlur(photo, (0, 0), scene.blur)
    balance = np.array([1 + scene.warmth, 1, 1 - scene.warmth], np.float32) * np.float32(scene.exposure)
    noisy = photo * balance + rng.standard_normal(photo.shape, np.float32) * np.float32(scene.noise)
    return np.clip(noisy, 0, 255).astype(np.uint8)
