"""Two examiners decide, each without knowing what the other concluded, and neither asked for the search."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.models import User
from search import readings, reviews
from search.exceptions import StateConflict
from search.models import CandidateReading, Review, ReviewDecision, ReviewState, SearchRequest
from tests.api_client import Api, expect
from tests.search.reviewing import as_form, as_json, decided, differs, opened, same, unsure
from tests.search.stage import OTHER_STORY, PEOPLE, STRANGER, Stage

Entries = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("log_at_work")


def with_roles(user: User, *roles: str) -> User:
    user.roles = [*user.roles, *roles]
    user.save()
    return user


def test_two_examiners_who_support_one_candidate_agree(stage: Stage, searched: SearchRequest, entries: Entries) -> None:
    cast, request = stage.cast, searched
    assert [one.pk for one in reviews.queue(cast.erin)] == [request.pk]
    decided(cast.erin, request)
    assert reviews.state(request) == ReviewState.SECOND
    assert not reviews.queue(cast.erin).exists()
    assert [one.pk for one in reviews.queue(cast.ed)] == [request.pk]
    assert entries("search:review:concluded") == []
    decided(cast.ed, request)
    assert reviews.state(request) == ReviewState.AGREED
    assert reviews.agreed(request) == {str(stage.templates[PEOPLE[0]])}
    [said] = entries("search:review:concluded", request=request.pk)
    assert (said["outcome"], said["agreed"]) == ("agreed", 1)
    assert said["examiners"] == [str(cast.erin.pk), str(cast.ed.pk)]
    one, other = entries("search:review:decided", request=request.pk)
    assert [(one["seat"], one["blind"]), (other["seat"], other["blind"])] == [(1, False), (2, True)]
    assert "findings" in one["c"]
    assert "support" not in json.dumps([one, other]), "what was concluded is sealed"


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (same, unsure, ReviewState.DISAGREED),
        (differs, same, ReviewState.DISAGREED),
        (differs, unsure, ReviewState.NO_LEAD),
    ],
)
def test_without_agreement_there_is_no_lead(
    stage: Stage, searched: SearchRequest, first: Any, second: Any, outcome: ReviewState
) -> None:
    cast, request = stage.cast, searched
    decided(cast.erin, request, first)
    assert [one.pk for one in reviews.queue(cast.ed)] == [request.pk], (
        "a second decision is asked for whatever the first was"
    )
    decided(cast.ed, request, second)
    assert reviews.state(request) == outcome
    assert reviews.agreed(request) == set()


def test_an_empty_list_needs_one_examiner(stage: Stage, entries: Entries) -> None:
    cast, request = stage.cast, stage.done(STRANGER, justification=OTHER_STORY)
    reading = opened(cast.erin, request)
    assert reading.candidates == []
    reviews.decide(by=cast.erin, request=request, view=reading.view, findings=[])
    assert reviews.state(request) == ReviewState.NO_LEAD
    [said] = entries("search:review:concluded", request=request.pk)
    assert (said["candidates"], said["examiners"]) == (0, [str(cast.erin.pk)])


def test_who_reads_second_sees_neither_rank_nor_score(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    first, second = opened(cast.erin, request), opened(cast.ed, request)
    assert (first.blind, second.blind) == (False, True)
    assert first.candidates[0].score_milli is not None
    assert {(row.rank, row.score_milli) for row in second.candidates} == {(None, None)}
    assert {row.template for row in first.candidates} == {row.template for row in second.candidates}
    assert opened(cast.erin, request).blind is False
    decided(cast.ed, request)
    assert opened(cast.ed, request).blind is False, "after their own decision nothing is left to lead"


def test_a_hostile_examiner_finds_the_first_decision_nowhere(
    stage: Stage, searched: SearchRequest, database: Any
) -> None:
    cast, request = stage.cast, searched
    decided(cast.erin, request, note="The scar above the left brow settles it.")
    telling = ("support", "scar", "settles", "Erin", str(cast.erin.pk), str(ReviewDecision.objects.get().entry))
    ed, api = Client(), Api().as_(cast.ed)
    ed.force_login(cast.ed)
    said = ed.get(reverse("readings")).content + ed.get(reverse("search", args=[request.pk])).content.replace(
        str(ReviewDecision.objects.get().entry).encode(), b""
    )
    said += ed.get(reverse("search_path", args=[request.pk])).content.replace(
        str(ReviewDecision.objects.get().entry).encode(), b""
    )
    for word in telling[:-1]:
        assert word.encode() not in said, word
    shown = api.get(f"/requests/{request.pk}/review/")
    assert shown == {"state": "second", "decisions": []}
    assert reviews.decisions(cast.ed, request) == []
    for page in (f"/requests/{request.pk}/", "/reviews/", "/results/"):
        text = json.dumps(api.get(page))
        assert not any(word in text for word in ("support", "scar", str(cast.erin.pk))), page
    opened_page = ed.post(reverse("candidates", args=[request.pk])).content.decode()
    assert "scar above" not in opened_page
    assert "Erin" not in opened_page
    # Whoever holds the application's password reads the row, and not what it says.
    column = bytes(ReviewDecision.objects.get().sealed)
    assert b"support" not in column
    # The first sees their own again, and nobody else's.
    [own] = reviews.decisions(cast.erin, request)
    assert own.note.startswith("The scar")
    for person in (cast.sam, cast.cora):
        assert reviews.decisions(person, request) == []
    with pytest.raises(NotAllowed):
        reviews.decisions(cast.olivia, request)


def test_nobody_decides_twice_on_their_own_or_on_what_they_approved(stage: Stage, searched: SearchRequest) -> None:
    cast = stage.cast
    request = searched
    decided(cast.erin, request)
    with pytest.raises(StateConflict, match="already"):
        decided(cast.erin, request, differs)
    for insider in (with_roles(cast.olivia, "examiner"), with_roles(cast.sam, "examiner")):
        reading = CandidateReading.objects.get(reader=cast.erin, decision__isnull=False)
        with pytest.raises(NotAllowed, match="another examiner"):
            reviews.decide(by=insider, request=request, view=reading.view, findings=[])
        assert not reviews.queue(insider).filter(pk=request.pk).exists()
    with pytest.raises(NotAllowed, match="Only examiners"):
        reviews.decide(by=cast.sue, request=request, view=request.pk, findings=[])
    assert ReviewDecision.objects.count() == 1


def test_a_decision_rests_on_an_own_and_recent_reading(
    stage: Stage, searched: SearchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast, request = stage.cast, searched
    other = stage.done(PEOPLE[1])
    theirs, elsewhere = opened(cast.erin, request), opened(cast.ed, other)
    findings = [same(row.template) for row in theirs.candidates]
    for view in (theirs.view, elsewhere.view, request.pk):
        with pytest.raises(NotFound, match="Open the candidates"):
            reviews.decide(by=cast.ed, request=request, view=view, findings=findings)
    monkeypatch.setattr(readings, "SITTING", timedelta(0))
    with pytest.raises(Conflict, match="earlier sitting"):
        reviews.decide(by=cast.erin, request=request, view=theirs.view, findings=findings)
    assert not ReviewDecision.objects.exists()


def test_an_examiner_needs_current_training(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    cast.erin.training_until = timezone.localdate() - timedelta(days=1)
    cast.erin.save()
    with pytest.raises(NotAllowed, match="training"):
        decided(cast.erin, request)


def test_two_tabs_at_once_make_one_decision(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    reading = opened(cast.erin, request)
    findings = [same(row.template) for row in reading.candidates]
    said: list[str] = []

    def tab() -> None:
        try:
            reviews.decide(by=cast.erin, request=request, view=reading.view, findings=findings)
            said.append("decided")
        except StateConflict:
            said.append("refused")
        finally:
            connections.close_all()

    tabs = [threading.Thread(target=tab) for _ in range(2)]
    for one in tabs:
        one.start()
    for one in tabs:
        one.join()
    assert sorted(said) == ["decided", "refused"]
    assert Review.objects.get().state == ReviewState.SECOND


def test_the_database_refuses_what_the_application_would_have_to_lie_about(
    stage: Stage, searched: SearchRequest, mallory: psycopg.Connection
) -> None:
    cast, request = stage.cast, searched
    made = decided(cast.erin, request)
    reading = opened(cast.ed, request)
    columns = "id, request_id, seat, examiner_id, requester_id, reading_id, sealed, entry, decided_at"

    def insert(seat: int, examiner: User, requester: User) -> None:
        mallory.execute(
            f"INSERT INTO search_reviewdecision ({columns}) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, '', "
            "gen_random_uuid(), now())",
            [request.pk, seat, examiner.pk, requester.pk, reading.view],
        )

    with pytest.raises(psycopg.errors.CheckViolation, match="requester_does_not_examine"):
        insert(2, cast.olivia, cast.olivia)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="decision_of_the_requests_requester"):
        insert(2, cast.olivia, cast.oscar)
    with pytest.raises(psycopg.errors.UniqueViolation, match="one_decision_per_seat"):
        insert(1, cast.ed, cast.olivia)
    with pytest.raises(psycopg.errors.UniqueViolation, match="one_decision_per_examiner"):
        insert(2, cast.erin, cast.olivia)
    with pytest.raises(psycopg.errors.CheckViolation, match="two_examiners_decide"):
        insert(3, cast.ed, cast.olivia)
    for act in ("UPDATE search_reviewdecision SET seat = 2", "DELETE FROM search_reviewdecision"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            mallory.execute(act)
    assert ReviewDecision.objects.get().pk == made.pk


# Pages and API


def test_an_examiner_decides_on_the_page(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    client = Client()
    client.force_login(cast.erin)
    page = client.post(reverse("candidates", args=[request.pk]))
    reading = page.context["reading"]
    address = reverse("review_decide", args=[request.pk, reading.view])
    refused = client.post(address, {"note": "Kept."})
    assert refused.status_code == 422
    assert "Choose a conclusion" in refused.content.decode()
    assert "Kept." in refused.content.decode()
    findings = [same(row.template) if row.rank == 1 else differs(row.template) for row in reading.candidates]
    assert client.get(address).status_code == 405
    done = client.post(address, as_form(*findings, note="Kept."))
    assert (done.status_code, done["Location"]) == (302, reverse("search", args=[request.pk]))
    assert reviews.decisions(cast.erin, request)[0].note == "Kept."
    again = client.post(address, as_form(*findings))
    assert again.status_code == 409
    other = Client()
    other.force_login(cast.ed)
    assert other.post(address, as_form(*findings)).status_code == 404


def test_the_second_page_hides_what_would_lead(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    opened(cast.erin, request)
    client = Client()
    client.force_login(cast.ed)
    text = client.post(reverse("candidates", args=[request.pk])).content.decode()
    assert "without ranks and scores" in text
    assert "Match score" not in text


def test_two_examiners_decide_by_api(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    for person, seat in ((cast.erin, 1), (cast.ed, 2)):
        caller = Api().as_(person)
        assert [one["id"] for one in caller.get("/reviews/")["results"]] == [str(request.pk)]
        reading = caller.post(f"/requests/{request.pk}/readings/", 201)
        assert reading["blind"] is (seat == 2)
        findings = [as_json(same(one["template"])) for one in reading["candidates"]]
        bad = caller("POST", f"/requests/{request.pk}/decisions/", {"view": reading["view"], "findings": []})
        assert "conclusion" in json.dumps(expect(bad, 422)["fields"])
        made = caller.post(f"/requests/{request.pk}/decisions/", 201, view=reading["view"], findings=findings)
        assert made["seat"] == seat
    assert Api().as_(cast.sam).get(f"/requests/{request.pk}/review/")["state"] == "agreed"
    assert len(Api().as_(cast.erin).get(f"/requests/{request.pk}/review/")["decisions"]) == 2
    assert Api().as_(cast.olivia).get(f"/requests/{request.pk}/review/")["decisions"] == []


def test_inconclusive_for_lack_of_caveats_names_the_candidate(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    with pytest.raises(Invalid) as refused:
        decided(cast.erin, request, lambda template: unsure(template, caveats=()))
    assert [name.rpartition(":")[2] for name in refused.value.field_errors] == ["caveats"]
