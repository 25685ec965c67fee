"""Submitting a request: every rule at once, every refusal in the log, nothing that was typed lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import transaction
from django.utils import timezone
from PIL import Image

from core.exceptions import Conflict, GlasscaseError, Invalid, NotAllowed
from core.models import Job
from core.portraits import portrait, portrait_jpeg
from search import cases, galleries, holds, intake, requests, sealed
from search.exceptions import SearchNotAllowed, SearchNotNow, SearchRefused, StateConflict
from search.models import RequestState, SearchRequest
from tests.search.stage import NUMBER, OTHER_STORY, STORY, Stage
from tests.search.test_intake import crowd, encoded

Entries = Callable[..., list[dict[str, Any]]]


def refused(stage: Stage, request: SearchRequest | None = None, by: Any = None, **changes: Any) -> SearchRefused:
    request = request or stage.drafted()
    with pytest.raises(SearchRefused) as caught:
        requests.submit(by=by or stage.cast.olivia, request=request, fields=stage.fields(**changes))
    request.refresh_from_db()
    assert request.state == RequestState.DRAFT
    assert not Job.objects.filter(kind=requests.SEARCH).exists()
    return caught.value


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("case_number", "case:missing"),
        ("purpose", "purpose:missing"),
        ("offence", "offence:missing"),
        ("justification", "justification:missing"),
        ("legal_basis", "legal_basis:missing"),
        ("gallery", "gallery:unknown"),
    ],
)
def test_a_missing_field_is_named_and_the_refusal_is_an_entry(
    stage: Stage, entries: Entries, field: str, code: str
) -> None:
    changes: dict[str, Any] = {field: ""}
    error = refused(stage, **changes)
    assert error.status == 422
    assert field in error.field_errors
    assert code in error.codes
    [entry] = entries("search:request:refused")
    assert code in entry["reasons"]
    assert entry["requester"] == entry["actor"] == str(stage.cast.olivia.id)
    assert entry["channel"] == "web"
    assert entry["law_pack"] == "utah"
    assert ("case_number" in entry["c"]) == (field != "case_number")
    assert ("justification" in entry["c"]) == (field != "justification")
    assert entries("search:request:submitted") == []


def test_everything_that_is_wrong_is_said_at_once(stage: Stage, entries: Entries) -> None:
    error = refused(
        stage, case_number="", purpose="", offence="", justification="too short", gallery="no such", k=10_000
    )
    assert set(error.field_errors) >= {"case_number", "purpose", "offence", "justification", "gallery", "k"}
    [entry] = entries("search:request:refused")
    assert entry["reasons"] == error.codes


def test_an_empty_form_is_refused_too(stage: Stage, entries: Entries) -> None:
    empty = dict.fromkeys(("case_number", "purpose", "offence"), "")
    error = refused(stage, requests.draft(by=stage.cast.olivia), **empty)
    assert "probe" in error.field_errors
    assert len(entries("search:request:refused")) == 1


def test_what_was_typed_stays_in_the_draft(stage: Stage) -> None:
    request = stage.drafted()
    fields = stage.fields(case_number="2026-99999", purpose="free text of somebody", k=7)
    with pytest.raises(SearchRefused):
        requests.submit(by=stage.cast.olivia, request=request, fields=fields)
    request.refresh_from_db()
    assert requests.typed(request) == fields
    assert STORY.encode() not in bytes(request.sealed)


def test_the_refusal_stays_when_the_web_request_fails_afterwards(stage: Stage, entries: Entries) -> None:
    request = stage.drafted()
    with pytest.raises(SearchRefused), transaction.atomic():
        requests.submit(by=stage.cast.olivia, request=request, fields=stage.fields(purpose=""))
    assert len(entries("search:request:refused", request=request.id)) == 1


def test_someone_elses_case_is_refused_to_the_person(stage: Stage, entries: Entries) -> None:
    request = stage.drafted(by=stage.cast.oscar)
    error = refused(stage, request, by=stage.cast.oscar)
    assert isinstance(error, SearchNotAllowed)
    assert isinstance(error, NotAllowed)
    assert error.status == 403
    assert error.codes == ["case:not_assigned"]
    assert entries("search:request:refused")[0]["case"] == str(stage.case.id)


def test_a_closed_case_refuses_a_search(stage: Stage, entries: Entries) -> None:
    cases.close(by=stage.cast.sam, case=stage.case)
    error = refused(stage)
    assert isinstance(error, SearchNotNow)
    assert error.status == 409
    assert error.codes == ["case:closed"]
    assert len(entries("search:request:refused")) == 1


def test_an_unconfirmed_case_refuses_a_search(stage: Stage) -> None:
    cases.open_case(by=stage.cast.olivia, number="2026-00200", offence="robbery")
    error = refused(stage, case_number="2026-00200")
    assert (error.status, error.codes) == (409, ["case:unconfirmed"])


def test_an_unknown_case_and_one_of_another_agency_are_unknown(stage: Stage) -> None:
    assert refused(stage, case_number="2026-77777").codes == ["case:unknown"]
    assert refused(stage, case_number="what is this").codes == ["case:unknown"]


def test_expired_training_refuses_a_search(stage: Stage) -> None:
    olivia = stage.cast.olivia
    olivia.training_until = timezone.now().date() - timedelta(days=1)
    olivia.save()
    error = refused(stage)
    assert (error.status, error.codes) == (403, ["training:expired"])
    assert "expired on" in str(error)


def test_the_offence_has_to_be_the_cases(stage: Stage) -> None:
    assert refused(stage, offence="murder").codes == ["offence:not_the_cases"]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"k": 10_000}, "k:out_of_range", "k"),
        ({"k": 0}, "k:out_of_range", "k"),
        ({"threshold": 0}, "threshold:below_floor", "threshold"),
        ({"threshold": 2_000_000}, "threshold:out_of_range", "threshold"),
        ({"edition": 4711}, "gallery:other_model", "gallery"),
        ({"gallery": "somebody else's"}, "gallery:unknown", "gallery"),
        ({"purpose": "immigration_status"}, "purpose:prohibited", "purpose"),
        ({"probe_kind": "sketch"}, "probe:kind", "probe"),
        ({"emergency": True}, "emergency:not_allowed", "emergency"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(stage: Stage, changes: dict[str, Any], code: str, field: str) -> None:
    error = refused(stage, **changes)
    assert code in error.codes
    assert field in error.field_errors
    assert error.status == 422


def test_a_gallery_of_another_agency_is_unknown(stage: Stage) -> None:
    carl = stage.cast.carl
    carl.agency = stage.cast.other_agency
    galleries.create(by=carl, agency=stage.cast.other_agency, name="theirs", legal_basis="booking", retention_days=1)
    assert refused(stage, gallery="theirs").codes == ["gallery:unknown"]


def test_a_face_model_without_a_current_evaluation_is_refused(stage: Stage) -> None:
    stage.adopt(hours=1 / 3600)
    time.sleep(1.1)
    assert refused(stage).codes == ["evaluation:missing"]
    stage.adopt(verdict="not_met")
    assert refused(stage).codes == ["evaluation:missing"]


def test_several_faces_ask_for_a_choice(stage: Stage) -> None:
    request = stage.drafted(data=crowd(3))
    error = refused(stage, request)
    assert (error.codes, list(error.field_errors)) == (["probe:face_not_chosen"], ["chosen_face"])
    request = intake.choose_face(by=stage.cast.olivia, request=request, face=2)
    assert requests.submit(by=stage.cast.olivia, request=request, fields=stage.fields()).state == "awaiting_approval"


def test_a_photo_that_is_still_being_checked_waits(stage: Stage) -> None:
    request = intake.receive(by=stage.cast.olivia, data=portrait_jpeg(0, 1))
    assert refused(stage, request).codes == ["probe:not_checked"]
    stage.checked(request)
    assert requests.submit(by=stage.cast.olivia, request=request, fields=stage.fields()).state == "awaiting_approval"


def test_a_photo_without_a_face_is_refused(stage: Stage) -> None:
    request = stage.drafted(data=encoded(np.full((300, 300, 3), 90, np.uint8)))
    assert refused(stage, request).codes == ["probe:no_face"]


def test_a_poor_photo_needs_a_supervisor(stage: Stage, entries: Entries) -> None:
    olivia, sam = stage.cast.olivia, stage.cast.sam
    small = Image.new("RGB", (400, 400), (120, 120, 120))
    small.paste(Image.fromarray(portrait(0, 0)).resize((90, 90)), (150, 150))
    request = stage.drafted(data=encoded(np.asarray(small)))
    error = refused(stage, request)
    assert error.codes == ["probe:quality"]
    [face] = intake.faces(request)
    assert f"{face.measures['face_px']:g}" in str(error), "the measured value is in the sentence"

    with pytest.raises(NotAllowed):
        requests.override_quality(by=olivia, request=request, note="I think it is fine really")
    with pytest.raises(Invalid):
        requests.override_quality(by=sam, request=request, note="ok")
    request = requests.override_quality(by=sam, request=request, note="The only picture that there is of him.")
    [entry] = entries("search:quality:overridden", request=request.id)
    assert entry["shortfalls"] == sorted(set(request.shortfalls))
    assert requests.submit(by=olivia, request=request, fields=stage.fields()).state == "awaiting_approval"


def test_another_choice_takes_the_override_away(stage: Stage) -> None:
    request = stage.drafted(data=crowd(3))
    request = intake.choose_face(by=stage.cast.olivia, request=request, face=1)
    SearchRequest.objects.filter(pk=request.pk).update(
        quality_overridden_by=stage.cast.sam, quality_overridden_at=timezone.now()
    )
    request = intake.choose_face(by=stage.cast.olivia, request=request, face=2)
    assert request.quality_overridden_by is None


def test_a_request_is_submitted_once(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    with pytest.raises(StateConflict) as caught:
        requests.submit(by=stage.cast.olivia, request=request, fields=stage.fields())
    assert caught.value.status == 409
    [entry] = entries("search:request:refused", request=request.id)
    assert entry["reasons"] == ["request:used"]
    assert len(entries("search:request:submitted")) == 1


def test_nobody_submits_somebody_elses_draft(stage: Stage, entries: Entries) -> None:
    request = stage.drafted()
    with pytest.raises(NotAllowed):
        requests.submit(by=stage.cast.oscar, request=request, fields=stage.fields())
    [entry] = entries("search:request:refused", request=request.id)
    assert entry["actor"] == str(stage.cast.oscar.id)


def test_a_submitted_request_is_fixed_and_says_so_without_names(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    assert request.state == "awaiting_approval"
    assert (request.face_model, request.threshold, request.k) == (stage.model.hash, 900_000, 10)
    assert request.expires_at is not None
    assert len(request.params) == len(request.claim) == 64
    [entry] = entries("search:request:submitted", request=request.id)
    assert set(entry["c"]) == {"case_number", "justification", "photo", "box", "original"}
    assert NUMBER not in str(entry)
    kept = sealed.read(request)
    assert kept["typed"]["justification"] == STORY
    assert b"pharmacy" not in bytes(SearchRequest.objects.get(pk=request.pk).sealed)


def test_a_higher_threshold_may_be_asked_for(stage: Stage) -> None:
    assert stage.submitted(threshold=950_000).threshold == 950_000


def test_a_justification_of_another_case_is_refused(stage: Stage) -> None:
    stage.submitted()
    cases.open_case(by=stage.cast.sam, number="2026-00300", offence="robbery", officers=[stage.cast.olivia])
    assert "justification:reused" in refused_codes(stage, case_number="2026-00300")
    assert stage.submitted(case_number="2026-00300", justification=OTHER_STORY).state == "awaiting_approval"
    assert stage.submitted().state == "awaiting_approval", "in the same case it may be used again"


def test_without_a_case_nothing_is_said_about_other_cases(stage: Stage) -> None:
    stage.submitted()
    assert refused_codes(stage, case_number="") == ["case:missing"]


def refused_codes(stage: Stage, **changes: Any) -> list[str]:
    with pytest.raises(SearchRefused) as caught:
        requests.submit(by=stage.cast.olivia, request=stage.drafted(), fields=stage.fields(**changes))
    return caught.value.codes


HELD = (
    STORY + " He is said to be an undocumented immigrant without immigration status and wanted for deportation by ICE."
)


def test_wording_like_a_prohibited_purpose_is_held_for_counsel(stage: Stage, entries: Entries) -> None:
    request = stage.submitted(justification=HELD)
    assert request.state == "held"
    assert not Job.objects.filter(kind=requests.SEARCH).exists()
    [entry] = entries("search:request:held", request=request.id)
    assert entry["reasons"] == ["wording:immigration_status"]
    assert list(holds.queue(stage.cast.cora)) == [request]
    assert list(holds.queue(stage.cast.sam)) == []

    for other in (stage.cast.sam, stage.cast.olivia):
        with pytest.raises(NotAllowed):
            holds.clear(by=other, request=request, note="fine")
    request = holds.clear(by=stage.cast.cora, request=request, note="It is about the assault, read in full.")
    assert request.state == "awaiting_approval"
    [cleared] = entries("search:request:cleared", request=request.id)
    assert cleared["decision"] == "cleared"
    with pytest.raises(StateConflict):
        holds.uphold(by=stage.cast.cora, request=request, note="no")


def test_counsel_upholds_a_hold(stage: Stage, entries: Entries) -> None:
    request = holds.uphold(by=stage.cast.cora, request=stage.submitted(justification=HELD), note="Not for us.")
    assert request.state == "refused"
    assert entries("search:request:cleared", request=request.id)[0]["decision"] == "upheld"


def test_clearing_asks_every_other_rule_again(stage: Stage, entries: Entries) -> None:
    request = stage.submitted(justification=HELD)
    cases.close(by=stage.cast.sam, case=stage.case)
    request = holds.clear(by=stage.cast.cora, request=request, note="Fine as it is.")
    assert request.state == "refused"
    assert "closed" in request.problem
    assert entries("search:request:refused", request=request.id)[0]["reasons"] == ["case:closed"]


def test_a_waiting_request_can_be_taken_back(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    with pytest.raises(NotAllowed):
        requests.withdraw(by=stage.cast.oscar, request=request)
    request = requests.withdraw(by=stage.cast.olivia, request=request)
    assert request.state == "withdrawn"
    assert len(entries("search:request:withdrawn", request=request.id)) == 1
    with pytest.raises(StateConflict):
        requests.withdraw(by=stage.cast.olivia, request=request)
    with pytest.raises(Conflict):
        stage.approve(request)


def test_documents_are_sealed_and_logged(stage: Stage, entries: Entries) -> None:
    request = stage.drafted()
    for data in (b"", b"plain text", b"%PDF-" + b"0" * 20_000_000):
        with pytest.raises(Invalid) as caught:
            requests.attach(by=stage.cast.olivia, request=request, kind="warrant", name="w.pdf", data=data)
        assert list(caught.value.field_errors) == ["attachments"]
    attached = requests.attach(
        by=stage.cast.olivia, request=request, kind="warrant", name="warrant.pdf", data=b"%PDF-1.7 in the name of"
    )
    assert requests.document(attached) == b"%PDF-1.7 in the name of"
    assert b"in the name of" not in sealed.attachment_path(attached.id).read_bytes()
    [entry] = entries("search:attachment:filed", request=request.id)
    assert entry["kind"] == "warrant"


def test_an_agency_without_a_law_pack_in_force_searches_nothing(stage: Stage) -> None:
    stage.cast.agency.law_pack = "atlantis"
    stage.cast.agency.save()
    assert "law_pack:none" in refused_codes(stage)


def test_every_refusal_is_a_glasscase_error(stage: Stage) -> None:
    assert issubclass(SearchRefused, GlasscaseError)
    assert refused(stage, purpose="").sentence
