"""Between submission and search: what was right once is asked again, and what the rules saw is what is fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core import people
from core.exceptions import Conflict
from search import cases, gathering, requests
from tests.search.stage import STORY, Stage

Entries = Callable[..., list[dict[str, Any]]]


def test_a_case_closed_since_stops_the_approval(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    cases.close(by=stage.cast.sue, case=stage.case)
    with pytest.raises(Conflict, match="The case is closed since"):
        stage.approve(request)
    assert entries("search:request:refused", request=request.id)[-1]["reasons"] == ["case:closed"]
    assert not entries("gate:act:approved", subject=request.id)
    cases.reopen(by=stage.cast.sue, case=stage.case)
    assert stage.approve(request).state == "ready"


def test_an_officer_who_left_gets_no_approval(stage: Stage, entries: Entries) -> None:
    request = stage.submitted()
    people.deactivate(by=None, user=stage.cast.olivia)
    with pytest.raises(Conflict, match="may not request searches any more"):
        stage.approve(request)
    assert entries("search:request:refused", request=request.id)[-1]["reasons"] == ["requester:left"]


def test_an_officer_taken_off_the_case_after_the_approval_gets_no_search(stage: Stage, entries: Entries) -> None:
    request = stage.approved()
    cases.assign(by=stage.cast.sam, case=stage.case, officers=[stage.cast.oscar])
    stage.run(request)
    assert (request.state, request.intent) == ("refused", None)
    assert "not assigned" in request.problem
    assert entries("search:request:failed", request=request.id)[-1]["reason"] == "case:not_assigned"
    assert not entries("search:intent:filed", request=request.id)


def test_another_tab_changes_nothing_between_the_rules_and_the_decision(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the rules are asked the row is locked, so that a second tab waits and then finds no draft."""
    draft = stage.drafted()
    asked = gathering.gather
    locked = []

    def gather(**given: Any) -> Any:
        from core import database

        with database.connect("app") as other:
            row = "SELECT 1 FROM search_searchrequest WHERE id = %s FOR UPDATE SKIP LOCKED"
            locked.append(other.execute(row, [draft.id]).fetchone() is None)
        return asked(**given)

    monkeypatch.setattr(requests, "gather", gather)
    submitted = requests.submit(by=stage.cast.olivia, request=draft, fields=stage.fields())
    assert locked == [True]
    assert requests.typed(submitted).justification == STORY


def test_a_supervisor_sees_a_draft_only_while_its_photo_waits_to_be_accepted(stage: Stage) -> None:
    draft = stage.drafted()
    sam = Client()
    sam.force_login(stage.cast.sam)
    pages = ["search", "probe_image", "photo_accept"]
    assert [sam.get(reverse(page, args=[draft.id])).status_code for page in pages] == [404, 404, 404]
    draft.shortfalls = ["too_dark"]
    draft.save()
    assert [sam.get(reverse(page, args=[draft.id])).status_code for page in pages] == [200, 200, 200]


def test_what_cannot_be_read_is_refused_in_the_log_and_never_a_fault(stage: Stage, entries: Entries) -> None:
    draft = requests.draft(by=stage.cast.olivia)
    olivia = Client()
    olivia.force_login(stage.cast.olivia)
    for field in ("purpose", "gallery", "legal_basis", "probe_kind", "offence", "case_number", "justification"):
        answer = olivia.post(reverse("search_edit", args=[draft.id]), {field: "a\x00b", "do": "submit"})
        assert answer.status_code == 422, field
    reasons = [entry["reasons"] for entry in entries("search:request:refused", request=draft.id)]
    assert reasons == [["request:unreadable"]] * 7


def test_an_own_request_cannot_be_turned_down_by_oneself_either(stage: Stage, entries: Entries) -> None:
    from core.exceptions import NotAllowed
    from search import approvals

    request = stage.submitted()
    people.change_roles(by=None, user=stage.cast.olivia, roles=["officer", "supervisor"])
    stage.cast.olivia.refresh_from_db()
    with pytest.raises(NotAllowed):
        approvals.reject(by=stage.cast.olivia, request=request, note="No reason at all")
    assert entries("search:request:refused", request=request.id)[-1]["reasons"] == ["approval:own"]
