"""Approvals by passkey in the product: enrolled by the registrar, given with a search, checked by worker and verifier."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator as Kept
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from fido2.cose import ES256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from audit.log import verifier_keys
from audit.log.approval_proofs import challenge, encode
from core import database, passkeys
from core.exceptions import Invalid
from core.models import User
from search import approvals
from search.gate import client
from search.models import SearchRequest
from tests.authenticator import Authenticator
from tests.search.stage import Stage


def keep(user: User, key: Authenticator) -> None:
    """The passkey in the person's account, as it is after they added it to sign in with."""
    cose = ES256.from_cryptography_key(key.private.public_key())
    attested = AttestedCredentialData.create(bytes(16), key.credential, cose)
    data = AuthenticatorData.create(key.site, 0x45, 0, attested)
    response = {
        "clientDataJSON": encode(b'{"type":"webauthn.create","challenge":"AA","origin":"https://x"}'),
        "attestationObject": encode(AttestationObject.create("none", data, {})),
    }
    credential = {
        "id": encode(key.credential),
        "rawId": encode(key.credential),
        "type": "public-key",
        "response": response,
    }
    Kept.objects.create(user=user, type=Kept.Type.WEBAUTHN, data={"name": "Sam's key", "credential": credential})


@pytest.fixture
def sams(stage: Stage) -> Authenticator:
    """Sam's passkey, enrolled as people do it."""
    key = Authenticator()
    keep(stage.cast.sam, key)
    [own] = passkeys.of(stage.cast.sam)
    call_command("enrol_passkey", stage.cast.sam.username, fingerprint=own.fingerprint.upper())
    return key


def wanted(request: SearchRequest) -> bytes:
    return challenge(request.id, bytes.fromhex(request.params))


def approve(stage: Stage, request: SearchRequest, proof: Any) -> SearchRequest:
    sam = stage.cast.sam
    return approvals.approve(by=sam, request=request, secret=stage.cast.secrets[sam.id], proof=proof)


def test_a_search_that_a_passkey_approved_runs_and_an_outsider_verifies_the_proof(
    stage: Stage, sams: Authenticator, log_at_work: None, tmp_path: Path
) -> None:
    stage.set_policy("approval_passkey", 1)
    request = stage.submitted()
    approve(stage, request, sams.answer(wanted(request)))
    assert stage.run(request) == "done"
    assert request.state == "done"
    call_command("export_log", str(tmp_path / "log"))
    [key] = verifier_keys.published()
    program = [
        sys.executable,
        "-I",
        str(tmp_path / "log" / "glasscase-verify.pyz"),
        str(tmp_path / "log"),
        "--key",
        str(key),
    ]
    out = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert "1 of 1 approvals carry a proof by the approver's passkey, and it is right" in out


def test_a_wrong_or_missing_proof_is_said_before_the_secret_is_compared(
    stage: Stage, sams: Authenticator, entries: Any
) -> None:
    stage.set_policy("approval_passkey", 1)
    request = stage.submitted()
    for proof, said in (
        (None, "Approve with your passkey"),
        (Authenticator().answer(wanted(request)), "not enrolled"),
        (sams.with_wrong_signature(wanted(request)), "its signature is wrong"),
        (sams.answer(bytes(32)), "made for something else"),
    ):
        with pytest.raises(Invalid, match=said) as refused:
            approve(stage, request, proof)
        assert list(refused.value.field_errors) == ["passkey"]
    assert entries("gate:proposal:made", act="search:request") == []


def test_a_worker_runs_no_search_on_a_proof_that_a_captured_web_process_slipped_in(
    stage: Stage, sams: Authenticator, log_at_work: None, entries: Any
) -> None:
    """Mallory has the application's password and Sam's secret as it was typed, and not the passkey."""
    request = stage.submitted()
    sam = stage.cast.sam
    secret = stage.cast.secrets[sam.id].replace("-", "")
    with database.connect("app") as own:
        proposal = client.propose(
            own,
            act="search:request",
            params=bytes.fromhex(request.params),
            approver=sam.id,
            secret=secret,
            subject=request.id,
        )
        assert client.approve_by_passkey(own, proposal, sams.with_wrong_signature(wanted(request)))
    approvals.advance(request)
    stage.run(request)
    assert request.state == "failed"
    assert "its signature is wrong" in request.problem
    assert len(entries("gate:approval:disputed")) == 1
    assert entries("search:probe:bound") == []


def test_the_page_takes_what_the_browser_hands_over(stage: Stage, sams: Authenticator, entries: Any) -> None:
    request = stage.submitted()
    sam = stage.cast.sam
    browser = Client()
    browser.force_login(sam)
    address = reverse("approval", args=[request.pk])
    page = browser.get(address).content.decode()
    assert "Approve with passkey" in page
    assert encode(wanted(request)) in page
    proof = sams.answer(wanted(request))
    said = {
        "rawId": encode(proof.credential),
        "response": {
            "authenticatorData": encode(proof.authenticator_data),
            "clientDataJSON": encode(proof.client_data),
            "signature": encode(proof.signature),
        },
    }
    for broken in ("x", "[]", "{}", json.dumps(said | {"rawId": 7}), json.dumps(said | {"rawId": "é"})):
        answer = browser.post(address, {"secret": stage.cast.secrets[sam.id], "passkey": broken})
        assert answer.status_code == 422
        assert "cannot be read" in answer.content.decode()
    answer = browser.post(address, {"secret": stage.cast.secrets[sam.id], "passkey": json.dumps(said)})
    assert answer.status_code == 302
    [entry] = entries("search:request:approved")
    assert entry["approval_proof"] == "passkey"


def test_only_a_passkey_of_the_account_with_this_fingerprint_is_enrolled(
    stage: Stage, sams: Authenticator, entries: Any
) -> None:
    for fingerprint, said in (("12", "40 digits"), ("0" * 40, "no passkey")):
        with pytest.raises(CommandError, match=said):
            call_command("enrol_passkey", stage.cast.sam.username, fingerprint=fingerprint)
    assert len(entries("gate:passkey:enrolled")) == 1
    call_command("revoke_passkeys", stage.cast.sam.username)
    assert len(entries("gate:passkey:revoked")) == 1
    request = stage.submitted()
    assert approvals.passkey_options(stage.cast.sam, request) is None
