"""A supervisor releases what two examiners support; the officer sees that and nothing else; what becomes of it is recorded."""

from __future__ import annotations

import threading
import uuid
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
from search import erasure, leads, outcomes, readings, reviews
from search.exceptions import StateConflict
from search.gate.client import GateRefused
from search.models import Lead, LeadOutcome, ReviewDecision, ReviewState, SearchRequest
from search.outcome_rules import OutcomeFields
from tests.api_client import Api, expect
from tests.search.reviewing import LEAD_NOTE, decided, differs, unsure
from tests.search.stage import PEOPLE, Stage

Entries = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("log_at_work")
FOUND = OutcomeFields(truth="same_person", procedure="ongoing", evidence=("physical",))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_officer_reads_the_released_lead_and_each_reading_is_an_entry(
    stage: Stage, lead: Lead, entries: Entries
) -> None:
    cast = stage.cast
    assert reviews.state(lead.request) == ReviewState.RELEASED
    [said] = entries("search:lead:released", request=lead.request_id)
    assert said["examiners"] == [str(cast.erin.pk), str(cast.ed.pk)]
    page = leads.open_lead(by=cast.olivia, lead=leads.find(cast.olivia, lead.pk))
    assert (page.person_ref, page.note) == (f"G{PEOPLE[0]:04d}", LEAD_NOTE)
    assert page.caveat == "Investigative lead only. Not an identification. Not probable cause."
    for kind, magic in (("photo", b"\xff\xd8\xff"), ("crop", b"\x89PNG"), ("probe", b"\x89PNG")):
        assert leads.picture(by=cast.olivia, lead=lead, kind=kind).startswith(magic)
    leads.open_lead(by=cast.olivia, lead=lead)
    viewed = entries("search:lead:viewed", lead=lead.pk)
    assert [one["viewer"] for one in viewed] == [str(cast.olivia.pk)] * 2
    assert str(page.view) == viewed[0]["id"]


