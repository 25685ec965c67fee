"""Benchmark sets and running evaluations on pages and by API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit import benchmarks, evaluation_work
from audit.models import BenchmarkSet, Evaluation
from core import jobs
from core.models import User
from tests.api_client import Api
from tests.audit.fairness import layout_files
from tests.core.log_entries import entries

NASTY = '<script>alert("x")</script>'


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def drawn(cast: Any, tmp_path: Path) -> BenchmarkSet:
    """A frozen set with a cohort whose name is HTML; the photos are none, which is found out later."""
    layout_files.put(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    quoted = NASTY.replace('"', '""')
    (tmp_path / "set.csv").write_text(
        f'person_id,file,sex,"{quoted}"\nann,a.jpg,"{quoted}",x\nben,b.jpg,m,y\ncat,gone.jpg,f,y\n', encoding="utf-8"
    )
    return benchmarks.add(
        by=cast.carl, name="drawn", layout="manifest", source=tmp_path / "set.csv", licence=NASTY, citation="Ours"
    )


def test_what_comes_from_a_set_is_escaped_on_every_page(cast: Any, drawn: BenchmarkSet) -> None:
    for address in (reverse("benchmark_sets"), reverse("benchmark_set", args=[drawn.pk])):
        page = signed_in(cast.axel).get(address).content.decode()
        assert "drawn" in page
        assert NASTY not in page
        assert "&lt;script&gt;" in page


def test_the_rows_that_were_left_out_are_the_custodians_to_read(cast: Any, drawn: BenchmarkSet) -> None:
    address = reverse("benchmark_left_out", args=[drawn.pk])
    answer = signed_in(cast.carl).get(address)
    assert b"missing,Line 4: gone.jpg does not exist." in answer.content
    assert signed_in(cast.axel).get(address).status_code == 403
    page = signed_in(cast.axel).get(reverse("benchmark_set", args=[drawn.pk])).content.decode()
    assert "gone.jpg" not in page
    assert "missing" in page


def test_a_custodian_starts_follows_pauses_and_resumes_an_evaluation(cast: Any, drawn: BenchmarkSet) -> None:
    client = signed_in(cast.carl)
    form = {"benchmark": "drawn", "model": "dlib", "cohorts": "sex", "acceptance_policy": "demo", "target_fmr": "0.01"}
    wrong = client.post(reverse("evaluation_start"), form | {"cohorts": "shoe size"})
    assert wrong.status_code == 422
    assert "has no cohort column shoe size" in wrong.content.decode()
    assert not Evaluation.objects.exists()
    answer = client.post(reverse("evaluation_start"), form)
    evaluation = Evaluation.objects.get()
    assert answer["Location"] == reverse("evaluation_run", args=[evaluation.pk])
    page = client.get(answer["Location"]).content.decode()
    assert "Waiting for a worker." in page
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    part = client.get(reverse("evaluation_run_progress", args=[evaluation.pk])).content.decode()
    assert "Finding and embedding faces: 0 of 2 photos." in part
    client.post(reverse("evaluation_pause", args=[evaluation.pk]))
    assert client.get(reverse("evaluation_run_progress", args=[evaluation.pk]))["HX-Refresh"] == "true"
    assert "Paused" in client.get(answer["Location"]).content.decode()
    again = client.post(reverse("evaluation_pause", args=[evaluation.pk]))
    assert again.status_code == 409
    assert "This evaluation is paused." in again.content.decode()
    client.post(reverse("evaluation_resume", args=[evaluation.pk]))
    evaluation.refresh_from_db()
    assert evaluation.state == "running"
    evaluation_work.run_here(evaluation)
    page = client.get(answer["Location"]).content.decode()
    assert "The evaluation has stopped." in page  # the photos are none
    client.post(reverse("evaluation_cancel", args=[evaluation.pk]))
    assert [len(entries(f"evaluation:run:{act}")) for act in ("paused", "resumed", "failed", "cancelled")] == [1] * 4
    assert "The evaluation was cancelled." in client.get(answer["Location"]).content.decode()


def test_a_program_does_the_same(cast: Any, drawn: BenchmarkSet) -> None:
    api = Api()
    custodian = api.as_(cast.carl)
    [listed] = custodian.get("/benchmark-sets/")["results"]
    assert (listed["name"], listed["left_out"], listed["columns"]) == ("drawn", 1, sorted([NASTY, "sex"]))
    assert list(custodian.post("/evaluation-runs/", 422, benchmark_set="nothing")["fields"]) == ["benchmark_set"]
    made = custodian.post("/evaluation-runs/", 201, benchmark_set="drawn", cohorts=["sex"], acceptance_policy="demo")
    address = f"/evaluation-runs/{made['id']}/"
    assert (made["state"], made["progress"], made["benchmark_set"]) == ("running", None, str(drawn.pk))
    auditor = api.as_(cast.axel)
    assert auditor.get(address)["face_model"] == ""
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    assert auditor.get(address)["progress"]["total"] == 2
    assert custodian.post(f"{address}pause/")["state"] == "paused"
    custodian.post(f"{address}pause/", 409)
    assert custodian.post(f"{address}resume/")["state"] == "running"
    assert custodian.post(f"{address}cancel/")["state"] == "cancelled"
    auditor.post(f"{address}cancel/", 403)
