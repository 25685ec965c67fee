"""The cut of a search in two stages, as `gallery.cut` computes it in the database; for tables and tests. No Django here.

Two unit vectors at angle a lie on different sides of a random hyperplane with probability a / pi (Goemans and Williamson 1995;
Charikar 2002). With planes drawn independently the distance of two codes is binomial, whatever embeddings look like.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

BITS: Final = 1024
LOSS: Final = 1e-6


def parted(cosine: float, dimension: int) -> float:
    """The probability that one plane parts two vectors at `cosine`, raised by what single precision can turn over."""
    rounding = 2 * math.sqrt(2 / math.pi) * (dimension + 2) * (math.sqrt(dimension) + 6) / 2**24
    return math.acos(max(-1.0, min(1.0, cosine))) / math.pi + rounding


def cut(cosine: float, dimension: int, *, bits: int = BITS, loss: float = LOSS) -> int:
    """The smallest distance that codes of two vectors at `cosine` exceed with a probability of at most `loss`."""
    above = 0.0
    for distance, probability in zip(range(bits, -1, -1), _from_above(bits, parted(cosine, dimension)), strict=True):
        above += probability
        if above > loss:
            return distance
    return 0


def passing(distance: int, cosines: Iterator[tuple[float, float]], *, bits: int = BITS) -> float:
    """The share of others within `distance`, for `cosines` given as (cosine, weight) with weights that sum to 1."""
    return sum(
        weight * (1 - math.fsum(list(_from_above(bits, math.acos(cosine) / math.pi))[: bits - distance]))
        for cosine, weight in cosines
    )


def normal(spread: float, steps: int = 161) -> Iterator[tuple[float, float]]:
    """Cosines of different people, normal around 0 with this standard deviation, as `passing` takes them."""
    places = [-6 + 12 * step / (steps - 1) for step in range(steps)]
    weights = [math.exp(-(place**2) / 2) for place in places]
    return ((spread * place, weight / sum(weights)) for place, weight in zip(places, weights, strict=True))


def _from_above(bits: int, p: float) -> Iterator[float]:
    """Binomial probabilities of bits, bits - 1, …, 0 successes."""
    if p >= 1:
        yield from [1.0] + [0.0] * bits
        return
    term = bits * math.log(p)
    for k in range(bits, -1, -1):
        yield math.exp(term) if term > -700 else 0.0
        if k:
            term += math.log(k) - math.log(bits - k + 1) + math.log1p(-p) - math.log(p)