def test_pictures_need_an_own_and_recent_reading(stage: Stage, lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
    cast = stage.cast
    leads.open_lead(by=cast.sue, lead=lead)
    with pytest.raises(NotAllowed, match="Open the lead again"):
        leads.picture(by=cast.olivia, lead=lead, kind="photo")
    leads.open_lead(by=cast.olivia, lead=lead)
    with pytest.raises(NotFound):
        leads.picture(by=cast.olivia, lead=lead, kind="list")
    monkeypatch.setattr(leads, "OPEN_FOR", timedelta(0))
    with pytest.raises(NotAllowed, match="Open the lead again"):
        leads.picture(by=cast.olivia, lead=lead, kind="photo")


def test_the_pictures_of_a_lead_go_when_its_search_is_erased(stage: Stage, lead: Lead) -> None:
    files = [leads.path(lead, kind) for kind in leads.PICTURES if leads.path(lead, kind).exists()]
    assert files
    erasure.erase(by=None, request=lead.request, approver=stage.cast.sam, secret=stage.cast.secrets[stage.cast.sam.id])
    assert not any(file.exists() for file in files)


def test_the_officer_never_sees_what_was_not_released(stage: Stage, agreed: SearchRequest) -> None:
    cast = stage.cast
    request = agreed
    olivia = signed_in(cast.olivia)
    assert not leads.visible(cast.olivia).exists()
    for withhold in (True, False):
        text = olivia.get(reverse("search", args=[request.pk])).content.decode()
        assert "G0000" not in text
        assert "support" not in text.lower().replace("supported", "")
        for name, arguments in (("candidates", [request.pk]), ("release", [request.pk])):
            assert olivia.post(reverse(name, args=arguments)).status_code == 403
        if withhold:
            leads.withhold(by=cast.sam, request=request, note="The officer found the man already.")
    assert not leads.visible(cast.olivia).exists()
    assert reviews.state(request) == ReviewState.WITHHELD
    with pytest.raises(NotFound):
        leads.find(cast.olivia, uuid.uuid4())


def test_a_lead_of_others_is_not_found(stage: Stage, lead: Lead) -> None:
    cast = stage.cast
    for stranger in (cast.oscar, cast.xavier, cast.erin, cast.bea, cast.carl):
        with pytest.raises(NotFound):
            leads.find(stranger, lead.pk)
        with pytest.raises(NotAllowed):
            leads.open_lead(by=stranger, lead=lead)
    assert leads.find(cast.cora, lead.pk) == lead


@pytest.mark.parametrize(("first", "second"), [(unsure, unsure), (differs, unsure)])
def test_nothing_is_released_without_agreement(stage: Stage, searched: SearchRequest, first: Any, second: Any) -> None:
    cast, request = stage.cast, searched
    template = str(stage.templates[PEOPLE[0]])
    tries: list[Callable[[], Any]] = [
        lambda: leads.release(by=cast.sam, request=request, templates=[template]),
        lambda: leads.withhold(by=cast.sam, request=request, note="No."),
        lambda: leads.open_agreed(by=cast.sam, request=request),
    ]
    for make in (None, first, second):
        if make is not None:
            decided(cast.ed if make is second and request.decisions.exists() else cast.erin, request, make)
        for attempt in tries:
            with pytest.raises(StateConflict):
                attempt()
    assert not Lead.objects.exists()


def test_only_what_both_support_is_released(stage: Stage, agreed: SearchRequest) -> None:
    cast, request = stage.cast, agreed
    right = str(stage.templates[PEOPLE[0]])
    for chosen in ([], [str(stage.templates[PEOPLE[1]])], [right, str(uuid.uuid4())], ["x"]):
        with pytest.raises(Invalid, match="both examiners"):
            leads.release(by=cast.sam, request=request, templates=chosen)
    assert not Lead.objects.exists()
    assert reviews.state(request) == ReviewState.AGREED


def test_who_asked_or_examined_does_not_release(stage: Stage, agreed: SearchRequest) -> None:
    cast, request = stage.cast, agreed
    chosen = reviews.agreed(request)
    for person in (cast.olivia, cast.erin, cast.ed):
        with pytest.raises(NotAllowed, match="Only a supervisor"):
            leads.release(by=person, request=request, templates=chosen)
        person.roles = [*person.roles, "supervisor"]
        person.save()
        with pytest.raises(NotAllowed, match="another supervisor"):
            leads.release(by=person, request=request, templates=chosen)
        with pytest.raises(NotAllowed, match="another supervisor"):
            leads.withhold(by=person, request=request, note="No.")
        assert not leads.queue(person).exists()
    assert [one.pk for one in leads.queue(cast.sue)] == [request.pk]


def test_two_supervisors_at_once_make_one_decision(stage: Stage, agreed: SearchRequest) -> None:
    cast, request = stage.cast, agreed
    said: list[str] = []

    def tab(act: Callable[[], Any]) -> None:
        try:
            act()
            said.append("done")
        except (StateConflict, Conflict):
            said.append("refused")
        finally:
            connections.close_all()

    chosen = reviews.agreed(request)
    acts = [
        lambda: leads.release(by=cast.sam, request=request, templates=chosen),
        lambda: leads.release(by=cast.sue, request=request, templates=chosen),
    ]
    tabs = [threading.Thread(target=tab, args=[act]) for act in acts]
    for one in tabs:
        one.start()
    for one in tabs:
        one.join()
    assert sorted(said) == ["done", "refused"]
    assert Lead.objects.count() == 1


def test_an_emergency_without_approval_releases_nothing(stage: Stage) -> None:
    cast = stage.cast
    request = stage.submitted(purpose="imminent_threat", emergency=True)
    assert stage.run(request) == "done"
    decided(cast.erin, request)
    decided(cast.ed, request)
    with pytest.raises(Conflict, match="not been approved"):
        leads.release(by=cast.sue, request=request, templates=reviews.agreed(request))
    stage.approve(request)
    request.refresh_from_db()
    assert leads.release(by=cast.sue, request=request, templates=reviews.agreed(request))


def test_the_database_refuses_a_lead_without_two_examiners_and_another_supervisor(
    stage: Stage, agreed: SearchRequest, mallory: psycopg.Connection
) -> None:
    cast, request = stage.cast, agreed
    first, second = request.decisions.order_by("seat")
    other = stage.done(PEOPLE[1])
    foreign = decided(cast.erin, other)

    def insert(one: ReviewDecision, two: ReviewDecision, examiner: User, releaser: User, requester: User) -> None:
        mallory.execute(
            "INSERT INTO search_lead (id, request_id, rank, requester_id, first_id, second_id, first_examiner_id, "
            "second_examiner_id, released_by_id, released_at, entry, sealed) VALUES "
            "(gen_random_uuid(), %s, 1, %s, %s, %s, %s, %s, %s, now(), gen_random_uuid(), '')",
            [request.pk, requester.pk, one.pk, two.pk, cast.erin.pk, examiner.pk, releaser.pk],
        )

    with pytest.raises(psycopg.errors.CheckViolation, match="lead_has_two_examiners"):
        insert(first, first, cast.erin, cast.sam, cast.olivia)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="second_decision"):
        insert(first, first, cast.ed, cast.sam, cast.olivia)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="first_decision"):
        insert(foreign, second, cast.ed, cast.sam, cast.olivia)
    for releaser in (cast.olivia, cast.erin, cast.ed):
        with pytest.raises(psycopg.errors.CheckViolation, match="lead_is_released_by_another"):
            insert(first, second, cast.ed, releaser, cast.olivia)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="requester"):
        insert(first, second, cast.ed, cast.sam, cast.oscar)
    for table in ("search_lead", "search_leadoutcome", "search_candidatereading", "search_disclosure"):
        for act in (f"UPDATE {table} SET sealed = ''", f"DELETE FROM {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                mallory.execute(act)
    assert not Lead.objects.exists()


# What becomes of it


def test_an_outcome_is_added_never_changed_and_the_last_one_holds(stage: Stage, lead: Lead, entries: Entries) -> None:
    cast = stage.cast
    outcomes.record(by=cast.olivia, lead=lead, fields=FOUND)
    assert reviews.state(lead.request) == ReviewState.RECORDED
    wrong = OutcomeFields(
        truth="wrong_person", procedure="no_further_action", evidence=("alibi",), note="He was abroad."
    )
    outcomes.record(by=cast.sue, lead=lead, fields=wrong)
    records = outcomes.of(cast.olivia, lead)
    assert [record.row.number for record in records] == [1, 2]
    assert records[-1].fields == wrong
    said = entries("search:outcome:recorded", lead=lead.pk)
    assert [(one["number"], one["truth"]) for one in said] == [(1, "same_person"), (2, "wrong_person")]
    assert "He was abroad" not in str(said)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (OutcomeFields(), "truth"),
        (OutcomeFields(truth="same_person", procedure="ongoing"), "evidence"),
        (OutcomeFields(truth="same_person", procedure="ongoing", evidence=("lineup",)), "evidence"),
        (OutcomeFields(truth="wrong_person", procedure="ongoing"), "evidence"),
        (OutcomeFields(truth="not_known", procedure="vanished"), "procedure"),
        (OutcomeFields(truth="not_known", procedure="arrest"), "note"),
        (
            OutcomeFields(truth="not_known", procedure="ongoing", disclosed_on=timezone.localdate() + timedelta(2)),
            "disclosed_on",
        ),
        (
            OutcomeFields(truth="not_known", procedure="ongoing", disclosed_on=timezone.localdate() - timedelta(2)),
            "disclosed_on",
        ),
    ],
)
def test_what_an_outcome_lacks_is_said(fields: OutcomeFields, field: str) -> None:
    from search import outcome_rules

    today = timezone.localdate()
    wrong = outcome_rules.problems(fields, released_on=today, today=today)
    assert field in wrong


