"""Approvals, holds, the path of a search, receipts and candidates, through the web."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.log import verifier_keys
from audit.log.proof import Receipt
from core.models import User
from search import requests
from search.models import SearchRequest
from tests.search.stage import OTHER_STORY, PEOPLE, STRANGER, Stage

Entries = Callable[..., list[dict[str, Any]]]
MARCH = (
    "Somebody threw a stone through the window of the town hall during the demonstration on Saturday. We want to know who "
    "took part in the protest march and who spoke at the rally, so that we can talk to each of the people in this photo."
)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_approver_sees_what_is_approved_and_approves_with_the_secret(stage: Stage, entries: Entries) -> None:
    cast = stage.cast
    request = stage.submitted()
    client = signed_in(cast.sam)
    assert str(request.pk)[:8] in client.get(reverse("approvals")).content.decode()
    address = reverse("approval", args=[request.pk])
    page = client.get(address).content.decode()
    for shown in (
        "2026-00147",
        "Robbery",
        "Identify a suspect",
        "Probable cause",
        "bookings",
        "0.900",
        "410 Oak Avenue",
    ):
        assert shown in page, shown
    assert client.post(address, {"secret": cast.secrets[cast.sam.id]})["Location"] == reverse(
        "search", args=[request.pk]
    )
    request.refresh_from_db()
    assert request.state == "ready"
    assert len(entries("search:request:approved", request=request.pk)) == 1


def test_a_wrong_secret_is_said_and_not_shown_again(stage: Stage, entries: Entries) -> None:
    cast = stage.cast
    request = stage.submitted()
    client = signed_in(cast.sam)
    address = reverse("approval", args=[request.pk])
    for secret, status in (("", 422), ("hunter2", 422), (cast.secrets[cast.sue.id], 422)):
        answer = client.post(address, {"secret": secret})
        assert answer.status_code == status, secret
        assert not secret or secret not in answer.content.decode()
    request.refresh_from_db()
    assert request.state == "awaiting_approval"
    assert entries("search:request:approved", request=request.pk) == []


def test_ones_own_request_is_refused_with_403_and_logged(stage: Stage, entries: Entries) -> None:
    cast = stage.cast
    User.objects.filter(pk=cast.olivia.pk).update(roles=["officer", "supervisor"])
    request = stage.submitted()
    client = signed_in(cast.olivia)
    assert "You asked for this search yourself" in client.get(reverse("approval", args=[request.pk])).content.decode()
    answer = client.post(reverse("approval", args=[request.pk]), {"secret": cast.secrets[cast.sam.id]})
    assert answer.status_code == 403
    assert "another person has to approve it" in answer.content.decode()
    assert entries("search:request:refused", request=request.pk)[0]["reasons"] == ["approval:own"]


def test_an_expired_request_is_refused_with_409(stage: Stage) -> None:
    request = stage.submitted()
    SearchRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    answer = signed_in(stage.cast.sam).post(
        reverse("approval", args=[request.pk]), {"secret": stage.cast.secrets[stage.cast.sam.id]}
    )
    assert answer.status_code == 409
    assert "expired" in answer.content.decode()


def test_turning_down_needs_a_reason(stage: Stage) -> None:
    request = stage.submitted()
    client = signed_in(stage.cast.sam)
    address = reverse("approval_reject", args=[request.pk])
    assert client.post(address, {"note": " "}).status_code == 422
    assert client.post(address, {"note": "The owner did not see his face."}).status_code == 302
    request.refresh_from_db()
    assert request.state == "rejected"
    assert client.post(address, {"note": "Again."}).status_code == 409
    page = signed_in(stage.cast.olivia).get(reverse("search", args=[request.pk])).content.decode()
    assert "turned it down" in page
    assert "has been asked" not in page
    assert "Examiners compare" not in page


def test_counsel_reads_why_a_search_is_held_and_decides(stage: Stage) -> None:
    cast = stage.cast
    client = signed_in(cast.cora)
    held = [stage.submitted(person, justification=MARCH) for person in PEOPLE[:2]]
    assert [one.state for one in held] == ["held", "held"]
    page = client.get(reverse("hold", args=[held[0].pk])).content.decode()
    assert "protest and speech" in page
    assert "took part in the protest march" in page
    assert client.post(reverse("hold", args=[held[0].pk]), {"note": "", "do": "uphold"}).status_code == 422
    client.post(reverse("hold", args=[held[0].pk]), {"note": "A march is no crime.", "do": "uphold"})
    client.post(reverse("hold", args=[held[1].pk]), {"note": "The stone is the crime.", "do": "clear"})
    for one, state in zip(held, ("refused", "awaiting_approval"), strict=True):
        one.refresh_from_db()
        assert one.state == state
    again = client.post(reverse("hold", args=[held[0].pk]), {"note": "I changed my mind.", "do": "clear"})
    assert again.status_code == 409


def test_a_photo_below_the_limits_is_accepted_by_a_supervisor_with_a_reason(stage: Stage) -> None:
    draft = stage.drafted()
    values = ["sharpness"]
    SearchRequest.objects.filter(pk=draft.pk).update(shortfalls=values)
    client = signed_in(stage.cast.sam)
    assert str(draft.pk)[:8] in client.get(reverse("approvals")).content.decode()
    address = reverse("photo_accept", args=[draft.pk])
    assert client.get(address).status_code == 200
    assert client.post(address, {"note": "ok"}).status_code == 422


def test_the_path_is_followed_while_the_search_runs(stage: Stage, log_at_work: None) -> None:
    cast = stage.cast
    request = stage.approved()
    client = signed_in(cast.olivia)
    page = client.get(reverse("search", args=[request.pk])).content.decode()
    assert "Waiting for a worker" in page
    assert 'http-equiv="refresh"' in page
    part = reverse("search_path", args=[request.pk])
    assert "HX-Refresh" not in client.get(part, {"was": "ready"})
    stage.run(request)
    assert client.get(part, {"was": "ready"})["HX-Refresh"] == "true"
    done = client.get(reverse("search", args=[request.pk])).content.decode()
    assert "Result in the signed log" in done
    assert 'http-equiv="refresh"' not in done
    assert "by Sam Stone" in done
    assert "Match score" not in done


def test_receipts_are_downloaded_and_verify_without_the_server(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Entries
) -> None:
    request = searched
    for user in (stage.cast.olivia, stage.cast.bea):
        client = signed_in(user)
        for kind, type_ in (("intent", "search:intent:filed"), ("result", "search:result:stored")):
            receipt = client.get(reverse("search_receipt", args=[request.pk, kind]))
            entry = client.get(reverse("search_entry", args=[request.pk, kind]))
            assert receipt["Content-Disposition"] == f'attachment; filename="{kind}.tlog-proof"'
            Receipt.parse(receipt.content).verify(entry.content, verifier_keys.published())
            assert json.loads(entry.content)["type"] == type_
    assert len(entries("search:receipt:downloaded", request=request.pk)) == 4
    assert client.get(reverse("search_receipt", args=[request.pk, "nothing"])).status_code == 404


def test_an_examiner_opens_the_candidates_and_each_opening_is_logged(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Entries
) -> None:
    cast = stage.cast
    request = searched
    client = signed_in(cast.erin)
    address = reverse("candidates", args=[request.pk])
    closed = client.get(address).content.decode()
    assert "G0000" not in closed
    assert entries("search:candidates:viewed", request=request.pk) == []
    page = client.post(address).content.decode()
    assert "Investigative lead only. Not an identification. Not probable cause." in page
    assert "not measured at this gallery size" in page
    assert "G0000" in page
    assert "%" not in page.split("<main", 1)[1].split("</main>", 1)[0]
    assert "match" not in page.lower().replace("match score", "").replace("false-match", "").replace("mismatch", "")
    [view] = entries("search:candidates:viewed", request=request.pk)
    assert view["viewer"] == str(cast.erin.pk)
    template = stage.templates[PEOPLE[0]]
    for name, kind in (("candidate_crop", "image/png"), ("candidate_photo", "image/jpeg")):
        own = client.get(reverse(name, args=[view["id"], template]))
        assert (own.status_code, own["Content-Type"]) == (200, kind)
        assert "no-store" in own["Cache-Control"]
        # Another examiner has to open the list themselves; a stranger's template is in no reading.
        assert signed_in(cast.ed).get(reverse(name, args=[view["id"], template])).status_code == 403
        assert client.get(reverse(name, args=[view["id"], uuid.uuid4()])).status_code in (403, 404, 409)
    assert client.get(reverse("probe_crop", args=[request.pk])).content.startswith(b"\x89PNG")
    assert client.get(reverse("probe_whole", args=[request.pk])).status_code == 200
    client.post(address)
    assert len(entries("search:candidates:viewed", request=request.pk)) == 2


def test_no_candidate_is_a_page_of_its_own(stage: Stage, log_at_work: None) -> None:
    request = stage.done(STRANGER, justification=OTHER_STORY)
    page = signed_in(stage.cast.erin).post(reverse("candidates", args=[request.pk])).content.decode()
    assert "No candidate at or above the threshold" in page
    assert "This is the normal result" in page
    assert "What it does not mean" in page


def test_candidates_are_closed_to_the_requester_and_before_the_result(stage: Stage) -> None:
    request = stage.submitted()
    assert signed_in(stage.cast.olivia).post(reverse("candidates", args=[request.pk])).status_code == 403
    assert signed_in(stage.cast.sam).get(reverse("candidates", args=[request.pk])).status_code == 403
    assert signed_in(stage.cast.erin).post(reverse("candidates", args=[request.pk])).status_code == 409


def test_without_the_log_nothing_is_opened(
    stage: Stage, searched: SearchRequest, settings: Any, log_at_work: None
) -> None:
    request = searched
    from core import database

    with database.connect("signer") as own:
        own.execute("SELECT logwork.freeze('a test')")
    answer = signed_in(stage.cast.erin).post(reverse("candidates", args=[request.pk]))
    assert answer.status_code == 503
    assert "G0000" not in answer.content.decode()


def test_an_erased_request_still_has_its_page(stage: Stage) -> None:
    from core import keystore

    request = stage.submitted()
    keystore.destroy(request.id)
    page = signed_in(stage.cast.olivia).get(reverse("search", args=[request.pk]))
    assert page.status_code == 200
    assert "not kept any more" in page.content.decode()
    assert signed_in(stage.cast.olivia).get(reverse("probe_image", args=[request.pk])).status_code == 404


def test_a_document_is_downloaded_and_never_shown(stage: Stage) -> None:
    draft = stage.drafted()
    filed = requests.attach(
        by=stage.cast.olivia, request=draft, kind="other", name="../../order <1>.pdf", data=b"%PDF-1.4\n"
    )
    answer = signed_in(stage.cast.olivia).get(reverse("search_document", args=[draft.pk, filed.pk]))
    assert answer.content == b"%PDF-1.4\n"
    assert answer["Content-Disposition"] == 'attachment; filename="....order_1.pdf"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("late", [False, True])
def test_an_emergency_is_documented_later(stage: Stage, late: bool) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    request = stage.submitted(purpose="imminent_threat", emergency=True)
    client = signed_in(stage.cast.olivia)
    assert "File a document" in client.get(reverse("search", args=[request.pk])).content.decode()
    file = SimpleUploadedFile("statement.pdf", b"%PDF-1.4\n" if late else b"MZ")
    answer = client.post(
        reverse("search_attach", args=[request.pk]), {"attachment_kind": "emergency_statement", "attachments": file}
    )
    assert answer.status_code == (302 if late else 422)
    assert request.attachments.count() == int(late)
