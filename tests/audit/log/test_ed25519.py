"""Both ways of verifying Ed25519, against RFC 8032 and against each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.log import ed25519
from audit.log.ed25519 import is_public_key, verify, verify_plain

# RFC 8032, section 7.1: public key, message, signature of tests 1, 2, 3 and SHA(abc).
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
        "454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
]
Check = Callable[[bytes, bytes, bytes], bool]
ORDER = 2**252 + 27742317777372353535851937790883648493
BOTH = pytest.mark.parametrize("check", [verify, verify_plain])
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()


@BOTH
@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_hold(check: Check, public: str, message: str, signature: str) -> None:
    key, text, sig = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert check(key, text, sig)
    assert not check(key, text + b"x", sig)


@given(st.binary(max_size=200), st.integers(0, 511), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_both_agree_on_right_and_on_altered_signatures_and_keys(message: bytes, sig_bit: int, key_bit: int) -> None:
    signature = PRIVATE.sign(message)
    assert verify(PUBLIC, message, signature)
    assert verify_plain(PUBLIC, message, signature)
    altered = bytearray(signature)
    altered[sig_bit // 8] ^= 1 << sig_bit % 8
    assert not verify(PUBLIC, message, bytes(altered))
    assert not verify_plain(PUBLIC, message, bytes(altered))
    key = bytearray(PUBLIC)
    key[key_bit // 8] ^= 1 << key_bit % 8
    assert not verify(bytes(key), message, signature)
    assert not verify_plain(bytes(key), message, signature)


@BOTH
def test_the_same_signature_with_a_scalar_outside_the_group_order_is_refused(check: Check) -> None:
    signature = PRIVATE.sign(b"text")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not check(PUBLIC, b"text", signature[:32] + scalar.to_bytes(32, "little"))


@BOTH
@pytest.mark.parametrize(
    ("public", "signature"),
    [
        (PUBLIC[:31], bytes(64)),
        (PUBLIC, bytes(63)),
        (PUBLIC, bytes(65)),
        (PUBLIC, b""),
        (bytes([2]) + bytes(31), bytes(64)),  # y = 2 lies on no point of the curve
        (b"", b""),
    ],
)
def test_what_cannot_be_a_key_or_signature_is_refused(check: Check, public: bytes, signature: bytes) -> None:
    assert not check(public, b"text", signature)


# The base point: under a public key that is the neutral point, R = B and s = 1 fit every message.
FITS_ALL = bytes([0x58]) + bytes([0x66]) * 31 + (1).to_bytes(32, "little")


def test_anybody_can_sign_under_a_key_of_small_order_so_it_is_no_key() -> None:
    neutral = (1).to_bytes(32, "little")
    assert verify_plain(neutral, b"any text", FITS_ALL)
    assert verify(neutral, b"any text", FITS_ALL)
    assert not is_public_key(neutral)


@pytest.mark.parametrize("number", [0, 1, 2**255 - 20, 1 << 255])
def test_points_of_small_order_are_no_keys(number: int) -> None:
    assert not is_public_key(number.to_bytes(32, "little"))


@pytest.mark.parametrize("number", [2**255 - 18, 1 | 1 << 255, 2**255 - 18 | 1 << 255])
def test_points_that_are_not_written_canonically_are_no_keys(number: int) -> None:
    key = number.to_bytes(32, "little")  # three more spellings of the neutral point
    assert not is_public_key(key)
    assert not verify_plain(key, b"any text", FITS_ALL)


def test_real_keys_are_keys_and_nothing_of_another_length_is() -> None:
    assert is_public_key(PUBLIC)
    assert all(is_public_key(bytes.fromhex(public)) for public, _, _ in VECTORS)
    assert not is_public_key(PUBLIC[:31])
    assert not is_public_key(PUBLIC + b"\0")


def test_the_plain_form_is_used_where_cryptography_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ed25519, "HAVE_CRYPTOGRAPHY", False)
    monkeypatch.delattr(ed25519, "Ed25519PublicKey")
    assert verify(PUBLIC, b"text", PRIVATE.sign(b"text"))
    assert not verify(PUBLIC, b"text", PRIVATE.sign(b"other"))


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
@settings(max_examples=20, deadline=None)
def test_plain_signing_gives_the_bytes_that_cryptography_gives(seed: bytes, message: bytes) -> None:
    assert ed25519.public_key_plain(seed) == ed25519.public_key(seed)
    assert ed25519.sign_plain(seed, message) == ed25519.sign(seed, message)
