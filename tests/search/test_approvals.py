"""Approvals: by another person, with the secret, for exactly these parameters, in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.exceptions import Conflict, Invalid, NotAllowed
from core.models import Job
from search import approvals, requests
from search.exceptions import StateConflict
from search.models import SearchRequest
from tests.search.stage import Stage

Entries = Callable[..., list[dict[str, Any]]]
WRONG = "AAAA-BBBB-CCCC-DDDD"


def waiting_jobs() -> int:
    return Job.objects.filter(kind=requests.SEARCH).count()


def test_an_approval_by_another_person_queues_the_search(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    assert list(approvals.queue(stage.cast.sam)) == [request]
    assert list(approvals.queue(stage.cast.olivia)) == []
    assert list(approvals.queue(stage.cast.erin)) == []
    assert waiting_jobs() == 0

    request = stage.approve(request)

    assert request.state == "ready"
    assert request.decided_by == stage.cast.sam
    assert waiting_jobs() == 1
    [entry] = entries("search:request:approved", request=request.id)
    assert entry["approver"] == str(stage.cast.sam.id)
    assert entry["params"] == request.params
    assert list(approvals.queue(stage.cast.sue)) == []


def test_a_wrong_secret_approves_nothing_and_is_in_the_log(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    with pytest.raises(Invalid) as caught:
        approvals.approve(by=stage.cast.sam, request=request, secret=WRONG)
    assert list(caught.value.field_errors) == ["secret"]
    request.refresh_from_db()
    assert request.state == "awaiting_approval"
    assert waiting_jobs() == 0
    assert len(entries("gate:proposal:made", subject=request.id)) == 1
    assert len(entries("gate:proposal:failed", approver=stage.cast.sam.id)) == 1
    assert entries("search:request:approved") == []


def test_a_slip_of_the_finger_does_not_count(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    with pytest.raises(Invalid):
        approvals.approve(by=stage.cast.sam, request=request, secret="not a secret")
    assert entries("gate:proposal:made", subject=request.id) == []


def test_five_wrong_secrets_lock_the_approver(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    for _ in range(5):
        with pytest.raises(Invalid):
            approvals.approve(by=stage.cast.sam, request=request, secret=WRONG)
    with pytest.raises(NotAllowed, match="locked"):
        stage.approve(request)
    with pytest.raises(NotAllowed, match="locked"):
        stage.approve(request)
    assert len(entries("gate:approver:locked", approver=stage.cast.sam.id)) == 1
    assert stage.approve(request, by=stage.cast.sue).state == "ready"


def test_nobody_approves_their_own_search(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    olivia = stage.cast.olivia
    olivia.roles = ["officer", "supervisor"]
    olivia.save()
    with pytest.raises(NotAllowed, match="yourself") as caught:
        approvals.approve(by=olivia, request=request, secret=WRONG)
    assert caught.value.status == 403
    [entry] = entries("search:request:refused", request=request.id)
    assert entry["reasons"] == ["approval:own"]
    assert entry["actor"] == str(olivia.id)


@pytest.mark.parametrize("name", ["oscar", "erin", "cora", "carl", "ada", "bea"])
def test_only_the_roles_of_the_law_pack_approve(stage: Stage, entries: Entries, name: str) -> None:
    request = stage.submitted()
    with pytest.raises(NotAllowed):
        approvals.approve(by=getattr(stage.cast, name), request=request, secret=WRONG)
    assert entries("search:request:refused", request=request.id)[0]["reasons"] == ["approval:not_allowed"]


def test_a_supervisor_of_another_agency_does_not_approve(stage: Stage) -> None:
    request = stage.submitted()
    stage.cast.xavier.roles = ["supervisor"]
    with pytest.raises(NotAllowed, match="another agency"):
        approvals.approve(by=stage.cast.xavier, request=request, secret=WRONG)


def test_an_expired_request_is_not_approved(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    SearchRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert list(approvals.queue(stage.cast.sam)) == []
    with pytest.raises(Conflict, match="expired") as caught:
        stage.approve(request)
    assert caught.value.status == 409
    request.refresh_from_db()
    assert request.state == "expired"
    assert len(entries("search:request:expired", request=request.id)) == 1
    assert entries("search:request:refused", request=request.id)[0]["reasons"] == ["approval:expired"]
    assert entries("gate:proposal:made", subject=request.id) == []


def test_an_approval_is_for_a_request_that_waits(stage: Stage, entries: Entries) -> None:
    request = stage.approved()
    with pytest.raises(StateConflict):
        stage.approve(request, by=stage.cast.sue)
    assert entries("search:request:refused", request=request.id)[0]["reasons"] == ["request:used"]


def test_a_draft_cannot_be_approved(stage: Stage) -> None:
    with pytest.raises(StateConflict):
        stage.approve(stage.drafted())


def test_an_approver_turns_a_search_down(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    with pytest.raises(Invalid):
        approvals.reject(by=stage.cast.sam, request=request, note=" ")
    with pytest.raises(NotAllowed):
        approvals.reject(by=stage.cast.olivia, request=request, note="no")
    request = approvals.reject(by=stage.cast.sam, request=request, note="The man is known by name.")
    assert request.state == "rejected"
    [entry] = entries("search:request:rejected", request=request.id)
    assert list(entry["c"]) == ["note"]
    with pytest.raises(StateConflict):
        stage.approve(request)


def test_a_crash_between_the_approval_and_the_row_is_healed(stage: Stage) -> None:
    from search import life

    request = stage.approved()
    Job.objects.filter(kind=requests.SEARCH).update(state="cancelled")
    SearchRequest.objects.filter(pk=request.pk).update(state="awaiting_approval", decided_by=None, decided_at=None)
    assert life.resume() == 1
    request.refresh_from_db()
    assert (request.state, request.decided_by) == ("ready", stage.cast.sam)
    assert Job.objects.filter(kind=requests.SEARCH, state="queued").count() == 1
