"""ES256 verification (ECDSA on P-256 with SHA-256, FIPS 186-5): by `cryptography` where it is installed, else in plain Python.

Nothing here handles a secret; running time does not matter.
"""

from __future__ import annotations

import hashlib

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
except ImportError:
    HAVE_CRYPTOGRAPHY = False
else:
    HAVE_CRYPTOGRAPHY = True

# SubjectPublicKeyInfo of a P-256 key before its uncompressed point (RFC 5480).
SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
SPKI_SIZE = len(SPKI_PREFIX) + 65

# SP 800-186, section 3.2.1.3.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int] | None  # None: the point at infinity


def _add(a: _Point, b: _Point) -> _Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P)
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _point(spki: bytes) -> tuple[int, int] | None:
    """The point of a public key; None when it is not one on the curve, written uncompressed."""
    if len(spki) != SPKI_SIZE or not spki.startswith(SPKI_PREFIX + b"\4"):
        return None
    x, y = int.from_bytes(spki[-64:-32], "big"), int.from_bytes(spki[-32:], "big")
    on_curve = x < _P and y < _P and (y * y - (x * x * x - 3 * x + _B)) % _P == 0
    return (x, y) if on_curve else None


def is_public_key(spki: bytes) -> bool:
    """Whether these are the bytes of a P-256 public key as SubjectPublicKeyInfo."""
    return _point(spki) is not None


def _scalars(signature: bytes) -> tuple[int, int] | None:
    """r and s out of their DER form (RFC 3279, 2.2.3), read strictly."""
    if len(signature) < 8 or signature[0] != 0x30 or signature[1] != len(signature) - 2:
        return None
    numbers, rest = [], signature[2:]
    for _ in range(2):
        if len(rest) < 3 or rest[0] != 2 or not 1 <= rest[1] <= 33 or len(rest) < 2 + rest[1]:
            return None
        digits, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        if digits[0] > 127 or (len(digits) > 1 and digits[0] == 0 and digits[1] < 128):
            return None
        numbers.append(int.from_bytes(digits, "big"))
    r, s = numbers
    return (r, s) if not rest and 0 < r < _N and 0 < s < _N else None


def verify_plain(spki: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the DER `signature` over `message` is by the public key `spki`; FIPS 186-5, section 6.4.2."""
    key, scalars = _point(spki), _scalars(signature)
    if key is None or scalars is None:
        return False
    r, s = scalars
    inverse = pow(s, -1, _N)
    u = int.from_bytes(hashlib.sha256(message).digest(), "big") * inverse % _N
    v = r * inverse % _N
    both, total = _add(_G, key), None
    for bit in reversed(range(256)):  # both scalars walked together from the top bit
        total = _add(total, total)
        match u >> bit & 1, v >> bit & 1:
            case 1, 1:
                total = _add(total, both)
            case 1, 0:
                total = _add(total, _G)
            case 0, 1:
                total = _add(total, key)
    return total is not None and total[0] % _N == r


def verify(spki: bytes, message: bytes, signature: bytes) -> bool:
    """As `verify_plain`, by `cryptography` where it is installed."""
    key = _point(spki)
    if key is None or _scalars(signature) is None:
        return False
    if not HAVE_CRYPTOGRAPHY:
        return verify_plain(spki, message, signature)
    try:
        ec.EllipticCurvePublicNumbers(*key, ec.SECP256R1()).public_key().verify(signature, message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