def test_an_arrest_on_the_lead_alone_is_recorded_and_stays_visible(stage: Stage, lead: Lead) -> None:
    cast = stage.cast
    fields = OutcomeFields(truth="not_known", procedure="arrest", note="Arrested the same evening.")
    outcomes.record(by=cast.olivia, lead=lead, fields=fields)
    assert outcomes.of(cast.sam, lead)[0].fields.rests_on_the_lead_alone
    page = signed_in(cast.sam).post(reverse("lead", args=[lead.pk])).content.decode()
    assert "None named" in page


def test_a_charge_sets_a_legal_hold_and_makes_the_disclosure_due(stage: Stage, lead: Lead, entries: Entries) -> None:
    from core import database
    from search.gate import client, params

    cast = stage.cast
    assert outcomes.due(lead) == []
    charged = OutcomeFields(truth="same_person", procedure="charge", evidence=("physical",))
    outcomes.record(by=cast.sam, lead=lead, fields=charged)
    assert [one["subject"] for one in entries("gate:hold:placed")] == [str(lead.request_id)]
    [proposal] = stage.proposals("vault:erase", params.erase(record=lead.request_id), cast.sue)
    with database.connect("app") as own, pytest.raises(GateRefused, match="legal hold"):
        client.erase_record(own, lead.request_id, proposal)
    lead = Lead.objects.get(pk=lead.pk)
    assert [rule.source.citation for rule in outcomes.due(lead)] == [""]
    told = OutcomeFields(
        truth="same_person", procedure="charge", evidence=("physical",), disclosed_on=timezone.localdate()
    )
    outcomes.record(by=cast.olivia, lead=lead, fields=told)
    assert outcomes.due(Lead.objects.get(pk=lead.pk)) == []


def test_others_record_nothing(stage: Stage, lead: Lead) -> None:
    cast = stage.cast
    for stranger in (cast.oscar, cast.erin, cast.cora, cast.bea):
        with pytest.raises(NotAllowed):
            outcomes.record(by=stranger, lead=lead, fields=FOUND)
    assert not LeadOutcome.objects.exists()


