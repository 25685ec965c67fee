"""Reports on pages: listed, read, compared and downloaded; registered auditors; findings of the board."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from audit import comparison, reports
from audit.models import Evaluation, Finding
from core import people
from core.exceptions import NotAllowed, NotFound
from core.models import User
from tests import kits
from tests.api_client import Api, expect
from tests.audit import measured
from tests.core.log_entries import entries
from tests.people import PASSWORD, Cast

Portraits = Callable[..., Path]


def signed_in(user: User) -> Client:
    cache.clear()
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def kit() -> kits.Kit:
    return measured.KIT


@pytest.fixture
def evaluation(database: kits.Clone) -> Evaluation:
    return measured.of(database)


def test_an_auditor_finds_a_report_reads_its_rates_and_downloads_what_the_log_names(
    cast: Cast, evaluation: Evaluation
) -> None:
    axel = signed_in(cast.axel)
    listed = axel.get(reverse("reports"), {"face_model": evaluation.face_model, "verdict": "cannot_be_shown"})
    assert listed.status_code == 200
    assert evaluation.title in listed.content.decode()
    assert "No report fits" in axel.get(reverse("reports"), {"verdict": "met"}).content.decode()
    assert axel.get(reverse("reports"), {"verdict": "splendid"}).status_code == 422

    page = axel.get(reverse("report", args=[evaluation.pk])).content.decode()
    record = json.loads((Path(evaluation.folder) / "report.json").read_bytes())
    fmr = record["overall"]["fmr"]
    assert f"{fmr['errors']:,} of {fmr['trials']:,}" in page
    assert "says nothing about real" in page.lower() or "generated" in page.lower()
    assert not entries("evaluation:report:downloaded"), "reading the page is no download"

    answer = axel.post(reverse("report_file", args=[evaluation.pk, "report.json"]))
    content = measured.downloaded(answer)
    assert hashlib.sha256(content).hexdigest() == evaluation.report_sha256
    assert evaluation.report_sha256 in page
    [entry] = entries("evaluation:report:downloaded")
    assert (entry["run"], entry["file"], entry["actor"]) == (str(evaluation.pk), "report.json", str(cast.axel.pk))
    assert axel.post(reverse("report_file", args=[evaluation.pk, "run.json.bak"])).status_code == 404
    figure = axel.get(reverse("report_figure", args=[evaluation.pk, "fmr_by_cohort_1.svg"]))
    assert figure["Content-Type"] == "image/svg+xml"
    assert b"<svg" in measured.downloaded(figure)
    assert axel.get(reverse("report_figure", args=[evaluation.pk, "report.json"])).status_code == 404


def test_a_record_that_was_edited_after_publication_is_not_shown(cast: Cast, evaluation: Evaluation) -> None:
    path = Path(evaluation.folder) / "report.json"
    path.write_bytes(path.read_bytes().replace(b'"errors": ', b'"errors":  ', 1))
    with pytest.raises(NotFound, match="not the one that was published"):
        reports.read(evaluation)
    shown = signed_in(cast.axel).get(reverse("report", args=[evaluation.pk]))
    assert shown.status_code == 404
    assert "oversight board" in shown.content.decode()


def test_two_reports_stand_beside_each_other_with_what_makes_them_hard_to_compare(
    cast: Cast, evaluation: Evaluation, portraits: Portraits
) -> None:
    other = measured.measure(cast, portraits(14, 2, 40))
    axel = signed_in(cast.axel)
    address = reverse("report_compare")
    page = axel.get(address, {"first": str(evaluation.pk), "second": str(other.pk)})
    assert page.status_code == 200
    text = page.content.decode()
    assert "measured on different photos" in text
    assert "no difference shown" in text or "cannot be compared" in text
    assert axel.get(address, {"first": str(other.pk), "second": str(other.pk)}).status_code == 422
    assert axel.get(address, {"first": "nonsense", "second": str(other.pk)}).status_code == 422
    same = reports.read(evaluation)
    assert not comparison.shifts(same, same)
    assert not [pair for pair in comparison.pairs(same, same) if pair.shifted]


def test_rates_count_as_shifted_only_where_each_lies_outside_the_others_interval() -> None:
    low = reports.Figure(0.01, 0.005, 0.02, 10, 1000, 50)
    high = reports.Figure(0.05, 0.03, 0.08, 50, 1000, 50)
    wide = reports.Figure(0.03, 0.001, 0.2, 3, 100, 5)
    none = reports.Figure(0.5, None, None, 1, 2, 1)
    assert comparison.Pair("", "x", "fmr", low, high).shifted
    assert comparison.Pair("", "x", "fmr", low, high).words == "higher in the second"
    assert comparison.Pair("", "x", "fmr", high, low).words == "lower in the second"
    assert not comparison.Pair("", "x", "fmr", low, wide).shifted
    assert not comparison.Pair("", "x", "fmr", none, low).shifted
    assert comparison.Pair("", "x", "fmr", None, low).words == "only in one report"


def test_nobody_makes_an_account_alone_unless_the_installation_allows_it(cast: Cast) -> None:
    assert Client().get(reverse("register")).status_code == 404
    with pytest.raises(NotAllowed):
        people.register(username="petra", full_name="Petra Public", password=PASSWORD)
    assert not User.objects.filter(username="petra").exists()


def test_a_registered_auditor_reads_reports_and_nothing_else(cast: Cast, evaluation: Evaluation, settings: Any) -> None:
    settings.GLASSCASE_AUDITOR_SIGNUP = True
    cache.clear()
    visitor = Client()
    assert "Make an account" in visitor.get(reverse("account_login")).content.decode()
    weak = visitor.post(reverse("register"), {"username": "petra", "full_name": "Petra Public", "password": "short"})
    assert weak.status_code == 422
    taken = visitor.post(reverse("register"), {"username": "Olivia", "full_name": "Petra Public", "password": PASSWORD})
    assert taken.status_code == 422
    assert "is taken" in taken.content.decode()
    made = visitor.post(reverse("register"), {"username": "Petra", "full_name": "Petra Public", "password": PASSWORD})
    assert made.status_code == 302
    petra = people.named("petra")
    assert (petra.roles, petra.agency) == (["registered_auditor"], None)
    [entry] = entries("core:user:registered")
    assert entry["user"] == str(petra.pk)
    assert set(entry["c"]) == {"username", "full_name"}, "the names are sealed"

    reader = signed_in(petra)
    assert reader.get(reverse("report", args=[evaluation.pk])).status_code == 200
    assert measured.downloaded(reader.post(reverse("report_file", args=[evaluation.pk, "report.json"])))
    for closed in ("log_entries", "cases", "searches", "people", "findings"):
        assert reader.get(reverse(closed)).status_code == 403, closed


def test_a_flood_of_new_accounts_is_stopped(cast: Cast, settings: Any) -> None:
    settings.GLASSCASE_AUDITOR_SIGNUP = True
    cache.clear()
    visitor = Client()
    answers = [
        visitor.post(
            reverse("register"), {"username": f"flood{n}", "full_name": "A Flood", "password": PASSWORD}
        ).status_code
        for n in range(11)
    ]
    assert answers[:10] == [302] * 10
    assert answers[10] == 429
    assert not User.objects.filter(username="flood10").exists()


def test_the_board_files_a_finding_and_closes_it_with_an_answer(cast: Cast, evaluation: Evaluation) -> None:
    bea = signed_in(cast.bea)
    text = "The report counts Olivia Orr's portrait twice; remove it and measure again."
    assert bea.post(reverse("finding_file"), {"text": "short"}).status_code == 422
    assert bea.post(reverse("finding_file"), {"text": text, "report": "no-id"}).status_code == 422
    assert bea.post(reverse("finding_file"), {"text": text, "report": str(evaluation.pk)}).status_code == 302
    finding = Finding.objects.get()
    [opened] = entries("oversight:finding:opened")
    assert (opened["finding"], opened["run"], opened["kind"]) == (str(finding.pk), str(evaluation.pk), "board")
    assert text.encode() not in bytes(finding.sealed_text), "what names people is sealed in the row"
    assert text[:30] in bea.get(reverse("findings")).content.decode().replace("&#x27;", "'")

    close = reverse("finding_close", args=[finding.pk])
    field = f"{finding.pk}-resolution"
    assert signed_in(cast.carl).post(close, {field: "Never mind about this."}).status_code == 403
    assert bea.post(close, {field: ""}).status_code == 422
    assert bea.post(close, {field: "The portrait was removed; the new report is the one of May."}).status_code == 302
    assert bea.post(close, {field: "The portrait was removed; the new report is the one of May."}).status_code == 409
    [closed] = entries("oversight:finding:closed")
    assert closed["finding"] == str(finding.pk)
    assert set(closed["c"]) == {"resolution"}
    assert signed_in(cast.carl).get(reverse("findings")).status_code == 200
    assert signed_in(cast.olivia).get(reverse("findings")).status_code == 403


def test_what_the_board_writes_about_a_search_is_not_read_by_those_it_watches(
    cast: Cast, evaluation: Evaluation
) -> None:
    """Custodians and administrators of every agency read it, and nothing in the log said so."""
    bea = signed_in(cast.bea)
    about = {"report": str(evaluation.pk)}
    for name, fields in (("case 2026-00147 for a favour", {}), ("the portraits of May", about)):
        answer = bea.post(reverse("finding_file"), {"text": f"Somebody looked into {name}.", **fields})
        assert answer.status_code == 302
    for person in (cast.carl, cast.ada):
        page = signed_in(person).get(reverse("findings")).content.decode()
        assert "portraits of May" in page
        assert "2026-00147" not in page
    assert "2026-00147" in bea.get(reverse("findings")).content.decode()


def test_a_report_whose_files_are_gone_is_said_to_be_gone(cast: Cast, evaluation: Evaluation) -> None:
    shutil.rmtree(evaluation.folder)
    asks = Api().as_(cast.axel)
    expect(asks("GET", f"/evaluations/{evaluation.pk}/"), 404)
    expect(asks("GET", f"/evaluations/{evaluation.pk}/files/report.json/"), 404)
    axel = signed_in(cast.axel)
    assert axel.get(reverse("report", args=[evaluation.pk])).status_code == 404
    assert axel.post(reverse("report_file", args=[evaluation.pk, "report.json"])).status_code == 404
