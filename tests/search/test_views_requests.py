"""Requesting a search through the web: one page, nothing lost, every refusal with its status."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from core.models import Job, User
from core.portraits import portrait_jpeg
from search import cases, intake, requests
from search.models import SearchRequest
from tests.search.stage import NUMBER, PEOPLE, STORY, Stage

Entries = Callable[..., list[dict[str, Any]]]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def officer(stage: Stage) -> Client:
    return signed_in(stage.cast.olivia)


def typed(stage: Stage, **changes: Any) -> dict[str, Any]:
    return {
        "case_number": NUMBER,
        "offence": "robbery",
        "purpose": "identify_suspect",
        "legal_basis": "probable_cause",
        "justification": STORY,
        "gallery": str(stage.gallery.pk),
        "probe_kind": "photo",
        **changes,
    }


def photo(person: int = PEOPLE[0]) -> SimpleUploadedFile:
    return SimpleUploadedFile("probe.jpg", portrait_jpeg(person, 1), "image/jpeg")


def submit(client: Client, draft: SearchRequest, data: dict[str, Any]) -> Any:
    return client.post(reverse("search_edit", args=[draft.pk]), {**data, "do": "submit"})


def test_a_search_is_requested_on_one_page(stage: Stage, officer: Client) -> None:
    answer = officer.post(reverse("search_new"), {**typed(stage), "probe": photo(), "do": "submit"})
    draft = SearchRequest.objects.get()
    # The photo has just come: nothing is refused, the page shows it first.
    assert answer.status_code == 302
    assert answer["Location"] == reverse("search_edit", args=[draft.pk]) + "#photo"
    checking = officer.get(reverse("search_edit", args=[draft.pk])).content.decode()
    assert "being checked for faces" in checking
    assert "What happened, where and when" in checking
    stage.checked(draft)
    assert "One face was found" in officer.get(reverse("search_photo", args=[draft.pk])).content.decode()
    answer = submit(officer, draft, typed(stage, chosen_face="1"))
    assert answer["Location"] == reverse("search", args=[draft.pk])
    draft.refresh_from_db()
    assert draft.state == "awaiting_approval"


def test_opening_the_page_makes_no_draft(officer: Client) -> None:
    assert officer.get(reverse("search_new")).status_code == 200
    assert not SearchRequest.objects.exists()


def test_the_page_of_a_case_starts_a_search_with_its_number_and_offence(officer: Client) -> None:
    page = officer.get(reverse("search_new") + f"?case={NUMBER}").content.decode()
    assert f'value="{NUMBER}"' in page
    assert '<option value="robbery" selected>' in page


# What is changed in a request that is otherwise fine, the field that is named, and the sentence.
WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"case_number": ""}, "case_number", "Enter the case number"),
    ({"case_number": "2026-99999"}, "case_number", "No case has this number"),
    ({"purpose": ""}, "purpose", "Choose the purpose"),
    ({"offence": ""}, "offence", "Choose the offence"),
    ({"legal_basis": ""}, "legal_basis", "Choose the legal basis"),
    ({"justification": ""}, "justification", "Write why"),
    ({"justification": "Suspect photo."}, "justification", "at least 120 characters"),
    ({"gallery": ""}, "gallery", "Choose a gallery"),
    ({"gallery": "no-such-gallery"}, "gallery", "Choose a gallery"),
    ({"k": "10000"}, "k", "Ask for 1 to 50 candidates"),
    ({"threshold": "0"}, "threshold", "too low"),
    ({"probe_kind": "sketch"}, "probe", "sketch"),
]


def test_what_is_missing_or_wrong_is_said_at_its_field_and_logged(
    stage: Stage, officer: Client, entries: Entries
) -> None:
    for changes, field, sentence in WRONG:
        draft = stage.drafted()
        data = typed(stage, chosen_face="1", **changes)
        answer = submit(officer, draft, data)
        page = answer.content.decode()
        assert answer.status_code == 422, changes
        assert "This search was not run" in page, changes
        assert f'href="#id_{field}_field"' in page, changes
        assert sentence in page, changes
        assert len(entries("search:request:refused", request=draft.pk)) == 1, changes
        draft.refresh_from_db()
        assert draft.state == "draft"
        # Nothing is lost: neither the words nor the photo.
        again = officer.get(reverse("search_edit", args=[draft.pk])).content.decode()
        assert data["justification"][:40] in again.replace("&#x27;", "'"), changes
        assert "One face was found" in again, changes
        if "gallery" not in changes:
            assert f'<option value="{stage.gallery.pk}" selected>' in again, changes


def test_a_request_without_a_photo_is_refused_and_says_so(stage: Stage, officer: Client, entries: Entries) -> None:
    answer = officer.post(reverse("search_new"), {**typed(stage), "do": "submit"})
    assert answer.status_code == 422
    assert "Attach the photo" in answer.content.decode()
    assert len(entries("search:request:refused")) == 1


def test_a_number_that_cannot_be_read_is_a_form_error_and_keeps_everything_else(stage: Stage, officer: Client) -> None:
    draft = stage.drafted()
    answer = submit(officer, draft, typed(stage, k="many"))
    assert answer.status_code == 422
    assert STORY in answer.content.decode().replace("&#x27;", "'")
    draft.refresh_from_db()
    assert requests.typed(draft).justification == STORY


def test_somebody_elses_case_is_refused_with_403(stage: Stage, officer: Client, entries: Entries) -> None:
    cases.assign(by=stage.cast.sam, case=stage.case, officers=[stage.cast.oscar])
    draft = stage.drafted()
    answer = submit(officer, draft, typed(stage))
    assert answer.status_code == 403
    assert "You are not assigned to this case" in answer.content.decode()
    assert reverse("search_edit", args=[draft.pk]) in answer.content.decode()
    assert entries("search:request:refused", request=draft.pk)[0]["reasons"] == ["case:not_assigned"]


def test_expired_training_is_refused_with_403(stage: Stage, officer: Client) -> None:
    User.objects.filter(pk=stage.cast.olivia.pk).update(training_until=timezone.now().date() - timedelta(days=1))
    draft = stage.drafted()
    answer = submit(officer, draft, typed(stage))
    assert answer.status_code == 403
    assert "training" in answer.content.decode()
    assert "This search was not run" in answer.content.decode()


def test_a_closed_case_is_refused_with_409(stage: Stage, officer: Client) -> None:
    draft = stage.drafted()
    cases.close(by=stage.cast.sam, case=stage.case)
    answer = submit(officer, draft, typed(stage))
    assert answer.status_code == 409
    assert "The case is closed since" in answer.content.decode()


def test_several_rules_are_said_at_once(stage: Stage, officer: Client) -> None:
    draft = requests.draft(by=stage.cast.olivia)
    page = submit(officer, draft, {}).content.decode()
    for sentence in ("Enter the case number", "Choose the purpose", "Attach the photo", "Choose a gallery"):
        assert sentence in page


def test_a_request_that_was_submitted_cannot_be_submitted_again(
    stage: Stage, officer: Client, entries: Entries
) -> None:
    request = stage.submitted()
    answer = submit(officer, request, typed(stage, justification="Something else altogether."))
    assert answer.status_code == 409
    assert requests.typed(request).justification == STORY
    assert entries("search:request:refused", request=request.pk)[0]["reasons"] == ["request:used"]
    assert officer.get(reverse("search_edit", args=[request.pk]))["Location"] == reverse("search", args=[request.pk])


def bomb() -> bytes:
    written = io.BytesIO()
    Image.new("1", (9000, 9000)).save(written, "PNG")
    return written.getvalue()


def test_a_file_that_is_no_usable_photo_is_a_sentence_and_loses_nothing(stage: Stage, officer: Client) -> None:
    files = {
        "text": b"just words",
        "truncated": portrait_jpeg(0, 0)[:2000],
        "too many pixels": bomb(),
        "zeros": b"\x00" * 1000,
        "empty": b"",
    }
    for what, data in files.items():
        probe = SimpleUploadedFile("probe.jpg", data)
        answer = officer.post(reverse("search_new"), {**typed(stage), "probe": probe, "do": "save"})
        page = answer.content.decode()
        assert answer.status_code == 422, what
        assert 'id="id_probe_error"' in page, what
        assert STORY in page.replace("&#x27;", "'"), what
        draft = SearchRequest.objects.latest("created_at")
        assert requests.typed(draft).justification == STORY, what
    assert not Job.objects.filter(kind=intake.PROBE_CHECK).exists()


def test_a_document_of_a_wrong_kind_is_refused_and_the_rest_is_kept(stage: Stage, officer: Client) -> None:
    file = SimpleUploadedFile("order.exe", b"MZ\x90")
    answer = officer.post(
        reverse("search_new"),
        {**typed(stage), "attachments": file, "attachment_kind": "court_order", "probe": photo(), "do": "save"},
    )
    assert answer.status_code == 422
    draft = SearchRequest.objects.get()
    assert not draft.attachments.exists()
    assert Job.objects.filter(kind=intake.PROBE_CHECK, subject=draft.pk).exists()


def test_one_of_several_faces_is_chosen_by_its_number(stage: Stage, officer: Client) -> None:
    from tests.browser.world import several_faces

    draft = stage.drafted(data=several_faces())
    page = officer.get(reverse("search_edit", args=[draft.pk])).content.decode()
    assert page.count('name="chosen_face"') == 3
    for number in (1, 2, 3):
        face = officer.get(reverse("probe_face", args=[draft.pk, number]))
        assert Image.open(io.BytesIO(face.content)).format == "JPEG"
    assert officer.get(reverse("probe_face", args=[draft.pk, 4])).status_code == 404
    # Without a choice the page asks for one; a choice that is not there is an error at the choice.
    assert submit(officer, draft, typed(stage)).status_code == 302
    draft.refresh_from_db()
    assert draft.state == "draft"
    wrong = submit(officer, draft, typed(stage, chosen_face="11"))
    assert wrong.status_code == 422
    assert "There is no face 11" in wrong.content.decode()
    assert submit(officer, draft, typed(stage, chosen_face="2")).status_code == 302
    draft.refresh_from_db()
    assert (draft.state, draft.chosen_face) == ("awaiting_approval", 2)


def test_the_photo_is_seen_by_those_who_decide_and_by_nobody_else(stage: Stage) -> None:
    cast = stage.cast
    request = stage.submitted()
    address = reverse("probe_image", args=[request.pk])
    for user in (cast.olivia, cast.sam, cast.cora, cast.erin):
        answer = signed_in(user).get(address)
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
    for user in (cast.oscar, cast.xavier):
        assert signed_in(user).get(address).status_code == 404
    for user in (cast.bea, cast.axel, cast.carl, cast.ada):
        assert signed_in(user).get(address).status_code == 403


def test_the_rules_change_with_purpose_offence_and_emergency(officer: Client) -> None:
    address = reverse("search_requirements")
    plain = officer.get(address, {"purpose": "identify_suspect", "offence": "robbery"}).content.decode()
    assert "Utah Code 77-23e-103(2)(b)" in plain
    assert "Tell what happened in at least 120 characters" in plain
    assert 'hx-swap-oob="true"' in plain
    urgent = officer.get(
        address, {"purpose": "imminent_threat", "offence": "robbery", "emergency": "on"}
    ).content.decode()
    assert "within 24 hours" in urgent
    minor = officer.get(address, {"purpose": "identify_suspect", "offence": "shoplifting"}).content.decode()
    assert "The case must concern one of" in minor


def test_a_law_that_was_not_checked_says_so(stage: Stage, officer: Client) -> None:
    stage.cast.agency.law_pack = "washington"
    stage.cast.agency.save()
    page = officer.get(reverse("search_new")).content.decode()
    assert "check the primary text" in page.lower()


def test_without_a_law_pack_the_page_says_that_nothing_may_be_searched(stage: Stage, officer: Client) -> None:
    stage.cast.agency.law_pack = "atlantis"
    stage.cast.agency.save()
    assert "Without rules nothing may be searched" in officer.get(reverse("search_new")).content.decode()
    answer = submit(officer, stage.drafted(), typed(stage))
    assert answer.status_code == 422
    assert "no law pack" in answer.content.decode()


def test_a_draft_is_discarded_and_a_waiting_request_withdrawn(stage: Stage, officer: Client) -> None:
    for request in (stage.drafted(), stage.submitted(PEOPLE[1])):
        assert officer.post(reverse("search_discard", args=[request.pk])).status_code == 302
        request.refresh_from_db()
        assert request.state == "withdrawn"
        assert officer.post(reverse("search_discard", args=[request.pk])).status_code == 409


def test_a_colleague_sees_neither_draft_nor_request(stage: Stage) -> None:
    client = signed_in(stage.cast.oscar)
    for request in (stage.drafted(), stage.submitted(PEOPLE[1])):
        assert client.get(reverse("search", args=[request.pk])).status_code == 404
        assert client.get(reverse("search_edit", args=[request.pk])).status_code == 404
    assert "There is no search for you" in client.get(reverse("searches")).content.decode()
