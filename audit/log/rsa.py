"""RSA signatures that are unique: verification (RFC 8017, RSASSA-PKCS1-v1_5 with SHA-256), and the proof that a key is fit.

Under a fit key a message has exactly one signature, also for whoever made the key. That needs the exponent to be coprime to
the order of the group; else a value has many roots, and the maker of the key could show another one than was used.
`is_fit` checks a proof of it: the roots of eight numbers that nobody chose, as in Goldberg, Reyzin, Sagga and Baldimtsi,
"Efficient Noninteractive Certification of RSA Moduli and Beyond" (2019). Under an unfit key a number has a root with
probability 1/65537 at most, so eight leave 2^-128. Plain Python: each check is one exponentiation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import gcd

EXPONENT = 65537
MIN_BITS, MAX_BITS = 2048, 4096
ROOTS = 8
# RFC 8017, section 9.2: DigestInfo of SHA-256.
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
_LABEL = b"glasscase/rsa-permutation/v1\0"


def modulus_bytes(modulus: int) -> bytes:
    """Big-endian, without leading zeros: what a key is identified by."""
    return modulus.to_bytes((modulus.bit_length() + 7) // 8, "big")


def key_hash(modulus: int) -> str:
    """SHA-256 of the modulus, 64 hex digits."""
    return hashlib.sha256(modulus_bytes(modulus)).hexdigest()


def challenges(modulus: int) -> list[int]:
    """The numbers whose roots show that the key is fit: they follow from the modulus alone."""
    data = modulus_bytes(modulus)
    return [
        int.from_bytes(hashlib.shake_256(_LABEL + data + bytes([number])).digest(len(data) + 16), "big") % modulus
        for number in range(ROOTS)
    ]


def is_fit(modulus: int, roots: Sequence[int]) -> bool:
    """Whether `roots` show that every unit has exactly one root under this modulus and the exponent 65537."""
    if not MIN_BITS <= modulus.bit_length() <= MAX_BITS or modulus % 2 == 0 or len(roots) != ROOTS:
        return False
    return all(
        0 < root < modulus and gcd(root, modulus) == 1 and pow(root, EXPONENT, modulus) == wanted
        for root, wanted in zip(roots, challenges(modulus), strict=True)
    )


def verify(modulus: int, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is the one over `message`: as long as the modulus, and a unit smaller than it."""
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or not 0 < number < modulus or gcd(number, modulus) != 1:
        return False
    info = _DIGEST_INFO + hashlib.sha256(message).digest()
    padded = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
    return pow(number, EXPONENT, modulus) == int.from_bytes(padded, "big")
