"""Ed25519 (RFC 8032): by `cryptography` where it is installed, else in plain Python.

Whoever checks an export, or runs a witness, may be unable to install anything, so the plain form has to exist. Both
compare the encoded point with the signature's first half (no cofactor) and refuse a scalar outside the group order, so
they agree. Verification handles no secret. Plain signing hides its scalars behind random multiples of the group order,
which makes its running time worthless to who measures it; the log's own key is only ever used by `cryptography`.
"""

from __future__ import annotations

import hashlib
import secrets

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError:
    HAVE_CRYPTOGRAPHY = False
else:
    HAVE_CRYPTOGRAPHY = True

PUBLIC_KEY_SIZE = 32
SIGNATURE_SIZE = 64

# RFC 8032, section 5.1: field, group order, curve constant and a square root of -1.
_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

# Extended homogeneous coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x*y = T/Z.
_Point = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


def _add(a: _Point, b: _Point) -> _Point:
    """RFC 8032, section 5.1.4; complete, so it doubles as well."""
    e1, e2 = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    c, d = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = e2 - e1, d - c, d + c, e2 + e1
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _decode(encoded: bytes) -> _Point | None:
    """RFC 8032, section 5.1.3; None for bytes that are no point."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        return None
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(x_squared, (_P + 3) // 8, _P)
    if (x * x - x_squared) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - x_squared) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_base = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
assert _base is not None
_BASE: _Point = _base


def is_public_key(public_key: bytes) -> bool:
    """Whether these are the 32 canonical bytes of a point that is not of small order.

    Under a point of small order anybody can make signatures, so an operator could disown what such a key signed; and
    implementations differ on points that are not written canonically.
    """
    point = _decode(public_key) if len(public_key) == PUBLIC_KEY_SIZE else None
    if point is None:
        return False
    for _ in range(3):
        point = _add(point, point)
    return _encode(point) != _encode(_NEUTRAL)


def verify_plain(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is by `public_key` (32 bytes); RFC 8032, section 5.1.7."""
    if len(public_key) != PUBLIC_KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    point, s = _decode(public_key), int.from_bytes(signature[32:], "little")
    if point is None or s >= _ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _ORDER
    minus_a: _Point = (_P - point[0], point[1], 1, _P - point[3])
    # R = s*B - h*A, both scalars walked together from the top bit.
    both, total = _add(_BASE, minus_a), _NEUTRAL
    for bit in reversed(range(253)):
        total = _add(total, total)
        match s >> bit & 1, h >> bit & 1:
            case 1, 1:
                total = _add(total, both)
            case 1, 0:
                total = _add(total, _BASE)
            case 0, 1:
                total = _add(total, minus_a)
    return _encode(total) == signature[:32]


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """As `verify_plain`, by `cryptography` where it is installed (about fifty times quicker)."""
    if not HAVE_CRYPTOGRAPHY:
        return verify_plain(public_key, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _times_base(scalar: int) -> bytes:
    blinded, total = scalar + secrets.randbits(64) * _ORDER, _NEUTRAL
    for bit in reversed(range(blinded.bit_length())):
        total = _add(total, total)
        if blinded >> bit & 1:
            total = _add(total, _BASE)
    return _encode(total)


def _expand(seed: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(seed).digest()
    return int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254, digest[32:]


def public_key_plain(seed: bytes) -> bytes:
    """The public key of the private key `seed` (32 bytes); RFC 8032, section 5.1.5."""
    return _times_base(_expand(seed)[0])


def sign_plain(seed: bytes, message: bytes) -> bytes:
    """The signature (64 bytes) of `message` by the private key `seed` (32 bytes); RFC 8032, section 5.1.6."""
    secret, prefix = _expand(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % _ORDER
    point = _times_base(nonce)
    h = int.from_bytes(hashlib.sha512(point + _times_base(secret) + message).digest(), "little") % _ORDER
    return point + ((nonce + h * secret) % _ORDER).to_bytes(32, "little")


def public_key(seed: bytes) -> bytes:
    """As `public_key_plain`, by `cryptography` where it is installed."""
    if not HAVE_CRYPTOGRAPHY:
        return public_key_plain(seed)
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    """As `sign_plain`, by `cryptography` where it is installed."""
    if not HAVE_CRYPTOGRAPHY:
        return sign_plain(seed, message)
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)
