"""Unique signatures: the plain check agrees with a library's, and a key with two roots of one value is found out."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.log import rsa

# p - 1 is a multiple of the exponent, so every value that has a root has 65,537 of them.
P = 65537 * 2 * (2**1007 + 836) + 1
Q = 2**1025 + 2 * 740 + 1
UNFIT = P * Q


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def roots(key: RSAPrivateKey) -> list[int]:
    numbers = key.private_numbers()
    return [pow(each, numbers.d, numbers.public_numbers.n) for each in rsa.challenges(numbers.public_numbers.n)]


@settings(max_examples=25, deadline=None)
@given(message=st.binary(max_size=200), bit=st.integers(0, 2047))
def test_the_check_takes_the_librarys_signature_and_no_other(key: RSAPrivateKey, message: bytes, bit: int) -> None:
    modulus = key.public_key().public_numbers().n
    signature = key.sign(message, PKCS1v15(), SHA256())
    assert rsa.verify(modulus, message, signature)
    flipped = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(256, "big")
    assert not rsa.verify(modulus, message, flipped)
    assert not rsa.verify(modulus, message + b"x", signature)


def test_other_forms_of_the_same_signature_are_refused(key: RSAPrivateKey) -> None:
    modulus = key.public_key().public_numbers().n
    signature = key.sign(b"message", PKCS1v15(), SHA256())
    larger = int.from_bytes(signature, "big") + modulus
    for other in (b"\0" + signature, signature[1:], larger.to_bytes(257, "big"), b"\0" * 256, b""):
        assert not rsa.verify(modulus, b"message", other)
    weak: HashAlgorithm = SHA1()
    assert not rsa.verify(modulus, b"message", key.sign(b"message", PKCS1v15(), weak))


def test_a_key_is_fit_with_its_own_roots_only(key: RSAPrivateKey) -> None:
    modulus, own = key.public_key().public_numbers().n, roots(key)
    assert rsa.is_fit(modulus, own)
    assert not rsa.is_fit(modulus, own[:-1])
    assert not rsa.is_fit(modulus, [*own[:-1], own[-1] + 1])
    assert not rsa.is_fit(modulus, [root + modulus for root in own])
    assert not rsa.is_fit(modulus, list(reversed(own)))
    small = generate_private_key(65537, 1024)
    assert not rsa.is_fit(small.public_key().public_numbers().n, roots(small))


def test_an_unfit_key_gives_one_value_two_roots_and_is_refused() -> None:
    """The fraud that the proof is against: the maker of such a key tags with one signature and shows the other one."""
    unity = next(root for root in (pow(base, (P - 1) // 65537, P) for base in range(2, 50)) if root != 1)
    turn = (unity * Q * pow(Q, -1, P) + P * pow(P, -1, Q)) % UNFIT  # a 65537th root of 1 that is not 1
    one = pow(3, 1234567, UNFIT)
    other = one * turn % UNFIT
    assert one != other
    assert pow(one, 65537, UNFIT) == pow(other, 65537, UNFIT)
    exponent = pow(65537, -1, (P - 1) // 65537 * (Q - 1))  # takes roots where there are any
    assert pow(pow(9**65537, exponent, UNFIT), 65537, UNFIT) == 9**65537 % UNFIT
    assert not rsa.is_fit(UNFIT, [pow(each, exponent, UNFIT) for each in rsa.challenges(UNFIT)])
