"""A whole search by API alone, and what the API answers to each kind of bad input."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.log import storage, verifier_keys, verify
from core import jobs
from core.database import session
from core.models import Job
from core.portraits import portrait_jpeg
from search import cases, intake, requests
from search.models import SearchRequest
from tests.api_client import Api, Caller, expect
from tests.core.access_rows import somebody
from tests.people import Cast
from tests.search.stage import NUMBER, OFFENCE, PEOPLE, STORY, Stage
from tests.search.test_intake import UNUSABLE, crowd

Entries = Callable[..., list[dict[str, Any]]]
FIELDS: dict[str, Any] = {
    "case_number": NUMBER,
    "purpose": "identify_suspect",
    "offence": OFFENCE,
    "legal_basis": "probable_cause",
    "justification": STORY,
    "gallery": "bookings",
    "probe_kind": "photo",
}


@pytest.fixture
def api(database: Any) -> Api:
    return Api()


def work(kind: str, request: str) -> None:
    """What a worker does."""
    assert jobs.run(Job.objects.get(kind=kind, subject=request, state="queued").id) == "done"


def drafted(officer: Caller, photo: bytes | None = None, **fields: Any) -> str:
    """The id of a draft with a checked photo."""
    request = officer.post("/requests/", 201, **FIELDS | fields)["id"]
    sent = officer("PUT", f"/requests/{request}/probe/", photo or portrait_jpeg(PEOPLE[0], 1), "image/jpeg")
    expect(sent, 202)
    work(intake.PROBE_CHECK, request)
    return str(request)


def submitted(officer: Caller) -> str:
    request = drafted(officer)
    officer.post(f"/requests/{request}/submit/")
    return request


def verified(place: Path, receipt: bytes, entry: bytes) -> bool:
    """What the program for outsiders says about a receipt."""
    (place / "receipt").write_bytes(receipt)
    (place / "entry").write_bytes(entry)
    key = str(verifier_keys.published()[0])
    files = ["--receipt", str(place / "receipt"), "--entry", str(place / "entry")]
    return verify.main([str(place / "log"), "--key", key, *files]) == 0


def test_a_whole_search_by_api_alone(
    stage: Stage, api: Api, log_at_work: None, entries: Entries, tmp_path: Path
) -> None:
    cast = stage.cast
    officer, supervisor, examiner = (api.as_(person) for person in (cast.olivia, cast.sam, cast.erin))
    assert [one["number"] for one in officer.get("/cases/")["results"]] == [NUMBER]
    assert officer.get("/galleries/")["results"][0]["name"] == "bookings"

    request = officer.post("/requests/", 201, case_number=NUMBER)["id"]
    sent = officer.send(f"/requests/{request}/probe/", portrait_jpeg(PEOPLE[1], 1), "lamp.jpg", "probe", "PUT")
    assert expect(sent, 202)["state"] == "draft"
    assert officer.get(f"/requests/{request}/faces/") == {"checked": False, "chosen": None, "faces": []}
    work(intake.PROBE_CHECK, request)
    faces = officer.get(f"/requests/{request}/faces/")
    assert (faces["checked"], faces["chosen"], len(faces["faces"])) == (True, 1, 1)
    officer.patch(f"/requests/{request}/", **{name: FIELDS[name] for name in ("purpose", "offence", "legal_basis")})
    rest = {name: FIELDS[name] for name in ("justification", "gallery", "probe_kind")}
    assert officer.post(f"/requests/{request}/submit/", **rest)["state"] == "awaiting_approval"

    assert [one["id"] for one in supervisor.get("/approvals/")["results"]] == [request]
    assert supervisor.get(f"/requests/{request}/")["typed"]["justification"] == STORY
    assert supervisor("GET", f"/requests/{request}/probe/").content.startswith(b"\xff\xd8\xff")
    assert supervisor.post(f"/requests/{request}/approve/", secret=cast.secrets[cast.sam.id])["state"] == "ready"
    work(requests.SEARCH, request)

    assert officer.get(f"/requests/{request}/")["state"] == "done"
    assert [one["id"] for one in examiner.get("/results/")["results"]] == [request]
    reading = examiner.post(f"/requests/{request}/readings/", 201)
    first = reading["candidates"][0]
    assert (first["rank"], first["template"]) == (1, str(stage.templates[PEOPLE[1]]))
    assert first["photo"]["person_ref"] == f"G{PEOPLE[1]:04d}"
    photo = examiner("GET", f"/readings/{reading['view']}/photos/{first['template']}/")
    assert (photo.status_code, photo["Content-Type"], photo["Cache-Control"]) == (200, "image/jpeg", "no-store")
    assert photo.content.startswith(b"\xff\xd8\xff")
    crop = examiner("GET", f"/readings/{reading['view']}/crops/{first['template']}/")
    assert crop.content.startswith(b"\x89PNG")
    assert reading["measured"] is None  # the stage adopts a threshold without a report
    assert examiner("GET", f"/requests/{request}/probe/crop/").content.startswith(b"\x89PNG")
    expect(api.as_(cast.ed)("GET", f"/readings/{reading['view']}/photos/{first['template']}/"), 403)
    # The requester sees the status and proves the search; the candidates are not hers to see.
    expect(officer("POST", f"/requests/{request}/readings/"), 403)

    assert [one["kind"] for one in officer.get(f"/requests/{request}/receipts/")] == ["intent", "bound", "result"]
    files = {}
    for kind in ("intent", "bound", "result"):
        receipt = officer("GET", f"/requests/{request}/receipts/{kind}/")
        entry = officer("GET", f"/requests/{request}/receipts/{kind}/entry/")
        assert json.loads(entry.content)["request"] == request
        files[kind] = (receipt.content, entry.content)
    storage.export(session(), tmp_path / "log")
    for receipt, entry in files.values():
        assert verified(tmp_path, receipt, entry)
        assert not verified(tmp_path, receipt, entry.replace(b'"v":1', b'"v":2'))
    assert len(entries("search:receipt:downloaded", request=request)) == 6
    [logged] = entries("search:candidates:viewed", request=request)
    assert logged["viewer"] == str(cast.erin.id)

    replayed = supervisor.post(f"/requests/{request}/replay/", approver="sue", secret=cast.secrets[cast.sue.id])
    assert replayed["comparison"] == "same"


def test_a_token_works_with_either_word(stage: Stage, api: Api) -> None:
    caller = api.as_(stage.cast.olivia)
    assert Caller(caller.token, "Token").get("/me/")["username"] == "olivia"
    expect(Caller("gct_" + "x" * 43)("GET", "/me/"), 401)
    refused = Client().get("/api/v1/me/")
    assert refused.status_code == 401
    assert refused["WWW-Authenticate"].startswith("Bearer")


def test_a_session_changes_nothing_without_its_csrf_token(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.olivia)
    refused = expect(client.post("/api/v1/requests/", {}, content_type="application/json"), 403)
    assert "CSRF" in refused["sentence"]
    assert not SearchRequest.objects.exists()
    client.get("/account/")
    token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else ""
    assert token, "the page with forms sets it"
    made = client.post("/api/v1/requests/", {}, content_type="application/json", headers={"X-CSRFToken": token})
    expect(made, 201)


def test_whoever_has_somebody_elses_password_gets_nothing(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.olivia)
    cast.olivia.must_change_password = True
    cast.olivia.save()
    expect(client.get("/api/v1/me/"), 401)


# What is missing or wrong


def test_a_missing_field_is_named_nothing_runs_and_the_refusal_is_an_entry(
    stage: Stage, api: Api, entries: Entries
) -> None:
    officer = api.as_(stage.cast.olivia)
    for missing in ("case_number", "purpose", "offence", "justification"):
        for left_out in (True, False):
            request = officer.post("/requests/", 201)["id"]
            body = {**FIELDS, missing: ""}
            if left_out:
                del body[missing]
            refused = officer.post(f"/requests/{request}/submit/", 422, **body)
            assert refused["code"] == "refused"
            assert missing in refused["fields"]
            [logged] = entries("search:request:refused", request=request)
            assert [one["rule"] for one in refused["refusals"]] == logged["reasons"]
            assert f"{missing.removesuffix('_number')}:missing" in logged["reasons"]
            assert logged["channel"] == "api"
    assert {"rule", "field", "sentence", "citation", "caveat"} == refused["refusals"][0].keys()
    assert set(SearchRequest.objects.values_list("state", flat=True)) == {"draft"}
    assert not Job.objects.exists()
    assert not entries("search:request:submitted")


def test_what_cannot_even_be_asked_is_refused_and_logged_too(stage: Stage, api: Api, entries: Entries) -> None:
    officer = api.as_(stage.cast.olivia)
    wrong: list[dict[str, Any]] = [
        {"k": "many"},
        {"threshold": 10**30},
        {"case_number": {"number": NUMBER}},
        {"justification": "a\0b"},
        {"justification": "\ud800"},
        {"emergency": "perhaps"},
    ]
    for changes in wrong:
        request = officer.post("/requests/", 201)["id"]
        refused = officer.post(f"/requests/{request}/submit/", 422, **FIELDS | changes)
        assert list(refused["fields"]) == list(changes)
        [logged] = entries("search:request:refused", request=request)
        assert (logged["reasons"], logged["channel"]) == (["request:unreadable"], "api")


def test_what_the_rules_refuse_is_said_with_its_field(stage: Stage, api: Api, entries: Entries) -> None:
    officer = api.as_(stage.cast.olivia)
    request = drafted(officer)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"k": 10_000}, "k"),
        ({"k": 0}, "k"),
        ({"threshold": 0}, "threshold"),
        ({"gallery": "no such gallery"}, "gallery"),
        ({"gallery": str(uuid.uuid4())}, "gallery"),
        ({"edition": 999}, "gallery"),
        ({"case_number": "2026-99999"}, "case_number"),
        ({"purpose": "immigration_status"}, "purpose"),
        ({"justification": "Need a search."}, "justification"),
    ]
    for changes, field in wrong:
        refused = officer.post(f"/requests/{request}/submit/", 422, **FIELDS | changes)
        assert field in refused["fields"], changes
    assert len(entries("search:request:refused", request=request)) == len(wrong)
    assert not Job.objects.filter(kind=requests.SEARCH).exists()


def test_a_file_that_is_no_usable_photo_gets_a_sentence(cast: Cast, api: Api) -> None:
    officer = api.as_(cast.olivia)
    address = f"/requests/{officer.post('/requests/', 201)['id']}/probe/"
    for name, content in UNUSABLE.items():
        for answer in (
            officer.send(address, content, "face.jpg", "probe", "PUT"),
            officer("PUT", address, content, "image/jpeg"),
        ):
            if name == "thirty_megabytes":
                assert "at most 26.0 MB" in expect(answer, 413)["sentence"]
            else:
                assert list(expect(answer, 422)["fields"]) == ["probe"], name
    assert not Job.objects.exists()


def test_a_probe_has_to_be_there_and_of_a_known_kind(cast: Cast, api: Api) -> None:
    officer = api.as_(cast.olivia)
    address = f"/requests/{officer.post('/requests/', 201)['id']}/probe/"
    expect(officer("PUT", address, portrait_jpeg(0, 0), "text/plain"), 415)
    expect(officer("PUT", address, {"probe": "text"}), 415)
    assert list(expect(officer.send(address, b"x", "x.jpg", "other", "PUT"), 422)["fields"]) == ["probe"]
    assert list(expect(officer("PUT", address, b"", "image/png"), 422)["fields"]) == ["probe"]


def test_of_several_faces_one_has_to_be_chosen_that_is_there(stage: Stage, api: Api, entries: Entries) -> None:
    officer = api.as_(stage.cast.olivia)
    request = drafted(officer, crowd(11))
    found = len(officer.get(f"/requests/{request}/faces/")["faces"])
    assert found >= 9
    refused = officer.post(f"/requests/{request}/submit/", 422)
    assert list(refused["fields"]) == ["chosen_face"]
    assert len(entries("search:request:refused", request=request)) == 1
    for wrong in (0, -1, found + 1):
        assert list(officer.post(f"/requests/{request}/face/", 422, face=wrong)["fields"]) == ["chosen_face"]
    assert list(officer.post(f"/requests/{request}/face/", 422, face="left")["fields"]) == ["face"]
    assert officer.post(f"/requests/{request}/face/", face=2)["chosen_face"] == 2


def test_a_face_is_chosen_after_the_check(cast: Cast, api: Api) -> None:
    officer = api.as_(cast.olivia)
    request = officer.post("/requests/", 201)["id"]
    expect(officer("PUT", f"/requests/{request}/probe/", portrait_jpeg(0, 0), "image/jpeg"), 202)
    assert "still being checked" in officer.post(f"/requests/{request}/face/", 409, face=1)["sentence"]


def test_no_face_and_a_small_face_are_said_with_the_measure(stage: Stage, api: Api) -> None:
    import numpy as np
    from PIL import Image

    from core.portraits import portrait
    from tests.search.test_intake import encoded

    officer = api.as_(stage.cast.olivia)
    nobody = drafted(officer, encoded(np.full((300, 300, 3), 90, np.uint8)))
    assert "probe" in officer.post(f"/requests/{nobody}/submit/", 422)["fields"]

    canvas = Image.new("RGB", (400, 400), (120, 120, 120))
    canvas.paste(Image.fromarray(portrait(0, 0)).resize((90, 90)), (150, 150))
    small = drafted(officer, encoded(np.asarray(canvas)))
    [face] = officer.get(f"/requests/{small}/faces/")["faces"]
    said = [one["sentence"] for one in face["shortfalls"] if one["code"] == "face_too_small"]
    assert f"{face['measures']['face_px']:g} pixels" in said[0]
    assert "probe" in officer.post(f"/requests/{small}/submit/", 422)["fields"]
    supervisor = api.as_(stage.cast.sam)
    assert [one["id"] for one in supervisor.get("/photos-to-accept/")["results"]] == [small]
    assert "note" in supervisor.post(f"/requests/{small}/quality/", 422, note="ok")["fields"]
    if all(one["overridable"] for one in face["shortfalls"]):
        supervisor.post(f"/requests/{small}/quality/", note="The only picture of him that there is.")
        assert officer.post(f"/requests/{small}/submit/")["state"] == "awaiting_approval"


# Who may not, and what cannot be now


def test_someone_elses_case_is_refused_to_the_person(stage: Stage, api: Api, entries: Entries) -> None:
    request = drafted(api.as_(stage.cast.oscar))
    refused = api.as_(stage.cast.oscar).post(f"/requests/{request}/submit/", 403)
    assert [one["rule"] for one in refused["refusals"]] == ["case:not_assigned"]
    assert len(entries("search:request:refused", request=request)) == 1


def test_a_closed_case_refuses_a_search(stage: Stage, api: Api, entries: Entries) -> None:
    request = drafted(api.as_(stage.cast.olivia))
    api.as_(stage.cast.sam).post(f"/cases/{stage.case.pk}/close/")
    refused = api.as_(stage.cast.olivia).post(f"/requests/{request}/submit/", 409)
    assert [one["rule"] for one in refused["refusals"]] == ["case:closed"]
    assert len(entries("search:request:refused", request=request)) == 1


def test_expired_training_refuses_a_search(stage: Stage, api: Api, entries: Entries) -> None:
    olivia = stage.cast.olivia
    olivia.training_until = timezone.now().date() - timedelta(days=1)
    olivia.save()
    request = drafted(api.as_(olivia))
    refused = api.as_(olivia).post(f"/requests/{request}/submit/", 403)
    assert [one["rule"] for one in refused["refusals"]] == ["training:expired"]
    assert len(entries("search:request:refused", request=request)) == 1


def test_a_request_is_submitted_once(stage: Stage, api: Api, entries: Entries) -> None:
    officer = api.as_(stage.cast.olivia)
    request = submitted(officer)
    assert "waits for an approval" in officer.post(f"/requests/{request}/submit/", 409)["sentence"]
    officer.patch(f"/requests/{request}/", 409, purpose="identify_victim")
    expect(officer("PUT", f"/requests/{request}/probe/", portrait_jpeg(1, 1), "image/jpeg"), 409)
    [logged] = entries("search:request:refused", request=request)
    assert logged["reasons"] == ["request:used"]


def test_nobody_approves_their_own_request(stage: Stage, api: Api, entries: Entries) -> None:
    both = somebody(stage.cast, roles=["officer", "supervisor"], training_until=stage.cast.olivia.training_until)
    cases.assign(by=stage.cast.sam, case=stage.case, officers=[stage.cast.olivia, both])
    caller = api.as_(both)
    request = submitted(caller)
    refused = caller.post(f"/requests/{request}/approve/", 403, secret="ABCD-EF23-GHIJ-K456")
    assert "another person has to approve it" in refused["sentence"]
    [logged] = entries("search:request:refused", request=request)
    assert logged["reasons"] == ["approval:own"]
    assert not entries("gate:proposal:made", subject=request)


def test_a_wrong_approval_secret_approves_nothing_and_is_counted(stage: Stage, api: Api, entries: Entries) -> None:
    request = submitted(api.as_(stage.cast.olivia))
    supervisor = api.as_(stage.cast.sam)
    assert list(supervisor.post(f"/requests/{request}/approve/", 422, secret="ABCD-EF23-GHIJ-K456")["fields"]) == [
        "secret"
    ]
    assert list(supervisor.post(f"/requests/{request}/approve/", 422, secret="short")["fields"]) == ["secret"]
    assert list(supervisor.post(f"/requests/{request}/approve/", 422)["fields"]) == ["secret"]
    assert len(entries("gate:proposal:failed")) == 1
    assert SearchRequest.objects.get(pk=request).state == "awaiting_approval"


def test_an_expired_request_is_not_approved(stage: Stage, api: Api, entries: Entries) -> None:
    request = submitted(api.as_(stage.cast.olivia))
    SearchRequest.objects.filter(pk=request).update(expires_at=timezone.now() - timedelta(seconds=1))
    secret = stage.cast.secrets[stage.cast.sam.id]
    refused = api.as_(stage.cast.sam).post(f"/requests/{request}/approve/", 409, secret=secret)
    assert "expired" in refused["sentence"]
    [logged] = entries("search:request:refused", request=request)
    assert logged["reasons"] == ["approval:expired"]
    assert not Job.objects.filter(kind=requests.SEARCH).exists()


def test_turning_down_and_taking_back_end_a_request(stage: Stage, api: Api) -> None:
    officer, supervisor = api.as_(stage.cast.olivia), api.as_(stage.cast.sam)
    first = submitted(officer)
    assert list(supervisor.post(f"/requests/{first}/reject/", 422, note=" ")["fields"]) == ["note"]
    assert supervisor.post(f"/requests/{first}/reject/", note="The van was found.")["state"] == "rejected"
    second = submitted(officer)
    assert officer.post(f"/requests/{second}/withdraw/")["state"] == "withdrawn"
    for request in (first, second):
        officer.post(f"/requests/{request}/withdraw/", 409)
        secret = stage.cast.secrets[stage.cast.sam.id]
        supervisor.post(f"/requests/{request}/approve/", 409, secret=secret)


def test_counsel_decides_what_was_held(stage: Stage, api: Api) -> None:
    officer, counsel = api.as_(stage.cast.olivia), api.as_(stage.cast.cora)
    story = STORY + " Immigration and Customs Enforcement asked for the immigration status of the man as well."
    request = drafted(officer, justification=story)
    assert officer.post(f"/requests/{request}/submit/")["state"] == "held"
    assert [one["id"] for one in counsel.get("/holds/")["results"]] == [request]
    assert list(counsel.post(f"/requests/{request}/clear/", 422)["fields"]) == ["note"]
    assert counsel.post(f"/requests/{request}/clear/", note="It is about the robbery.")["state"] == "awaiting_approval"
    counsel.post(f"/requests/{request}/uphold/", 409, note="Too late.")


def test_candidates_wait_for_the_result(stage: Stage, api: Api, entries: Entries) -> None:
    request = submitted(api.as_(stage.cast.olivia))
    assert "not there yet" in api.as_(stage.cast.erin).post(f"/requests/{request}/readings/", 409)["sentence"]
    assert not entries("search:candidates:viewed")


def test_what_belongs_to_others_is_not_found(stage: Stage, api: Api) -> None:
    request = submitted(api.as_(stage.cast.olivia))
    for stranger in (stage.cast.oscar, stage.cast.xavier):
        caller = api.as_(stranger)
        for method, part in [
            ("GET", ""),
            ("PATCH", ""),
            ("GET", "probe/"),
            ("GET", "faces/"),
            ("GET", "attachments/"),
            ("GET", "receipts/"),
            ("GET", "receipts/intent/"),
            ("POST", "submit/"),
            ("POST", "withdraw/"),
            ("POST", "face/"),
        ]:
            expect(caller(method, f"/requests/{request}/{part}"), 404)
        assert caller.get("/requests/")["count"] == 0
        expect(caller("GET", f"/cases/{stage.case.pk}/"), 404)
        assert caller.get("/cases/")["count"] == 0
    elsewhere = somebody(stage.cast, agency=stage.cast.other_agency, roles=["supervisor"])
    for part in ("", "approve/", "reject/", "quality/", "replay/"):
        expect(api.as_(elsewhere)("POST" if part else "GET", f"/requests/{request}/{part}"), 404)
    expect(api.as_(elsewhere)("GET", f"/galleries/{stage.gallery.pk}/"), 404)
    # Nothing happened.
    assert SearchRequest.objects.get(pk=request).state == "awaiting_approval"


def test_documents_are_filed_listed_and_read_by_who_decides(stage: Stage, api: Api) -> None:
    officer = api.as_(stage.cast.olivia)
    request = drafted(officer)
    address = f"/requests/{request}/attachments/"
    filed = expect(officer.send(address, b"%PDF-1.7 order", "order.pdf", kind="court_order"), 201)
    assert (filed["kind"], filed["name"], filed["size"]) == ("court_order", "order.pdf", 14)
    for content, kind in ((b"plain text", "court_order"), (b"%PDF-1.7", "a_letter"), (b"", "court_order")):
        refused = expect(officer.send(address, content, "x.pdf", kind=kind), 422)
        assert refused["fields"].keys() <= {"attachments", "file"}
    assert [one["id"] for one in officer.get(address)] == [filed["id"]]
    supervisor = api.as_(stage.cast.sam)
    officer.post(f"/requests/{request}/submit/")
    answer = supervisor("GET", f"{address}{filed['id']}/")
    assert (answer.content, answer["Content-Type"]) == (b"%PDF-1.7 order", "application/octet-stream")
    assert answer["Content-Disposition"].startswith("attachment")
    expect(supervisor("GET", f"{address}{uuid.uuid4()}/"), 404)
    expect(api.as_(stage.cast.bea)("GET", address), 403)
    assert api.as_(stage.cast.bea).get(f"/requests/{request}/")["typed"] is None
