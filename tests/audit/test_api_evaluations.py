"""Evaluations by API: listed, read, downloaded, adopted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit import evaluation_work, evaluations
from core import database
from search.gate import client
from tests.api_client import Api, expect
from tests.core.log_entries import entries
from tests.people import Cast

Portraits = Callable[..., Path]


def test_an_auditor_downloads_what_the_log_has_the_hash_of(cast: Cast, portraits: Portraits) -> None:
    api = Api()
    evaluation = evaluations.start(
        by=cast.carl,
        manifest=portraits(16, 2),
        cohorts=("cohort",),
        acceptance_policy="demo",
        target_fmr=0.01,
        generated_people=True,
        label_source="assigned",
        here=True,
    )
    auditor = api.as_(cast.axel)
    # Not published yet: nobody reads it.
    assert auditor.get("/evaluations/")["count"] == 0
    expect(auditor("GET", f"/evaluations/{evaluation.pk}/"), 404)
    evaluation_work.run_here(evaluation)

    [listed] = auditor.get("/evaluations/")["results"]
    assert (listed["id"], listed["verdict"], listed["adopted_at"]) == (str(evaluation.pk), "cannot_be_shown", None)
    found = auditor.get(f"/evaluations/{evaluation.pk}/")
    assert "report.json" in found["files"]
    answer = auditor("GET", f"/evaluations/{evaluation.pk}/files/report.json")
    content = b"".join(answer.streaming_content)
    assert hashlib.sha256(content).hexdigest() == found["report_sha256"]
    assert answer["Content-Type"] == "application/json"
    [logged] = entries("evaluation:report:downloaded")
    assert (logged["run"], logged["file"], logged["actor"]) == (str(evaluation.pk), "report.json", str(cast.axel.id))
    for name in ("../report.json", "..%2Freport.json", "%2Fetc%2Fpasswd", "nothing.csv", "report.json%00"):
        expect(auditor("GET", f"/evaluations/{evaluation.pk}/files/{name}"), 404)
    assert len(entries("evaluation:report:downloaded")) == 1

    administrator = api.as_(cast.ada)
    two = [{"approver": name, "secret": cast.secrets[getattr(cast, name).id]} for name in ("sam", "sue")]
    refused = administrator.post(f"/evaluations/{evaluation.pk}/adopt/", 422, signatures=[two[0], two[0]])
    assert list(refused["fields"]) == ["approvers"]
    assert administrator.post(f"/evaluations/{evaluation.pk}/adopt/", signatures=two)["adopted_at"] is not None
    adopted = client.acceptance(database.session(), found["face_model"])
    assert adopted is not None
    assert (adopted.report, adopted.threshold) == (found["report_sha256"], found["threshold"])


@pytest.mark.parametrize("name", ["olivia", "axel", "bea", "carl"])
def test_only_an_administrator_proposes_an_adoption(cast: Cast, name: str) -> None:
    caller: Any = Api().as_(getattr(cast, name))
    expect(caller("POST", "/evaluations/00000000-0000-4000-8000-000000000000/adopt/"), 403)
