"""Everything about a generated person that stays the same from photo to photo.

Lengths are in head units (about 70 mm); y grows downwards from between the eyes, x to the right of the image, z
towards the camera. Colours are RGB 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

_SKIN = np.array(
    [(241, 207, 186), (230, 187, 158), (206, 158, 122), (166, 120, 90), (128, 90, 68), (98, 70, 56)], float
)
_HAIR = np.array(
    [(24, 20, 19), (50, 34, 26), (88, 58, 38), (132, 92, 56), (190, 150, 98), (146, 66, 32), (212, 188, 140)], float
)
_HAIR_LIGHT, _HAIR_DARK = (0.14, 0.24, 0.22, 0.14, 0.12, 0.08, 0.06), (0.65, 0.29, 0.06, 0, 0, 0, 0)
_IRIS = ((74, 46, 28), (48, 30, 20), (96, 110, 62), (92, 132, 164), (112, 122, 126), (124, 88, 42))
_IRIS_LIGHT, _IRIS_DARK = (0.3, 0.2, 0.12, 0.18, 0.08, 0.12), (0.40, 0.57, 0, 0, 0, 0.03)
_FRAMES = ((22, 22, 26), (64, 40, 24), (130, 130, 136), (96, 24, 34), (34, 46, 96))

STYLES = ("bald", "buzz", "short", "side", "fringe", "curly", "back", "long", "long fringe", "bob")
_STYLES_HARD = (0.04, 0.16, 0.22, 0.22, 0.08, 0.10, 0.10, 0.03, 0, 0)
_STYLES_SOFT = (0, 0.03, 0.05, 0.10, 0.06, 0.12, 0.17, 0.25, 0.10, 0.12)
_BEARDS = ("none", "none", "stubble", "goatee", "full", "moustache")


@dataclass(frozen=True)
class Skull:
    """Outline and relief: factors around 1 for widths and lengths, the rest in head units."""

    forehead: float
    cheekbones: float
    jaw: float
    chin_width: float
    lower: float
    upper: float
    fat: float
    cheek: float
    brow_ridge: float
    socket: float
    chin: float
    cleft: float
    ear: float
    ear_out: float


@dataclass(frozen=True)
class Eyes:
    apart: float
    height: float
    width: float
    opening: float
    tilt: float
    crease: float
    fold: float
    roundness: float
    hood: float
    iris_radius: float
    iris: Colour


@dataclass(frozen=True)
class Brows:
    height: float
    thickness: float
    arch: float
    slope: float
    length: float
    inner: float
    density: float
    colour: Colour


@dataclass(frozen=True)
class Nose:
    length: float
    height: float
    width: float
    bridge: float
    tip: float
    ridge_width: float
    hook: float
    turn: float
    shift: float


@dataclass(frozen=True)
class Mouth:
    height: float
    width: float
    upper_lip: float
    lower_lip: float
    bow: float
    tint: float
    depth: float


@dataclass(frozen=True)
class Skin:
    """tone: 0 light .. 1 dark. The rest are strengths from 0 to about 1. moles: x, y, radius."""

    colour: Colour
    tone: float
    redness: float
    freckles: float
    bags: float
    folds: float
    wrinkles: float
    moles: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Hair:
    style: str
    colour: Colour
    line: float
    receding: float
    peak: float
    volume: float
    parting: float
    length: float
    wave: float
    beard: str


@dataclass(frozen=True)
class Glasses:
    width: float
    height: float
    squareness: float
    thickness: float
    colour: Colour


@dataclass(frozen=True)
class Person:
    seed: int
    hardness: float  # 0 soft features .. 1 hard ones: jaw, brows, beard; no statement about anybody
    skull: Skull
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    skin: Skin
    hair: Hair
    glasses: Glasses | None
    clothes: Colour


class _Draw:
    """The random numbers of one person."""

    def __init__(self, seed: int, spread: float) -> None:
        self.rng = np.random.default_rng([7919, seed])
        self.spread = spread

    def around(self, centre: float, deviation: float) -> float:
        """U-shaped around the centre: people far apart from each other, yet nobody beyond 2.2 deviations."""
        return centre + float(self.rng.beta(0.7, 0.7) - 0.5) * 4.4 * deviation * self.spread

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, weights: tuple[float, ...]) -> int:
        return int(self.rng.choice(len(weights), p=np.asarray(weights) / sum(weights)))


def _clip(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))


def _colour(values: np.ndarray) -> Colour:
    r, g, b = (float(v) for v in values)
    return r, g, b


def person(seed: int, spread: float = 1.0) -> Person:
    """The person of this seed. `spread` scales how far shapes lie from the average: 0.75 milder, 1.12 caricature."""
    draw = _Draw(seed, spread)
    hard = 0.7 * draw.chance(0.5) + draw.between(0, 0.3)
    age = draw.between(18, 78)
    old = _clip((age - 30) / 45, 0, 1)
    tone = draw.between(0, 1)
    skull, eyes, nose = _skull(draw, hard), _eyes(draw, tone, old), _nose(draw, tone)
    mouth, skin = _mouth(draw, hard, tone, old), _skin(draw, tone, old)
    hair, brows = _hair_and_brows(draw, hard, tone, age, old)
    return Person(
        seed=seed,
        hardness=hard,
        skull=skull,
        eyes=eyes,
        brows=brows,
        nose=nose,
        mouth=mouth,
        skin=skin,
        hair=hair,
        glasses=_glasses(draw) if draw.chance(0.27) else None,
        clothes=_clothes(draw),
    )


def _skull(draw: _Draw, hard: float) -> Skull:
    return Skull(
        forehead=draw.around(1, 0.036),
        cheekbones=draw.around(1, 0.05),
        jaw=draw.around(1 + 0.08 * (hard - 0.5), 0.06),
        chin_width=draw.around(1 + 0.22 * (hard - 0.5), 0.12),
        lower=draw.around(1 + 0.03 * (hard - 0.5), 0.05),
        upper=draw.around(1, 0.035),
        fat=draw.around(0.01, 0.05),
        cheek=draw.around(0.06, 0.035),
        brow_ridge=draw.around(0.02 + 0.06 * hard, 0.02),
        socket=draw.around(0.09, 0.03),
        chin=draw.around(0.06 + 0.05 * hard, 0.035),
        cleft=max(0.0, draw.around(0, 0.03)) * hard,
        ear=draw.around(0.29, 0.03),
        ear_out=draw.around(0.05, 0.03),
    )


def _eyes(draw: _Draw, tone: float, old: float) -> Eyes:
    return Eyes(
        apart=draw.around(0.445, 0.034),
        height=draw.around(0, 0.037),
        width=draw.around(0.22, 0.023),
        opening=draw.around(0.108 - 0.012 * old, 0.019),
        tilt=draw.around(0.035, 0.09),
        crease=_clip(draw.around(0.55, 0.5), 0, 1),
        fold=draw.between(0.02, 0.10),
        roundness=draw.around(2.4, 0.45),
        hood=_clip(draw.around(0.008 * old, 0.025), 0, 0.04),
        iris_radius=draw.around(0.092, 0.006),
        iris=_IRIS[draw.pick(_IRIS_LIGHT if tone < 0.35 else _IRIS_DARK)],
    )


def _nose(draw: _Draw, tone: float) -> Nose:
    return Nose(
        length=draw.around(0.56, 0.055),
        height=draw.around(0.29, 0.045),
        width=draw.around(0.195 + 0.05 * (tone - 0.5), 0.03),
        bridge=draw.around(0.09, 0.05),
        tip=draw.around(0.07, 0.025),
        ridge_width=draw.around(0.105, 0.02),
        hook=draw.around(0, 0.045),
        turn=draw.around(0, 0.025),
        shift=draw.around(0, 0.015),
    )


def _mouth(draw: _Draw, hard: float, tone: float, old: float) -> Mouth:
    return Mouth(
        height=draw.around(0.97, 0.03),
        width=draw.around(0.38, 0.04),
        upper_lip=draw.around(0.078 + 0.035 * (tone - 0.4) - 0.02 * old, 0.02),
        lower_lip=draw.around(0.105 + 0.03 * (tone - 0.4) - 0.02 * old, 0.022),
        bow=draw.between(0, 1),
        tint=draw.around(0, 1),
        depth=draw.between(0.2, 0.9) * (1 - 0.5 * hard),
    )


def _skin(draw: _Draw, tone: float, old: float) -> Skin:
    base = np.array([np.interp(tone * 5, range(6), _SKIN[:, k]) for k in range(3)])
    base += [draw.around(0, 2.0), draw.around(0, 1.5), draw.around(0, 2.5)]
    freckles = max(0.0, draw.around(0, 1) - 0.6)
    moles = tuple(
        (draw.between(-0.75, 0.75), draw.between(-0.7, 1.4), draw.between(0.012, 0.028))
        for _ in range(int(draw.rng.poisson(1.0)))
    )
    return Skin(
        colour=_colour(base.clip(20, 248)),
        tone=tone,
        redness=_clip(draw.around(0.45, 0.3), 0, 1) * (1 - 0.75 * tone),
        freckles=freckles if tone < 0.45 else 0.0,
        bags=_clip(draw.around(old * 0.6, 0.3), 0, 1),
        folds=_clip(draw.around(0.1 + old * 0.6, 0.15), 0, 1),
        wrinkles=old**1.5,
        moles=moles,
    )


def _hair_and_brows(draw: _Draw, hard: float, tone: float, age: float, old: float) -> tuple[Hair, Brows]:
    natural = _HAIR[draw.pick(_HAIR_LIGHT if tone < 0.4 else _HAIR_DARK)]
    grey = _clip((age - 44 + draw.around(0, 8)) / 30, 0, 0.95)
    weights = _STYLES_HARD if hard > 0.5 else _STYLES_SOFT
    if hard > 0.5:
        weights = (0.2 * (0.2 + old), *weights[1:])
    brow_colour = natural * 0.75 + (np.array([120, 116, 112]) - natural * 0.75) * grey * 0.6
    hair = Hair(
        style=STYLES[draw.pick(weights)],
        colour=_colour(natural + (np.array([196, 194, 192]) - natural) * grey),
        line=draw.around(-0.98 - 0.15 * old * hard, 0.06),
        receding=_clip(draw.around(0.28 * old, 0.10), 0, 0.42) * hard,
        peak=max(0.0, draw.around(0, 0.05)),
        volume=0.09 + abs(draw.around(0, 0.045)),
        parting=(1 if draw.chance(0.5) else -1) * draw.between(0.2, 0.5),
        length=draw.between(1.2, 2.3),
        wave=draw.between(0, 1),
        beard=_BEARDS[int(draw.rng.integers(len(_BEARDS)))] if hard > 0.5 else "none",
    )
    brows = Brows(
        height=draw.around(-0.30 + 0.03 * hard, 0.03),
        thickness=draw.around(0.038 + 0.018 * hard, 0.013),
        arch=draw.around(0.05, 0.03),
        slope=draw.around(0.01, 0.045),
        length=draw.around(0.265, 0.025),
        inner=draw.around(0.17, 0.03),
        density=_clip(draw.around(0.78, 0.22), 0.25, 1),
        colour=_colour(brow_colour * (1 - 0.3 * tone)),
    )
    return hair, brows


def _glasses(draw: _Draw) -> Glasses:
    return Glasses(
        width=draw.between(0.25, 0.32),
        height=draw.between(0.17, 0.26),
        squareness=draw.between(2, 5),
        thickness=draw.between(1.0, 2.6),
        colour=_FRAMES[int(draw.rng.integers(len(_FRAMES)))],
    )


def _clothes(draw: _Draw) -> Colour:
    return _colour((120 + draw.rng.normal(0, 20, 3) + draw.rng.normal(0, 40)).clip(25, 185))
