"""Evaluations as the installation runs them: entries, verdicts, and what it takes to adopt one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import evaluations
from audit.models import Evaluation
from core import database, jobs
from core.exceptions import Conflict, GlasscaseError, Invalid, NotAllowed, NotFound
from core.models import Job, JobState
from search.gate import client
from search.thresholds import Signature, adopt, set_limit

Portraits = Callable[..., Path]


def logged(type_: str) -> list[dict[str, Any]]:
    with database.connect("app") as own:
        rows = own.execute("SELECT body FROM log.entry WHERE type = %s ORDER BY id", [type_]).fetchall()
    return [json.loads(bytes(row[0])) for row in rows]


@pytest.fixture
def manifest(portraits: Portraits) -> Path:
    return portraits(16, 2)


def started(cast: Any, photos: Path, **changes: Any) -> Evaluation:
    wanted: dict[str, Any] = {
        "by": cast.carl,
        "manifest": photos,
        "cohorts": ("cohort",),
        "acceptance_policy": "demo",
        "target_fmr": 0.01,
        "generated_people": True,
        "label_source": "assigned",
    }
    return evaluations.start(**wanted | changes)


def test_a_worker_measures_and_publishes_once(cast: Any, manifest: Path) -> None:
    evaluation = started(cast, manifest)
    job = Job.objects.get(kind="evaluation", subject=evaluation.id)
    assert job.queue == "evaluation"
    assert jobs.run(job.id) == JobState.DONE
    evaluation.refresh_from_db()
    report = Path(evaluation.folder) / "report.json"
    assert evaluation.report_sha256 == hashlib.sha256(report.read_bytes()).hexdigest()
    assert evaluation.verdict == "cannot_be_shown"  # 16 people are too few for any verdict
    [entry] = logged("evaluation:report:published")
    assert entry["report"] == evaluation.report_sha256
    assert entry["threshold"] == evaluation.threshold
    page = (Path(evaluation.folder) / "report.html").read_text(encoding="utf-8")
    assert "generated people: says nothing about real ones" in page.lower()
    evaluations.measure(evaluation, lambda _: None)  # a second worker after a crash
    assert len(logged("evaluation:report:published")) == 1
    assert evaluations.file(evaluation, "report.html").is_file()
    for name in ("../report.html", "/etc/passwd", "nothing.csv"):
        with pytest.raises(NotFound):
            evaluations.file(evaluation, name)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("manifest", {"manifest": Path("/nowhere/manifest.csv")}),
        ("model", {"model": "no_such_model"}),
        ("acceptance_policy", {"acceptance_policy": "generous"}),
        ("target_fmr", {"target_fmr": 0.0}),
        ("label_source", {"label_source": "predicted"}),
    ],
)
def test_a_wrong_wish_names_its_field_and_starts_nothing(
    cast: Any, manifest: Path, field: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as caught:
        started(cast, manifest, **changes)
    assert list(caught.value.field_errors) == [field]
    assert not Evaluation.objects.exists()
    assert not Job.objects.exists()
    assert logged("evaluation:run:started") == []


def test_only_a_custodian_starts_an_evaluation(cast: Any, manifest: Path) -> None:
    for user in (cast.olivia, cast.sam, cast.ada, cast.bea, cast.axel):
        with pytest.raises(NotAllowed):
            started(cast, manifest, by=user)


def test_an_evaluation_of_unusable_photos_fails_with_a_sentence(cast: Any, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("person_id,file,cohort\nG1,missing.jpg,a\n", encoding="utf-8")
    evaluation = started(cast, tmp_path / "manifest.csv")
    job = Job.objects.get(subject=evaluation.id)
    assert jobs.run(job.id) == JobState.FAILED
    job.refresh_from_db()
    assert job.problem
    assert "Traceback" not in job.problem
    assert [entry["run"] for entry in logged("evaluation:run:failed")] == [str(evaluation.id)]


def published(cast: Any, verdict: str = "met") -> Evaluation:
    from django.utils import timezone

    return Evaluation.objects.create(
        face_model="a" * 64,
        face_model_name="dlib",
        title="A test",
        manifest="manifest.csv",
        cohorts="cohort",
        acceptance_policy="demo",
        target_fmr=0.001,
        seed=1,
        folder="nowhere",
        set_hash="b" * 64,
        report_sha256="c" * 64,
        verdict=verdict,
        threshold=910_000,
        started_by=cast.carl,
        started_at=timezone.now(),
        published_at=timezone.now(),
    )


def test_two_approvers_adopt_a_threshold_and_the_gate_knows_it(cast: Any, mallory: psycopg.Connection) -> None:
    evaluation = published(cast)
    both = [Signature(cast.sam, cast.secrets[cast.sam.id]), Signature(cast.sue, cast.secrets[cast.sue.id])]
    adopt(by=cast.ada, evaluation=evaluation, signatures=both)
    found = client.acceptance(mallory, evaluation.face_model)
    assert found is not None
    assert (found.verdict, found.threshold, found.report) == ("met", 910_000, "c" * 64)
    evaluation.refresh_from_db()
    assert evaluation.adopted_at is not None
    [entry] = logged("gate:evaluation:adopted")
    assert sorted(entry["approvers"]) == sorted([str(cast.sam.id), str(cast.sue.id)])


def test_nothing_is_adopted_by_one_person_a_wrong_secret_or_somebody_without_the_role(
    cast: Any, mallory: psycopg.Connection
) -> None:
    evaluation = published(cast)
    sam, sue = (
        Signature(cast.sam, cast.secrets[cast.sam.id]),
        Signature(cast.sue, cast.secrets[cast.sue.id]),
    )
    for by, signatures in (
        (cast.ada, [sam]),
        (cast.ada, [sam, sam]),
        (cast.ada, [sam, Signature(cast.sue, "AAAA-BBBB-CCCC-DDDD")]),
        (cast.olivia, [sam, sue]),
        (cast.bea, [sam, sue]),
    ):
        with pytest.raises(GlasscaseError):
            adopt(by=by, evaluation=evaluation, signatures=signatures)
    Evaluation.objects.filter(id=evaluation.id).update(published_at=None)
    evaluation.refresh_from_db()
    with pytest.raises(Conflict):
        adopt(by=cast.ada, evaluation=evaluation, signatures=[sam, sue])
    assert client.acceptance(mallory, evaluation.face_model) is None
    assert logged("gate:evaluation:adopted") == []


def test_a_limit_of_the_gate_is_changed_by_two_people(cast: Any, mallory: psycopg.Connection) -> None:
    both = [Signature(cast.sam, cast.secrets[cast.sam.id]), Signature(cast.sue, cast.secrets[cast.sue.id])]
    set_limit(by=cast.ada, setting="k_max", value=25, signatures=both)
    assert client.settings(mallory)["k_max"] == 25
    [entry] = logged("gate:policy:set")
    assert (entry["previous"], entry["value"]) == (50, 25)
    with pytest.raises(Conflict):
        set_limit(by=cast.ada, setting="no_such_setting", value=1, signatures=both)
    with pytest.raises(NotAllowed):
        set_limit(by=cast.carl, setting="k_max", value=50, signatures=both)
    assert client.settings(mallory)["k_max"] == 25


def test_a_directory_with_other_files_is_never_published(cast: Any, manifest: Path, database: Any) -> None:
    """Whoever reads evaluations may download everything in the directory of a report."""
    assert (database.home / "keys").is_dir()
    with pytest.raises(Invalid) as refused:
        started(cast, manifest, out=database.home, here=True)
    assert "holds other files" in refused.value.field_errors["out"][0]
    assert not Evaluation.objects.exists()


def test_a_link_in_the_directory_of_a_report_is_no_file_of_it(cast: Any, manifest: Path, tmp_path: Path) -> None:
    evaluation = started(cast, manifest, out=tmp_path / "report", here=True)
    folder = Path(evaluation.folder)
    folder.mkdir()
    (folder / "report.json").write_text("{}")
    (folder / "keys.json").symlink_to("/etc/passwd")
    (folder / "sub.csv").mkdir()
    assert evaluations.files(evaluation) == ["report.json"]
    for name in ("keys.json", "../report.json", "/etc/passwd", "sub.csv/../report.json", "report.json/", ""):
        with pytest.raises(NotFound):
            evaluations.file(evaluation, name)