# Pages


def test_the_pages_from_agreement_to_outcome(stage: Stage, agreed: SearchRequest) -> None:
    cast, request = stage.cast, agreed
    sam, olivia = signed_in(cast.sam), signed_in(cast.olivia)
    assert str(request.pk)[:8] in sam.get(reverse("releases")).content.decode()
    assert "Open what they agree on" in sam.get(reverse("release", args=[request.pk])).content.decode()
    page = sam.post(reverse("release", args=[request.pk]))
    text = page.content.decode()
    for shown in ("Investigative lead only", "Erin Eng", "Ed Ellis", "Support for the same person", "Nose"):
        assert shown in text, shown
    [row] = page.context["agreed"].candidates
    crop = sam.get(reverse("agreed_crop", args=[page.context["agreed"].view, row.template]))
    assert crop.content.startswith(b"\x89PNG")
    refused = sam.post(reverse("release_decide", args=[request.pk]), {"do": "withhold", "note": ""})
    assert (refused.status_code, "Write why" in refused.content.decode()) == (422, True)
    done = sam.post(reverse("release_decide", args=[request.pk]), {"do": "release", "templates": [str(row.template)]})
    assert done.status_code == 302
    lead = Lead.objects.get()
    assert str(lead.pk)[:8] in olivia.get(reverse("leads")).content.decode()
    assert "Open the lead" in olivia.get(reverse("lead", args=[lead.pk])).content.decode()
    shown_lead = olivia.post(reverse("lead", args=[lead.pk])).content.decode()
    assert shown_lead.count("Investigative lead only. Not an identification. Not probable cause.") == 2
    assert "Erin" not in shown_lead
    assert olivia.get(reverse("lead_picture", args=[lead.pk, "photo"])).content.startswith(b"\xff\xd8\xff")
    address = reverse("outcome", args=[lead.pk])
    assert olivia.post(address, {"truth": "same_person"}).status_code == 422
    kept = olivia.post(address, {"truth": "same_person", "procedure": "ongoing", "evidence": ["physical"]})
    assert kept["Location"] == reverse("lead", args=[lead.pk])
    path = olivia.get(reverse("search", args=[request.pk])).content.decode()
    for step in ("First examiner", "Second examiner", "Released by a supervisor", "Outcome"):
        assert step in path


def test_a_reading_of_the_supervisor_opens_only_for_them(stage: Stage, agreed: SearchRequest) -> None:
    cast, request = stage.cast, agreed
    opened = leads.open_agreed(by=cast.sam, request=request)
    with pytest.raises(NotAllowed, match="somebody else"):
        readings.crop(by=cast.sue, view=opened.view, template=opened.candidates[0].template)


def test_a_lead_from_agreement_to_outcome_by_api(stage: Stage, agreed: SearchRequest) -> None:
    cast, request = stage.cast, agreed
    supervisor, officer = Api().as_(cast.sam), Api().as_(cast.olivia)
    assert [one["id"] for one in supervisor.get("/releases/")["results"]] == [str(request.pk)]
    opened = supervisor.post(f"/requests/{request.pk}/agreed/", 201)
    assert len(opened["decisions"]) == 2
    chosen = [one["template"] for one in opened["candidates"]]
    expect(supervisor("POST", f"/requests/{request.pk}/release/", {"templates": [str(uuid.uuid4())]}), 422)
    [lead] = supervisor.post(f"/requests/{request.pk}/release/", 201, templates=chosen)
    expect(supervisor("POST", f"/requests/{request.pk}/withhold/", {"note": "Too late."}), 409)
    assert [one["id"] for one in officer.get("/leads/")["results"]] == [lead["id"]]
    expect(officer("GET", f"/leads/{lead['id']}/pictures/photo/"), 403)
    read = officer.post(f"/leads/{lead['id']}/readings/", 201)
    assert read["caveat"] == leads.CAVEAT
    assert officer("GET", f"/leads/{lead['id']}/pictures/photo/").content.startswith(b"\xff\xd8\xff")
    bad = {"truth": "same_person", "procedure": "ongoing"}
    assert "evidence" in expect(officer("POST", f"/leads/{lead['id']}/outcomes/", bad), 422)["fields"]
    kept = officer.post(f"/leads/{lead['id']}/outcomes/", 201, **bad, evidence=["physical"])
    assert [one["number"] for one in kept] == [1]
    expect(Api().as_(cast.oscar)("POST", f"/leads/{lead['id']}/readings/"), 404)
