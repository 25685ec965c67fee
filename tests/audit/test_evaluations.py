"""Evaluations as the installation runs them: entries, verdicts, and what it takes to adopt one."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from audit import benchmarks, evaluation_progress, evaluation_work, evaluations
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


def started(cast: Any, photos: Path | None, **changes: Any) -> Evaluation:
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


def run_all() -> list[str]:
    """Run what is queued, as a worker would, and say what it was; a job that fails is not run again."""
    ran = []
    while (job_id := jobs.next_queued(("evaluation",))) is not None:
        jobs.run(job_id)
        ran.append(Job.objects.get(id=job_id).kind)
    return ran


def test_a_worker_measures_and_publishes_once(cast: Any, manifest: Path) -> None:
    evaluation = started(cast, manifest)
    assert run_all() == [
        "evaluation",
        "evaluation_chunk",
        "evaluation_choose",
        "evaluation_chunk",
        "evaluation_compare",
        "evaluation_chunk",
        "evaluation_report",
    ]
    assert set(Job.objects.values_list("queue", flat=True)) == {"evaluation"}
    evaluation.refresh_from_db()
    report = Path(evaluation.folder) / "report.json"
    assert evaluation.report_sha256 == hashlib.sha256(report.read_bytes()).hexdigest()
    assert evaluation.verdict == "cannot_be_shown"  # 16 people are too few for any verdict
    [entry] = logged("evaluation:report:published")
    assert entry["report"] == evaluation.report_sha256
    assert entry["threshold"] == evaluation.threshold
    page = (Path(evaluation.folder) / "report.html").read_text(encoding="utf-8")
    assert "generated people: says nothing about real ones" in page.lower()
    for job in Job.objects.all():  # messages that come twice
        Job.objects.filter(id=job.id).update(state=JobState.QUEUED)
        assert jobs.run(job.id) == JobState.DONE
    assert list(evaluation.chunks.values_list("runs", flat=True)) == [1, 1, 1]
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
    assert logged("evaluation:run:requested") == []


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
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.problem) == ("failed", job.problem)
    assert "missing.jpg does not exist" in evaluation.problem
    assert logged("evaluation:run:started") == []  # nothing was measured


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


def test_a_paused_evaluation_begins_nothing_and_goes_on_where_it_was(
    cast: Any, portraits: Portraits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_work, "PHOTOS_PER_CHUNK", 10)
    evaluation = started(cast, portraits(16, 2))
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    for user in (cast.olivia, cast.axel):
        with pytest.raises(NotAllowed):
            evaluations.pause(by=user, evaluation=evaluation)
    evaluations.pause(by=cast.carl, evaluation=evaluation)
    assert run_all() == ["evaluation_chunk"] * 3
    assert sorted(evaluation.chunks.values_list("runs", flat=True)) == [0, 0, 0, 1]
    with pytest.raises(Conflict):
        evaluations.pause(by=cast.carl, evaluation=evaluation)
    evaluations.resume(by=cast.carl, evaluation=evaluation)
    assert run_all()[:3] == ["evaluation_chunk"] * 3
    assert list(evaluation.chunks.values_list("runs", flat=True)) == [1] * 6
    evaluation.refresh_from_db()
    assert evaluation.state == "published"
    assert [entry["actor"] for entry in logged("evaluation:run:paused")] == [str(cast.carl.id)]
    assert len(logged("evaluation:run:resumed")) == 1
    with pytest.raises(Conflict):
        evaluations.resume(by=cast.carl, evaluation=evaluation)


def test_a_cancelled_evaluation_stops_for_good_with_one_entry(cast: Any, manifest: Path) -> None:
    evaluation = started(cast, manifest)
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    evaluations.cancel(by=cast.carl, evaluation=evaluation)
    assert run_all() == []
    assert evaluation.state == "cancelled"
    assert len(logged("evaluation:run:cancelled")) == 1
    for act in (evaluations.cancel, evaluations.resume, evaluations.pause):
        with pytest.raises(Conflict):
            act(by=cast.carl, evaluation=evaluation)
    assert not Path(evaluation.folder).exists()


def test_what_made_an_evaluation_fail_can_be_repaired_and_it_goes_on(
    cast: Any, portraits: Portraits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_work, "PHOTOS_PER_CHUNK", 10)
    folder = tmp_path / "set"
    shutil.copytree(portraits(16, 2).parent, folder)
    manifest = next(folder.glob("*16x2.csv"))
    evaluation = started(cast, manifest)
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    photo = sorted(folder.rglob("*.jpg"))[-1]
    names = {row.split(",")[1] for row in manifest.read_text(encoding="utf-8").splitlines()[1:]}
    photo = next(path for path in sorted(folder.rglob("*.jpg")) if path.relative_to(folder).as_posix() in names)
    hidden = photo.rename(tmp_path / "hidden.jpg")
    run_all()
    evaluation.refresh_from_db()
    assert evaluation.state == "failed"
    assert "could be read at first and now cannot" in evaluation.problem
    assert len(logged("evaluation:run:failed")) == 1
    hidden.rename(photo)
    evaluations.resume(by=cast.carl, evaluation=evaluation)
    run_all()
    evaluation.refresh_from_db()
    assert evaluation.state == "published"


def test_the_result_of_a_chunk_that_was_damaged_is_computed_again(cast: Any, manifest: Path, database: Any) -> None:
    evaluation = started(cast, manifest)
    for _ in range(6):
        jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    [place] = (database.home / "evaluation-work").glob("*/choose-threshold-0.npz")
    place.write_bytes(b"damaged")
    run_all()
    evaluation.refresh_from_db()
    assert evaluation.state == "published"
    runs = evaluation.chunks.order_by("stage").values_list("stage", "runs")
    assert dict(runs) == {"choose threshold": 2, "compare": 1, "embed": 1}
    assert not place.exists()


def test_a_frozen_set_is_measured_and_only_on_what_was_frozen(cast: Any, manifest: Path) -> None:
    frozen = benchmarks.add(
        by=cast.carl, name="drawn", layout="manifest", source=manifest, licence="Ours", citation="Drawn by us"
    )
    with pytest.raises(Invalid) as refused:
        started(cast, None, benchmark=frozen, cohorts=("shoe size",))
    assert "no cohort column shoe size; it has:" in refused.value.field_errors["cohorts"][0]
    evaluation = started(cast, None, benchmark=frozen)
    run_all()
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.set_hash) == ("published", frozen.sha256)
    report = json.loads((Path(evaluation.folder) / "report.json").read_text(encoding="utf-8"))
    assert (report["benchmark"]["set_sha256"], report["benchmark"]["name"]) == (frozen.sha256, "drawn")
    listed = Path(frozen.folder) / "manifest.csv"
    listed.write_text(listed.read_text(encoding="utf-8").replace("G", "H", 3), encoding="utf-8")
    again = started(cast, None, benchmark=frozen)
    run_all()
    again.refresh_from_db()
    assert again.state == "failed"
    assert "has been changed" in again.problem


def test_embeddings_of_somebody_else_are_never_those_of_a_face_model_of_ours(cast: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    people = [f"p{index:03}" for index in range(80) for _ in range(2)]
    centres = np.repeat(rng.standard_normal((80, 64)), 2, axis=0)
    vectors = (centres + 0.5 * rng.standard_normal(centres.shape)).astype(np.float32)
    np.savez(tmp_path / "e.npz", embeddings=vectors, person_id=people, sex=["f", "f", "m", "m"] * 40)
    out = io.StringIO()
    call_command(
        "evaluate",
        embeddings=tmp_path / "e.npz",
        model="A black box 2.1",
        cohorts="sex",
        out=tmp_path / "report",
        acting="carl",
        stdout=out,
    )
    summary = json.loads(out.getvalue().splitlines()[-1])
    evaluation = Evaluation.objects.get(id=summary["evaluation"])
    assert evaluation.face_model == evaluations.stated_model("A black box 2.1")
    report = json.loads(Path(summary["report"]).read_text(encoding="utf-8"))
    assert report["face_model"] == {
        "hash": evaluation.face_model,
        "name": "A black box 2.1",
        "stated_by_its_owner": True,
    }
    assert summary["sha256"] == hashlib.sha256(Path(summary["report"]).read_bytes()).hexdigest()


def test_the_command_needs_one_thing_to_measure(cast: Any, manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--out"):
        call_command("evaluate", manifest=manifest, acting="carl")
    with pytest.raises(CommandError):
        call_command("evaluate", acting="carl", out=tmp_path / "r")
    with pytest.raises(CommandError, match="There is no benchmark set nothing"):
        call_command("evaluate", benchmark="nothing", acting="carl", out=tmp_path / "r")
    with pytest.raises(CommandError, match="There is no evaluation"):
        call_command("evaluate", resume=uuid.uuid4(), acting="carl")


def test_progress_counts_what_all_workers_did(cast: Any, portraits: Portraits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_work, "PHOTOS_PER_CHUNK", 10)
    evaluation = started(cast, portraits(16, 2))
    assert evaluation_progress.progress(evaluation) is None
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    jobs.run(jobs.next_queued(("evaluation",)))  # type: ignore[arg-type]
    found = evaluation_progress.progress(evaluation)
    assert found is not None
    assert (found.done, found.total, found.unit) == (10, 32, "photos")
    begun = timezone.now() - timedelta(seconds=5)
    Job.objects.filter(kind="evaluation_chunk").exclude(started_at=None).update(started_at=begun)
    found = evaluation_progress.progress(evaluation)
    assert found is not None
    assert found.rate == pytest.approx(2.0, rel=0.2)
    assert found.seconds_left == pytest.approx(11, rel=0.2)


def test_scores_of_a_black_box_are_measured_by_command_and_cannot_be_adopted(cast: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    lines = ["score,same,cohort_a,cohort_b,id_a,id_b"]
    for _ in range(6000):
        a, b = rng.integers(0, 60, 2)
        same = int(a == b)
        cohorts = ["<b>f</b>" if one % 2 else "m" for one in (a, b)]
        lines.append(f"{rng.normal(0.7 if same else 0.1, 0.1):.6f},{same},{cohorts[0]},{cohorts[1]},p{a},p{b}")
    lines.append("nan,0,m,m,p0,p2")
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = io.StringIO()
    call_command(
        "evaluate",
        scores=tmp_path / "scores.csv",
        model="A black box",
        acceptance_policy="demo",
        target_fmr=0.05,
        out=tmp_path / "report",
        acting="carl",
        stdout=out,
    )
    evaluation = Evaluation.objects.get()
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert json.loads(out.getvalue().splitlines()[-1])["sha256"] == evaluation.report_sha256
    assert report["benchmark"]["left_out"] == {"bad_score": 1}
    assert [one["name"] for one in report["divisions"][0]["cohorts"]] == ["<b>f</b>", "m"]
    assert report["overall"]["fte"]["rate"] is None  # photos are not known
    assert "<b>f</b>" not in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    signatures = [Signature(one, cast.secrets[one.id]) for one in (cast.sam, cast.sue)]
    with pytest.raises(Conflict, match="Only an evaluation of photos"):
        adopt(by=cast.ada, evaluation=evaluation, signatures=signatures)
