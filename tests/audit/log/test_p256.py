"""ES256 in plain Python and by a library give the same answer."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.log import p256

PRIVATE = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
SPKI = PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
# RFC 6979, A.2.5, SHA-256, "sample".
SAMPLE = encode_dss_signature(
    0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
    0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
)


def both(spki: bytes, message: bytes, signature: bytes) -> bool:
    plain = p256.verify_plain(spki, message, signature)
    assert p256.HAVE_CRYPTOGRAPHY
    assert p256.verify(spki, message, signature) == plain
    return plain


def test_the_vector_of_rfc_6979_verifies() -> None:
    assert both(SPKI, b"sample", SAMPLE)
    assert not both(SPKI, b"simple", SAMPLE)


@settings(max_examples=12, deadline=None)
@given(message=st.binary(max_size=100), bit=st.integers(0, 8 * 70 - 1))
def test_both_take_and_refuse_the_same(message: bytes, bit: int) -> None:
    signature = PRIVATE.sign(message, ec.ECDSA(SHA256()))
    assert both(SPKI, message, signature)
    data = bytearray(signature)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    assert not both(SPKI, message, bytes(data))
    assert not both(SPKI, message + b"x", signature)


@pytest.mark.parametrize("r", [0, 1, p256._N, p256._N + 1])
@pytest.mark.parametrize("s", [0, p256._N])
def test_numbers_outside_the_group_are_refused(r: int, s: int) -> None:
    assert not both(SPKI, b"sample", encode_dss_signature(r, s))


def test_other_ways_to_write_the_same_signature_are_refused() -> None:
    r, s = decode_dss_signature(SAMPLE)
    padded = b"\x30" + bytes([len(SAMPLE) - 1]) + b"\x02\x22\0\0" + r.to_bytes(32, "big") + SAMPLE[-35:]
    for other in (padded, SAMPLE + b"\0", SAMPLE[:-1], b"", r.to_bytes(32, "big") + s.to_bytes(32, "big")):
        assert not both(SPKI, b"sample", other)


def test_only_points_of_the_curve_are_keys() -> None:
    assert p256.is_public_key(SPKI)
    for other in (SPKI[:-1], SPKI + b"\0", SPKI[:-1] + bytes([SPKI[-1] ^ 1]), SPKI[:26] + b"\2" + SPKI[27:], b""):
        assert not p256.is_public_key(other)
        assert not both(other, b"sample", SAMPLE)
