"""Court links: what is behind one proves itself elsewhere and names nobody; it ends, and every use is an entry."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.log import journal, verifier_keys
from audit.log.verify import main
from audit.models import CourtLink
from audit.oversight import court_links
from core import people
from core.exceptions import Conflict, NotAllowed, NotFound, TooMany
from search import cases, photo_views, requests
from search.models import SearchRequest
from tests.api_client import Api
from tests.core.log_entries import entries
from tests.people import Cast

Pump = Callable[[], None]
NUMBER = "2026-00147"


@pytest.fixture
def search(cast: Cast, pump: Pump) -> SearchRequest:
    """A search of Olivia's with a request entry and an entry that it was held, in the signed log."""
    cache.clear()
    case = cases.open_case(by=cast.sam, number=NUMBER, offence="robbery", officers=[cast.olivia])
    found = requests.draft(by=cast.olivia)
    SearchRequest.objects.filter(pk=found.pk).update(
        case=case,
        state="held",
        purpose="identify_suspect",
        offence="robbery",
        law_pack="default",
        params="0" * 64,
        submitted_at=timezone.now(),
        expires_at=timezone.now() + timedelta(hours=1),
    )
    with transaction.atomic():
        journal.record(
            "search:request:submitted",
            request=found.pk,
            case=case.pk,
            requester=cast.olivia.pk,
            purpose="identify_suspect",
            offence="robbery",
            legal_basis="investigation",
            gallery=uuid.uuid4(),
            edition=1,
            emergency=False,
            law_pack="default",
            faces=1,
            vault_record=found.pk,
            values={"case_number": NUMBER, "justification": "The tall man broke the window."},
            actor=cast.olivia.pk,
            role="officer",
        )
    pump()
    found.refresh_from_db()
    return found


def address(secret: str, name: str = "court_receipts", *more: str) -> str:
    return reverse(name, args=[secret, *more])


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else answer.content


