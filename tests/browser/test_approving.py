"""Approving with a passkey in a browser, whose authenticator is Chromium's virtual one."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.test import Client
from django.urls import reverse

from core import database
from tests import kits
from tests.authenticator import Authenticator
from tests.browser.conftest import DESKTOP
from tests.search.stage import Stage


@pytest.fixture
def stage(database: kits.Clone, log_at_work: None) -> Stage:
    """An agency that can search."""
    found: Stage = database.made["stage"]
    return found


def test_an_approver_approves_with_a_passkey_and_the_search_runs(chrome: Any, address: str, stage: Stage) -> None:
    # A passkey belongs to a name, never to a number.
    address = address.replace("127.0.0.1", "localhost")
    key, sam = Authenticator(), stage.cast.sam
    with database.connect("registrar") as registrar:
        site = hashlib.sha256(b"localhost").digest()
        registrar.execute("SELECT gate.enrol_passkey(%s, %s, %s, %s)", [sam.id, key.credential, key.key, site])
    stage.set_policy("approval_passkey", 1)
    request = stage.submitted()
    client = Client()
    client.force_login(sam)
    context = chrome.new_context(base_url=address, viewport=DESKTOP)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
    page = context.new_page()
    tools = context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    virtual = tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
    private = key.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    credential = {
        "credentialId": base64.b64encode(key.credential).decode(),
        "isResidentCredential": False,
        "rpId": "localhost",
        "privateKey": base64.b64encode(private).decode(),
        "signCount": 0,
    }
    tools.send("WebAuthn.addCredential", {"authenticatorId": virtual, "credential": credential})

    page.goto(reverse("approval", args=[request.pk]))
    assert page.get_by_role("button", name="Approve without passkey").count() == 0
    page.get_by_label("Your approval secret").fill(stage.cast.secrets[sam.id])
    page.get_by_role("button", name="Approve with passkey").click()
    page.wait_for_url(f"**{reverse('search', args=[request.pk])}")
    context.close()
    assert stage.run(request) == "done"
    assert request.state == "done"
