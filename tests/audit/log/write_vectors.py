"""Writes proof_vectors.json: proofs, right and wrong, made from the text of RFC 6962 alone, with none of the product's code.

python -m tests.audit.log.write_vectors
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).with_name("proof_vectors.json")
SIZES = (1, 2, 3, 4, 5, 8, 13, 257)
PAIRS = ((1, 2), (2, 3), (3, 7), (4, 7), (4, 8), (6, 8), (12, 13), (255, 257), (256, 257))


def _data(number: int) -> bytes:
    return number.to_bytes(2, "big")


def leaf(number: int) -> bytes:
    return hashlib.sha256(b"\x00" + _data(number)).digest()


def mth(first: int, last: int) -> bytes:
    """MTH(D[first:last]), section 2.1."""
    n = last - first
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return leaf(first)
    k = largest_power_below(n)
    return hashlib.sha256(b"\x01" + mth(first, first + k) + mth(first + k, last)).digest()


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, first: int, last: int) -> list[bytes]:
    """PATH(m, D[first:last]), section 2.1.1."""
    n = last - first
    if n == 1:
        return []
    k = largest_power_below(n)
    if m < k:
        return [*path(m, first, first + k), mth(first + k, last)]
    return [*path(m - k, first + k, last), mth(first, first + k)]


def proof(m: int, n: int) -> list[bytes]:
    """PROOF(m, D[n]), section 2.1.2."""
    return subproof(m, 0, n, True)


def subproof(m: int, first: int, last: int, whole: bool) -> list[bytes]:
    n = last - first
    if m == n:
        return [] if whole else [mth(first, last)]
    k = largest_power_below(n)
    if m <= k:
        return [*subproof(m, first, first + k, whole), mth(first + k, last)]
    return [*subproof(m - k, first + k, last, False), mth(first, first + k)]


def _flipped(value: bytes) -> bytes:
    return bytes([value[0] ^ 1, *value[1:]])


def _spoiled(hashes: list[bytes]) -> dict[str, list[bytes]]:
    """Other lists of hashes that prove nothing, by what was done to them."""
    stray = hashlib.sha256(b"stray").digest()
    spoiled = {
        "a hash too many at the end": [*hashes, stray],
        "a hash too many at the beginning": [stray, *hashes],
        "the empty hash at the end": [*hashes, b""],
    }
    if hashes:
        spoiled |= {
            "the first hash left out": hashes[1:],
            "the last hash left out": hashes[:-1],
            "the first hash changed": [_flipped(hashes[0]), *hashes[1:]],
            "the last hash changed": [*hashes[:-1], _flipped(hashes[-1])],
            "the last hash cut short": [*hashes[:-1], hashes[-1][:-1]],
            "no proof at all": [],
        }
    if len(hashes) > 1:
        spoiled["the hashes in the other order"] = hashes[::-1]
    return spoiled


def inclusions() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for size in SIZES:
        for index in sorted({0, size // 2, size - 1}):
            right = {
                "leaf": leaf(index),
                "index": index,
                "size": size,
                "proof": path(index, 0, size),
                "root": mth(0, size),
            }
            made.append(right | {"what": "right", "holds": True})
            wrong = {
                "another leaf": {"leaf": _flipped(leaf(index))},
                "the data in the place of its hash": {"leaf": _data(index)},
                "another root": {"root": _flipped(right["root"])},
                "the empty tree's root": {"root": mth(0, 0)},
                "an index beyond the tree": {"index": size},
                "an index below the tree": {"index": -1},
                "an empty tree": {"size": 0},
                "a tree ten times as large": {"size": size * 10},
            }
            if size > 1:
                wrong["the index beside it"] = {"index": index ^ 1 if index ^ 1 < size else index - 1}
            made += [right | change | {"what": what, "holds": False} for what, change in wrong.items()]
            made += [
                right | {"proof": hashes, "what": what, "holds": False}
                for what, hashes in _spoiled(right["proof"]).items()
            ]
    return made


def consistencies() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for old, new in PAIRS:
        right = {"old": old, "new": new, "proof": proof(old, new), "old_root": mth(0, old), "new_root": mth(0, new)}
        made.append(right | {"what": "right", "holds": True})
        wrong = {
            "another old root": {"old_root": _flipped(right["old_root"])},
            "another new root": {"new_root": _flipped(right["new_root"])},
            "the roots swapped": {"old_root": right["new_root"], "new_root": right["old_root"]},
            "the sizes swapped": {"old": new, "new": old},
            "a negative size": {"old": -1},
            "a short root": {"new_root": right["new_root"][:31]},
            "equal sizes": {"old": new},
        }
        made += [right | change | {"what": what, "holds": False} for what, change in wrong.items()]
        made += [
            right | {"proof": hashes, "what": what, "holds": False} for what, hashes in _spoiled(right["proof"]).items()
        ]
    for size in (1, 5, 256):
        same = {"old": size, "new": size, "proof": [], "old_root": mth(0, size), "new_root": mth(0, size)}
        made.append(same | {"what": "the same tree", "holds": True})
        made.append(same | {"new_root": mth(0, size + 1), "what": "another tree of the same size", "holds": False})
        made.append(same | {"proof": [leaf(0)], "what": "the same tree with a proof", "holds": False})
    return made


def vectors() -> dict[str, list[dict[str, Any]]]:
    """All vectors, with bytes as hex."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.hex()
        return [plain(item) for item in value] if isinstance(value, list) else value

    made = {"inclusion": inclusions(), "consistency": consistencies()}
    return {kind: [{key: plain(value) for key, value in each.items()} for each in of] for kind, of in made.items()}


if __name__ == "__main__":
    lines = {kind: ",\n".join(json.dumps(each, sort_keys=True) for each in of) for kind, of in vectors().items()}
    VECTORS.write_text(
        "{" + ",\n".join(f'"{kind}": [\n{of}\n]' for kind, of in lines.items()) + "}\n", encoding="utf-8"
    )
