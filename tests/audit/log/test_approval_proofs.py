"""Approval proofs: what a passkey signed proves one approval and nothing else, and wrong ones are named."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fido2.cose import ES256
from fido2.webauthn import AuthenticatorData

from audit.log import approval_proofs
from audit.log.approval_proofs import Assertion, Passkey, Reading, challenge, decode, encode, wrong_with
from audit.log.verify import main
from tests.audit.log.logs import Log, write
from tests.authenticator import Authenticator

SAM, REQUEST, PARAMS = uuid.UUID(int=1), uuid.UUID(int=2), bytes(range(32))
WANTED = challenge(REQUEST, PARAMS)


def body(number: int, type_: str, **fields: Any) -> bytes:
    said = {"v": 1, "type": type_, "id": str(uuid.UUID(int=100 + number)), "at": 1_800_000_000_000 + number}
    return json.dumps(said | {"nonce": f"{number:032x}"} | fields, sort_keys=True, separators=(",", ":")).encode()


def enrolled(number: int, key: Authenticator, who: uuid.UUID = SAM) -> bytes:
    import hashlib

    return body(
        number,
        approval_proofs.ENROLLED,
        approver=str(who),
        credential=hashlib.sha256(key.credential).hexdigest(),
        key=encode(key.key),
        site=key.site.hex(),
    )


def approved(number: int, proof: Assertion | None, who: uuid.UUID = SAM) -> bytes:
    import hashlib

    fields: dict[str, Any] = {"approval_proof": "none"}
    if proof is not None:
        fields = {
            "approval_proof": "passkey",
            "credential": hashlib.sha256(proof.credential).hexdigest(),
            "authenticator_data": encode(proof.authenticator_data),
            "client_data": encode(proof.client_data),
            "signature": encode(proof.signature),
        }
    given = {"request": str(REQUEST), "approver": str(who), "proposal": str(uuid.UUID(int=9)), "params": PARAMS.hex()}
    return body(number, approval_proofs.APPROVED, **given, **fields)


def bound(number: int, approval: bytes) -> bytes:
    return body(
        number,
        approval_proofs.BOUND,
        request=str(REQUEST),
        intent=str(uuid.UUID(int=8)),
        edition=1,
        version=1,
        emergency=False,
        approval=json.loads(approval)["id"],
        c={"embedding": "a" * 64},
    )


def test_a_real_assertion_verifies_here_and_in_the_fido2_library() -> None:
    key = Authenticator()
    proof = key.answer(WANTED)
    assert wrong_with(proof, Passkey(str(SAM), key.key, key.site), WANTED) is None
    import hashlib

    message = AuthenticatorData(proof.authenticator_data) + hashlib.sha256(proof.client_data).digest()
    ES256.from_cryptography_key(key.private.public_key()).verify(message, proof.signature)


def test_each_part_that_is_wrong_is_named() -> None:
    key = Authenticator()
    passkey = Passkey(str(SAM), key.key, key.site)
    other = challenge(REQUEST, bytes(32))
    right = key.answer(WANTED)
    for proof, reason in (
        (key.answer(other), "it was made for something else"),
        (key.answer(WANTED, type="webauthn.create"), "it was made for something else"),
        (key.answer(WANTED, site="evil.example.org"), "it was made for another site"),
        (key.answer(WANTED, flags=0x01), "the passkey did not verify who used it"),
        (key.answer(WANTED, flags=0x04), "the passkey did not verify who used it"),
        (key.with_wrong_signature(WANTED), "its signature is wrong"),
        (replace(right, client_data=right.client_data + b" "), "its signature is wrong"),
        (replace(right, client_data=b"[" * 100_000), "its client data cannot be read"),
        (replace(right, client_data=b"\xff"), "its client data cannot be read"),
        (replace(right, client_data=b"[]"), "its client data cannot be read"),
        (replace(right, authenticator_data=b""), "it was made for another site"),
        (replace(right, signature=b""), "its signature is wrong"),
    ):
        assert wrong_with(proof, passkey, WANTED) == reason


@pytest.mark.parametrize("text", ["=", "a", "ab", "aGk=", "a+b_", "a b", "é"])
def test_bytes_have_one_form(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decode(text)


def read(*bodies: bytes) -> Reading:
    reading = Reading()
    reading(0, bodies)
    return reading


def test_a_log_counts_its_proven_approvals() -> None:
    key = Authenticator()
    found = read(enrolled(0, key), approved(1, None), approved(2, key.answer(WANTED)))
    assert (found.approvals, found.proven, found.wrong) == (2, 1, {})
    assert found.lines() == ["1 of 2 approvals carry a proof by the approver's passkey, and it is right"]
    assert read().lines() == []


def test_a_passkey_proves_for_its_owner_while_it_is_enrolled() -> None:
    key, mallory = Authenticator(), uuid.UUID(int=66)
    revoked = body(2, approval_proofs.REVOKED, approver=str(SAM), credential=json.loads(enrolled(0, key))["credential"])
    right = key.answer(WANTED)
    for wrong in (
        [approved(1, right), enrolled(2, key)],
        [enrolled(0, key), revoked, approved(3, right)],
        [enrolled(0, key, mallory), approved(1, right)],
        [enrolled(0, key), approved(1, Authenticator().answer(WANTED))],
    ):
        found = read(*wrong)
        assert (found.proven, len(found.wrong)) == (0, 1)
        assert "no search rests on it" in found.lines()[-1]


def test_a_search_that_rests_on_a_wrong_proof_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Authenticator()
    wrong, right = approved(1, key.with_wrong_signature(WANTED)), approved(2, key.answer(WANTED))
    for name, bodies in (
        ("unused", [enrolled(0, key), wrong, right, bound(3, right)]),
        ("misused", [enrolled(0, key), wrong, right, bound(3, wrong)]),
    ):
        log = Log(bodies)
        folder = write(log.files(), tmp_path / name)
        code = main([str(folder), "--key", str(log.key.public)])
        out = capsys.readouterr().out
        if name == "unused":
            assert code == 0
            assert "1 of 2 approvals carry a proof" in out
            assert "the proof of the approval in entry 1 is wrong (its signature is wrong)" in out
        else:
            assert code == 1
            expected = "FAIL: approval: the search in entry 3 rests on the approval in entry 1: its signature is wrong"
            assert out.splitlines()[-1] == expected