def test_an_officer_makes_a_link_and_a_court_checks_the_receipt_without_an_account(
    cast: Cast, search: SearchRequest, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client.force_login(cast.olivia)
    made = client.post(reverse("court_links", args=[search.pk]), {"recipient": "court", "days": "30"})
    assert made.status_code == 201
    (where,) = re.findall(r"http://testserver(/receipts/[^<]+)", made.content.decode())
    court = Client()
    page = court.get(where)
    text = page.content.decode()
    assert page.status_code == 200
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page.headers["Cache-Control"]
    assert page.headers["X-Robots-Tag"].startswith("noindex")
    (submitted,) = entries("search:request:submitted")
    assert "The search was requested" in text
    files = {}
    for kind in ("tlog-proof", "entry.json"):
        answer = court.get(f"{where}request.{kind}")
        assert answer.status_code == 200
        files[kind] = tmp_path / f"request.{kind}"
        files[kind].write_bytes(answer.content)
    key = str(verifier_keys.published()[0])
    assert main(["--key", key, "--receipt", str(files["tlog-proof"]), "--entry", str(files["entry.json"])]) == 0
    uses = entries("search:court_link:used")
    assert [use["what"] for use in uses] == ["page", "receipt", "entry"]
    assert uses[1]["entry"] == submitted["id"]
    assert all("actor" not in use for use in uses)


def test_nothing_personal_is_behind_a_link(cast: Cast, search: SearchRequest, client: Client) -> None:
    link, secret = court_links.make(by=cast.bea, request=search, recipient="defence_counsel")
    shown = body(client.get(address(secret)))
    with zipfile.ZipFile(io.BytesIO(body(client.get(address(secret, "court_receipts_zip"))))) as archive:
        shown += b"".join(archive.read(name) for name in archive.namelist() if not name.endswith(".pyz"))
    for word in (NUMBER, "Olivia", "olivia", "Orr", "Sam", "Stone", "Bea", "tall man", str(cast.agency)):
        assert word.encode() not in shown, word
    assert secret.encode() not in link.digest.encode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_courtlink WHERE audit_courtlink::text LIKE %s", [f"%{secret}%"])
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM log.entry WHERE convert_from(body, 'UTF8') LIKE %s", [f"%{secret}%"])
        assert cursor.fetchone() == (0,)


def test_the_zip_file_checks_itself_as_its_text_says(
    cast: Cast, search: SearchRequest, client: Client, tmp_path: Path
) -> None:
    _, secret = court_links.make(by=cast.sam, request=search, recipient="court")
    with zipfile.ZipFile(io.BytesIO(body(client.get(address(secret, "court_receipts_zip"))))) as archive:
        archive.extractall(tmp_path)
    text = (tmp_path / "HOW-TO-CHECK.txt").read_text().replace("\\\n", " ")
    (command,) = [line.split() for line in text.splitlines() if "--receipt" in line]
    words = [word.strip("'") for word in command[1:]]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("OK size=")
    assert client.get(address(secret, "court_verifier")).content == (tmp_path / "glasscase-verify.pyz").read_bytes()


def test_a_wrong_an_ended_and_a_revoked_link_answer_the_same(cast: Cast, search: SearchRequest, client: Client) -> None:
    expired, old = court_links.make(by=cast.olivia, request=search, recipient="court")
    revoked, taken = court_links.make(by=cast.olivia, request=search, recipient="court")
    CourtLink.objects.filter(pk=expired.pk).update(
        made_at=timezone.now() - timedelta(days=3), expires_at=timezone.now() - timedelta(seconds=1)
    )
    court_links.revoke(by=cast.olivia, link=revoked)
    pages = []
    for secret in ("A" * 43, "x", "%00", "ä" * 43, old, taken):
        for name, more in (("court_receipts", ()), ("court_receipt", ("request",)), ("court_receipts_zip", ())):
            answer = client.get(address(secret, name, *more))
            assert answer.status_code == 404
            pages.append(re.sub(r"csrf[^>]+>", "", answer.content.decode()))
    assert len(set(pages)) == 1
    assert "has ended or was revoked" in pages[0]
    assert entries("search:court_link:used") == []
    said = [(one["link"], one["reason"]) for one in entries("search:court_link:refused")]
    assert said == [(str(expired.pk), "expired")] * 3 + [(str(revoked.pk), "revoked")] * 3
    assert entries("search:court_link:revoked")[0]["link"] == str(revoked.pk)


def test_a_receipt_that_is_not_there_is_not_found(cast: Cast, search: SearchRequest, client: Client) -> None:
    _, secret = court_links.make(by=cast.olivia, request=search, recipient="court")
    assert client.get(address(secret, "court_receipt", "result")).status_code == 404
    assert client.get(address(secret, "court_entry", "nonsense")).status_code == 404
    assert client.post(address(secret)).status_code == 405


def test_who_may_make_and_revoke(cast: Cast, search: SearchRequest, client: Client) -> None:
    for who in (cast.oscar, cast.erin, cast.cora, cast.carl, cast.axel, cast.ada, cast.xavier):
        with pytest.raises(NotAllowed):
            court_links.make(by=who, request=search, recipient="court")
        client.force_login(who)
        assert client.post(
            reverse("court_links", args=[search.pk]), {"recipient": "court", "days": "7"}
        ).status_code in (
            403,
            404,
        )
    boards, secret = court_links.make(by=cast.bea, request=search, recipient="court")
    own, _ = court_links.make(by=cast.olivia, request=search, recipient="court")
    for who in (cast.olivia, cast.sam):
        with pytest.raises(NotAllowed):
            court_links.revoke(by=who, link=boards)
    client.force_login(cast.sam)
    assert client.post(reverse("court_link_revoke", args=[search.pk, own.pk])).status_code == 302
    with pytest.raises(Conflict):
        court_links.revoke(by=cast.bea, link=own)
    assert court_links.use(secret, "page")[0] == boards
    assert [one["role"] for one in entries("search:court_link:made")] == ["board", "officer"]


def test_a_form_that_is_wrong_makes_nothing(cast: Cast, search: SearchRequest, client: Client) -> None:
    client.force_login(cast.olivia)
    for wrong in ({}, {"recipient": "x", "days": "30"}, {"recipient": "court", "days": "99999"}):
        assert client.post(reverse("court_links", args=[search.pk]), wrong).status_code == 422
    assert entries("search:court_link:made") == []


def test_without_a_receipt_there_is_no_link(cast: Cast, pump: Pump) -> None:
    draft = requests.draft(by=cast.olivia)
    with pytest.raises(Conflict, match="no receipt"):
        court_links.make(by=cast.olivia, request=draft, recipient="court")


def test_a_link_is_not_used_without_its_entry(cast: Cast, search: SearchRequest, client: Client, as_role: Any) -> None:
    _, secret = court_links.make(by=cast.olivia, request=search, recipient="court")
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    answer = client.get(address(secret))
    assert answer.status_code == 503
    assert b"entry number" not in answer.content.lower()


def test_uses_are_limited_by_link_and_by_address(
    cast: Cast, search: SearchRequest, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = court_links.make(by=cast.olivia, request=search, recipient="court")
    monkeypatch.setattr(court_links, "MOST_USES", 2)
    assert [client.get(address(secret)).status_code for _ in range(3)] == [200, 200, 429]
    with pytest.raises(TooMany):
        court_links.use(secret, "page")
    assert len(entries("search:court_link:used")) == 2
    monkeypatch.setattr("audit.views.court._A_MINUTE", 5)
    statuses = [client.get(address("A" * 43)).status_code for _ in range(12)]
    assert statuses[-1] == 429
    assert Client(REMOTE_ADDR="192.0.2.9").get(address("A" * 43)).status_code == 404


def test_an_ended_link_cannot_flood_the_log(cast: Cast, search: SearchRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    link, secret = court_links.make(by=cast.olivia, request=search, recipient="court")
    court_links.revoke(by=cast.olivia, link=link)
    monkeypatch.setattr(court_links, "MOST_REFUSALS", 2)
    for _ in range(4):
        with pytest.raises(NotFound):
            court_links.use(secret, "page")
    assert len(entries("search:court_link:refused")) == 2


def test_whoever_holds_the_applications_password_cannot_delete_a_link(
    cast: Cast, search: SearchRequest, mallory: psycopg.Connection
) -> None:
    court_links.make(by=cast.olivia, request=search, recipient="court")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute("DELETE FROM audit_courtlink")


def test_a_link_outlives_the_account_that_made_it(cast: Cast, search: SearchRequest) -> None:
    _, secret = court_links.make(by=cast.olivia, request=search, recipient="court")
    people.deactivate(by=None, user=cast.olivia)
    assert court_links.use(secret, "page")[1]


def test_scripts_make_list_and_revoke_links(cast: Cast, search: SearchRequest, client: Client) -> None:
    caller = Api().as_(cast.sam)
    where = f"/requests/{search.pk}/court-links/"
    made = caller.post(where, 201, recipient="defence_counsel", days=7)
    assert client.get(made["url"].removeprefix("http://testserver")).status_code == 200
    (listed,) = caller.get(where)
    assert listed["id"] == made["id"]
    assert "url" not in listed
    assert caller("DELETE", f"{where}{made['id']}/").status_code == 204
    assert client.get(made["url"].removeprefix("http://testserver")).status_code == 404
    assert caller.post(where, 422, recipient="a friend")["fields"].keys() == {"recipient"}


def test_looking_at_the_photo_of_a_search_is_an_entry_once_an_hour(cast: Cast, search: SearchRequest) -> None:
    for who in (cast.sam, cast.sam, cast.erin):
        photo_views.record(who, search)
    assert [one["viewer"] for one in entries("search:photo:viewed")] == [str(cast.sam.pk), str(cast.erin.pk)]
    photo_views.record(cast.olivia, requests.draft(by=cast.olivia))
    assert len(entries("search:photo:viewed")) == 2
