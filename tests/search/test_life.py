"""A search from draft to candidates, with the real face model, gate and log."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audit.log import signer, verifier_keys
from audit.log.proof import Receipt
from core import jobs, keystore
from core.exceptions import Conflict, NotAllowed, NotFound
from core.models import Job
from search import approvals, life, readings, requests, sealed
from search.exceptions import SearchNotAllowed
from search.models import SearchRequest
from search.steps import Progress, steps
from tests.search.stage import PEOPLE, STRANGER, Stage, running_log

Entries = Callable[..., list[dict[str, Any]]]


def test_a_justified_search_finds_the_enrolled_person_and_leaves_its_receipts(
    stage: Stage, log_at_work: None, entries: Entries
) -> None:
    request = stage.done(PEOPLE[1])

    reading = readings.open_candidates(by=stage.cast.erin, request=request)
    assert reading.candidates[0].template == stage.templates[PEOPLE[1]]
    assert reading.candidates[0].rank == 1
    assert reading.candidates[0].photo is not None
    assert reading.candidates[0].photo.person_ref == f"G{PEOPLE[1]:04d}"
    assert reading.candidates[0].score_milli >= 900
    photo = readings.photo(by=stage.cast.erin, view=reading.view, template=reading.candidates[0].template)
    assert photo.startswith(b"\xff\xd8\xff")
    crop = readings.crop(by=stage.cast.erin, view=reading.view, template=reading.candidates[0].template)
    assert crop.startswith(b"\x89PNG")
    assert sealed.read_file(request, sealed.crop_path(request)).startswith(b"\x89PNG")

    files = readings.receipts(by=stage.cast.olivia, request=request)
    assert [file.kind for file in files] == ["intent", "bound", "result"]
    for file in files:
        Receipt.parse(file.receipt).verify(file.body, verifier_keys.published())
    for type_ in ("submitted", "approved"):
        assert len(entries(f"search:request:{type_}", request=request.id)) == 1
    [view] = entries("search:candidates:viewed", request=request.id)
    assert view["viewer"] == str(stage.cast.erin.id)
    with pytest.raises(keystore.KeyMissing):
        keystore.get(requests.claim_record(request.id))
    path = steps(request)
    assert [step.code for step in path] == ["requested", "approved", "intent", "receipt", "bound", "searched", "result"]
    assert {step.state for step in path} == {Progress.DONE}
    assert [step.at for step in path] == sorted(step.at for step in path if step.at)


def test_a_stranger_has_no_candidate_and_that_is_a_result(stage: Stage, log_at_work: None) -> None:
    stage.adopt(threshold=985_000)
    request = stage.done(STRANGER)
    reading = readings.open_candidates(by=stage.cast.erin, request=request)
    assert reading.candidates == []


def test_every_reading_is_an_entry_of_its_own(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Entries
) -> None:
    request = searched
    first = readings.open_candidates(by=stage.cast.erin, request=request)
    second = readings.open_candidates(by=stage.cast.ed, request=request)
    # Whoever reads second reads blind: the same people, in another order and without scores.
    assert not first.blind
    assert second.blind
    assert {row.template for row in first.candidates} == {row.template for row in second.candidates}
    assert first.view != second.view
    viewers = [entry["viewer"] for entry in entries("search:candidates:viewed", request=request.id)]
    assert viewers == [str(stage.cast.erin.id), str(stage.cast.ed.id)]
    with pytest.raises(NotAllowed, match="somebody else"):
        readings.photo(by=stage.cast.ed, view=first.view, template=first.candidates[0].template)
    with pytest.raises(Conflict):
        readings.photo(by=stage.cast.erin, view=first.view, template=uuid.uuid4())


def test_only_examiners_read_candidates(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Entries
) -> None:
    request = searched
    for name in ("olivia", "oscar", "sam", "cora", "carl", "bea", "axel", "ada", "xavier"):
        with pytest.raises(NotAllowed):
            readings.open_candidates(by=getattr(stage.cast, name), request=request)
    assert entries("search:candidates:viewed") == []


def test_a_request_is_used_up_by_one_search(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Entries
) -> None:
    request = searched
    for again in (
        lambda: requests.submit(by=stage.cast.olivia, request=request, fields=stage.fields()),
        lambda: requests.withdraw(by=stage.cast.olivia, request=request),
    ):
        with pytest.raises(Conflict):
            again()
    assert len(entries("search:probe:bound", request=request.id)) == 1
    assert len(entries("search:result:stored", request=request.id)) == 1


def test_without_a_sequencer_the_search_waits_and_nothing_is_read(
    stage: Stage, settings: Any, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.faces.engines.dlib import DlibEngine

    settings.GLASSCASE_LOG_WAIT_SECONDS = 1
    read: list[Any] = []
    monkeypatch.setattr(DlibEngine, "embed", lambda *given: read.append(given))
    request = stage.approved()
    assert stage.run(request) == "queued"
    assert request.state == "running"
    assert "sequencer does not answer" in request.problem
    assert len(entries("search:intent:filed", request=request.id)) == 1
    assert read == []
    assert [step.state for step in steps(request)][:4] == ["done", "done", "done", "now"]


def test_without_a_signer_the_search_waits_and_goes_on_later(
    stage: Stage, database: Any, settings: Any, entries: Entries
) -> None:
    settings.GLASSCASE_LOG_WAIT_SECONDS = 1
    request = stage.approved()
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN, sign=False):
        assert stage.run(request) == "queued"
        assert "signer does not answer" in request.problem
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        assert stage.run(request) == "done"
    assert (request.state, request.problem) == ("done", "")
    for type_ in ("intent:filed", "probe:bound", "result:stored"):
        assert len(entries(f"search:{type_}", request=request.id)) == 1


def test_a_search_that_was_given_up_by_its_job_is_resumed(stage: Stage, settings: Any) -> None:
    settings.GLASSCASE_LOG_WAIT_SECONDS = 1
    request = stage.approved()
    Job.objects.filter(kind=requests.SEARCH).update(attempts=jobs.MAX_ATTEMPTS - 1)
    assert stage.run(request) == "failed"
    assert request.state == "running", "the log was silent: that is no reason to end the search"
    assert life.resume() == 1
    assert Job.objects.filter(kind=requests.SEARCH, state="queued").count() == 1


def test_a_fault_ends_the_search_with_an_entry(
    stage: Stage, log_at_work: None, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stage.approved()
    sealed.probe_path(request).unlink()
    stage.run(request)
    assert request.state == "failed"
    assert request.problem.endswith(".")
    assert entries("search:request:failed", request=request.id)[0]["reason"] == "probe"
    assert entries("search:probe:bound") == []


def test_a_signature_of_somebody_else_stops_the_search(
    stage: Stage, log_at_work: None, database: Any, settings: Any, entries: Entries, tmp_path: Path
) -> None:
    with signer.open_signer(tmp_path / "other", settings.GLASSCASE_LOG_ORIGIN) as other:
        (tmp_path / "vkey").write_text(f"{other.key}\n")
    settings.GLASSCASE_LOG_VKEYS = str(tmp_path / "vkey")
    settings.GLASSCASE_LOG_WAIT_SECONDS = 1
    request = stage.approved()
    assert stage.run(request) == "queued"
    assert request.state == "running"
    assert "public key" in request.problem
    assert entries("search:probe:bound") == []


def test_what_the_gate_refuses_ends_with_its_sentence(stage: Stage, log_at_work: None, entries: Entries) -> None:
    request = stage.approved()
    stage.adopt(threshold=950_000)
    stage.run(request)
    assert request.state == "refused"
    assert "threshold" in request.problem
    assert entries("search:request:failed", request=request.id)[0]["reason"] == "threshold"
    assert entries("search:result:stored") == []


def test_a_search_that_was_not_run_in_time_expires(stage: Stage, log_at_work: None, entries: Entries) -> None:
    request = stage.approved()
    SearchRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert stage.run(request) == "done"
    assert request.state == "expired"
    assert len(entries("search:request:expired", request=request.id)) == 1
    assert entries("search:intent:filed") == []
    other = stage.submitted()
    SearchRequest.objects.filter(pk=other.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert life.expire_old() == 1
    assert life.expire_old() == 0


def test_a_search_withdrawn_while_it_waits_for_the_log_is_not_run(
    stage: Stage, database: Any, settings: Any, entries: Entries
) -> None:
    settings.GLASSCASE_LOG_WAIT_SECONDS = 1
    request = stage.approved()
    assert stage.run(request) == "queued"
    requests.withdraw(by=stage.cast.olivia, request=request)
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        stage.run(request)
    assert request.state == "withdrawn"
    assert entries("search:probe:bound") == []


EMERGENCY: dict[str, Any] = {"emergency": True, "purpose": "imminent_threat", "legal_basis": "exigent_circumstances"}


def test_an_emergency_runs_first_and_is_approved_later(stage: Stage, log_at_work: None, entries: Entries) -> None:
    request = stage.submitted(**EMERGENCY)
    assert request.state == "ready"
    assert stage.run(request) == "done"
    assert request.state == "done"
    assert request.deadline_at is not None
    assert [step.state for step in steps(request) if step.code == "approved"] == [Progress.LEFT_OUT]
    assert readings.open_candidates(by=stage.cast.erin, request=request).candidates
    assert list(approvals.queue(stage.cast.sam)) == [request]
    request = stage.approve(request)
    assert (request.state, request.decided_by) == ("done", stage.cast.sam)
    assert list(approvals.queue(stage.cast.sam)) == []
    with pytest.raises(Conflict):
        stage.approve(request, by=stage.cast.sue)
    assert entries("search:probe:bound", request=request.id)[0]["emergency"] is True


def test_an_emergency_that_nobody_approved_in_time_is_sealed(stage: Stage, log_at_work: None, entries: Entries) -> None:
    stage.set_policy("emergency_deadline_hours", 0)
    request = stage.submitted(**EMERGENCY)
    assert stage.run(request) == "done"
    assert request.state == "done"
    with pytest.raises(Conflict, match="sealed"):
        readings.open_candidates(by=stage.cast.erin, request=request)
    assert life.seal_overdue() == 1
    assert life.seal_overdue() == 0
    assert entries("search:outcome:sealed", request=request.id)[0]["reason"] == "emergency_overdue"
    with pytest.raises(Conflict, match="deadline"):
        stage.approve(request)
    with pytest.raises(SearchNotAllowed) as caught:
        stage.submitted(**EMERGENCY)
    assert caught.value.codes == ["emergency:overdue"]


def test_the_law_packs_deadline_holds_where_it_is_shorter_than_the_gates(
    stage: Stage, log_at_work: None, entries: Entries
) -> None:
    request = stage.submitted(**EMERGENCY)
    assert stage.run(request) == "done"
    assert request.deadline_at is not None
    left = request.deadline_at - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(hours=24), "Utah's pack says 24 hours, the gate 48"
    SearchRequest.objects.filter(pk=request.pk).update(deadline_at=timezone.now())
    with pytest.raises(Conflict, match="sealed"):
        readings.open_candidates(by=stage.cast.erin, request=request)
    assert entries("search:candidates:viewed") == []
    assert list(approvals.queue(stage.cast.sam)) == []


def test_a_replay_gives_the_same_list(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Entries
) -> None:
    request = searched
    secret = stage.cast.secrets[stage.cast.sam.id]
    found = readings.replay(by=stage.cast.sam, request=request, approver=stage.cast.sam, secret=secret)
    assert (found.comparison, found.expunged) == ("same", 0)
    assert len(entries("search:result:replayed", request=request.id)) == 1
    with pytest.raises(NotAllowed):
        readings.replay(by=stage.cast.olivia, request=request, approver=stage.cast.olivia, secret=secret)


def test_a_downloaded_receipt_is_an_entry(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Entries
) -> None:
    request = searched
    file = readings.download_receipt(by=stage.cast.olivia, request=request, kind="result")
    assert entries("search:receipt:downloaded", request=request.id)[0]["entry"] == str(file.entry)
    with pytest.raises(NotAllowed):
        readings.download_receipt(by=stage.cast.oscar, request=request, kind="result")
    with pytest.raises(NotFound):
        readings.download_receipt(by=stage.cast.olivia, request=request, kind="nothing")
