"""Pages of cases, galleries, limits and law packs, through the web."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core.models import User
from search import cases
from search.models import Case, Gallery
from tests.people import Cast
from tests.search.stage import Stage


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_supervisor_opens_a_case_and_assigns_its_officers(cast: Cast) -> None:
    answer = signed_in(cast.sam).post(
        reverse("case_open"), {"case_number": " 2026 - 7 ", "offence": "robbery", "officers": [str(cast.olivia.pk)]}
    )
    case = Case.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == reverse("case", args=[case.pk])
    assert (case.number, case.status, list(case.officers.all())) == ("2026-7", "open", [cast.olivia])


@pytest.mark.parametrize(
    ("field", "sentence"), [("case_number", "Enter the case number"), ("offence", "Choose the offence")]
)
def test_a_case_without_number_or_offence_is_not_opened(cast: Cast, field: str, sentence: str) -> None:
    data = {"case_number": "2026-7", "offence": "robbery", field: ""}
    answer = signed_in(cast.sam).post(reverse("case_open"), data)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert f'href="#id_{field}_field"' in answer.content.decode()
    assert not Case.objects.exists()


def test_a_number_that_is_taken_is_said_at_the_field(cast: Cast) -> None:
    cases.open_case(by=cast.sam, number="2026-7", offence="robbery")
    answer = signed_in(cast.sue).post(reverse("case_open"), {"case_number": "2026-7", "offence": "arson_occupied"})
    assert answer.status_code == 422
    assert "open here already" in answer.content.decode()
    assert Case.objects.count() == 1


def test_an_officers_case_is_confirmed_from_its_page(cast: Cast) -> None:
    officer = signed_in(cast.olivia)
    officer.post(reverse("case_open"), {"case_number": "2026-8", "offence": "robbery"})
    case = Case.objects.get()
    assert "waits for a supervisor" in officer.get(reverse("case", args=[case.pk])).content.decode()
    assert officer.post(reverse("case_confirm", args=[case.pk])).status_code == 403
    supervisor = signed_in(cast.sam)
    assert "Waiting for your confirmation" in supervisor.get(reverse("cases")).content.decode()
    supervisor.post(reverse("case_confirm", args=[case.pk]))
    case.refresh_from_db()
    assert case.status == "open"


def test_closing_twice_is_a_conflict_and_reopening_is_possible(cast: Cast) -> None:
    case = cases.open_case(by=cast.sam, number="2026-9", offence="robbery")
    client = signed_in(cast.sam)
    assert client.post(reverse("case_close", args=[case.pk])).status_code == 302
    again = client.post(reverse("case_close", args=[case.pk]))
    assert again.status_code == 409
    assert "closed already" in again.content.decode()
    assert client.post(reverse("case_assign", args=[case.pk]), {"officers": []}).status_code == 409
    client.post(reverse("case_reopen", args=[case.pk]))
    case.refresh_from_db()
    assert case.status == "open"


def test_setting_the_officers_sets_exactly_the_ticked_ones(cast: Cast) -> None:
    case = cases.open_case(by=cast.sam, number="2026-10", offence="robbery", officers=[cast.olivia])
    address = reverse("case_assign", args=[case.pk])
    signed_in(cast.sam).post(address, {"officers": [str(cast.oscar.pk)]})
    assert list(case.officers.all()) == [cast.oscar]
    wrong = signed_in(cast.sam).post(address, {"officers": [str(cast.xavier.pk)]})
    assert wrong.status_code == 422
    assert list(case.officers.all()) == [cast.oscar]


def test_another_agencys_case_is_not_there(cast: Cast) -> None:
    case = cases.open_case(by=cast.sam, number="2026-11", offence="robbery")
    assert signed_in(cast.xavier).get(reverse("case", args=[case.pk])).status_code == 404
    assert signed_in(cast.oscar).get(reverse("case", args=[case.pk])).status_code == 404


def test_a_custodian_creates_a_gallery_and_is_told_what_is_missing(cast: Cast) -> None:
    client = signed_in(cast.carl)
    wrong = client.post(reverse("gallery_create"), {"name": "", "legal_basis": "", "retention_days": ""})
    assert wrong.status_code == 422
    for field in ("name", "legal_basis", "retention_days"):
        assert f'id="id_{field}_error"' in wrong.content.decode(), field
    made = client.post(
        reverse("gallery_create"), {"name": "bookings", "legal_basis": "booking", "retention_days": "365"}
    )
    gallery = Gallery.objects.get()
    assert made["Location"] == reverse("gallery", args=[gallery.pk])
    assert "There is no edition yet" in client.get(made["Location"]).content.decode()


def test_an_edition_is_switched_by_a_custodian_with_somebody_elses_secret(stage: Stage) -> None:
    cast = stage.cast
    client = signed_in(cast.carl)
    edition = 1
    address = reverse("edition_switch", args=[stage.gallery.pk, edition])

    def form(approver: User, secret: str) -> dict[str, str]:
        return {f"switch-{edition}-approver": str(approver.pk), f"switch-{edition}-secret": secret}

    assert client.post(address, form(cast.sam, "")).status_code == 422
    assert client.post(address, form(cast.carl, cast.secrets[cast.carl.id])).status_code == 422
    wrong = client.post(address, form(cast.sam, cast.secrets[cast.sue.id]))
    assert wrong.status_code == 422
    assert cast.secrets[cast.sue.id] not in wrong.content.decode()
    assert client.post(address, form(cast.sam, cast.secrets[cast.sam.id])).status_code in (302, 409)
    page = client.get(reverse("gallery", args=[stage.gallery.pk])).content.decode()
    assert "Searched now" in page


def test_a_limit_needs_the_secrets_of_two_different_people(stage: Stage) -> None:
    from core.database import session
    from search.gate import client as gate

    cast = stage.cast
    client = signed_in(cast.ada)

    def form(**changes: Any) -> dict[str, Any]:
        return {
            "setting": "k_max",
            "value": "20",
            "approver_1": str(cast.sam.pk),
            "secret_1": cast.secrets[cast.sam.id],
            "approver_2": str(cast.sue.pk),
            "secret_2": cast.secrets[cast.sue.id],
        } | changes

    before = gate.settings(session())["k_max"]
    for changes in (
        {"approver_2": str(cast.sam.pk)},
        {"secret_2": ""},
        {"value": ""},
        {"setting": ""},
        {"value": "-1"},
    ):
        answer = client.post(reverse("limit_set"), form(**changes))
        assert answer.status_code == 422, changes
        assert cast.secrets[cast.sam.id] not in answer.content.decode()
        assert gate.settings(session())["k_max"] == before
    refused = client.post(reverse("limit_set"), form(secret_2=cast.secrets[cast.cora.id]))
    assert refused.status_code == 422
    assert "not the approval secret" in refused.content.decode()
    assert gate.settings(session())["k_max"] == before
    assert client.post(reverse("limit_set"), form()).status_code == 302
    assert gate.settings(session())["k_max"] == 20


def test_everybody_signed_in_reads_the_law_packs(cast: Cast) -> None:
    for user in cast.by_role.values():
        assert signed_in(user).get(reverse("law_packs")).status_code == 200
    page = signed_in(cast.axel).get(reverse("law_pack", args=["washington"])).content.decode()
    assert "RCW 43.386" in page
    assert "heck the primary text" in page
    assert signed_in(cast.axel).get(reverse("law_pack", args=["atlantis"])).status_code == 404


def test_a_demonstration_says_on_every_page_that_its_people_are_generated(cast: Cast, settings: Any) -> None:
    client = signed_in(cast.olivia)
    assert "generated people" not in client.get(reverse("home")).content.decode()
    settings.GLASSCASE_DEMO = True
    for page in (client.get(reverse("home")), client.get("/nothing/here/"), Client().get(reverse("account_login"))):
        assert "generated people" in page.content.decode()


def test_the_start_page_says_what_waits(cast: Cast) -> None:
    cases.open_case(by=cast.oscar, number="2026-12", offence="robbery")
    assert "1 waits" in signed_in(cast.sam).get(reverse("home")).content.decode()
    assert "waits" not in signed_in(cast.olivia).get(reverse("home")).content.decode()


def test_no_page_has_inline_style_or_script(cast: Cast) -> None:
    for user, name in ((cast.olivia, "search_new"), (cast.ada, "limits"), (cast.sam, "home")):
        page = signed_in(user).get(reverse(name)).content.decode()
        assert " style=" not in page
        assert "<style" not in page
        assert not re.search(r"<script(?![^>]* src=)", page)
        assert not re.search(r"\son[a-z]+=", page)


def test_an_unknown_thing_is_not_found_on_every_page(cast: Cast) -> None:
    client = signed_in(cast.sam)
    for name in ("case", "search", "approval", "gallery", "enrolment"):
        assert client.get(reverse(name, args=[uuid.uuid4()])).status_code == 404, name
