"""Evaluations as work of this installation: started, run as a job, published with an entry that names the report's SHA-256.

What is measured is in `audit.fairness`; adopting a verdict and its threshold is an act of the gate (`search.thresholds`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from django.db import transaction
from django.utils import timezone

from audit.fairness.acceptance import PolicyError, load_policy
from audit.fairness.cohorts import CohortError
from audit.fairness.evidence import Parameters, Progress
from audit.fairness.run import run
from audit.fairness.scores import ComparisonError
from audit.fairness.sets.rows import DatasetError
from audit.log import journal
from audit.models import Evaluation
from core import jobs, state
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.faces import registry
from core.faces.engines import UnusableModel
from core.models import User
from core.permissions import require, signature
from core.person_roles import Permission

EVALUATION: Final = "evaluation"
_VERDICTS: Final = {"met": "met", "not met": "not_met", "cannot be shown": "cannot_be_shown"}
LABEL_SOURCES: Final = ("self-reported", "official record", "assigned", "not stated")


# The files of a report lie side by side and end like this.
_SUFFIXES: Final = frozenset({".json", ".csv", ".svg", ".png", ".html", ".pdf"})


def start(
    *,
    by: User,
    manifest: Path,
    model: str = registry.DEFAULT,
    cohorts: Sequence[str] = (),
    title: str = "",
    acceptance_policy: str = "statutory",
    target_fmr: float = 1e-3,
    seed: int = 1,
    generated_people: bool = False,
    label_source: str = "not stated",
    out: Path | None = None,
    here: bool = False,
) -> Evaluation:
    """Starts an evaluation of a face model on the photos of a manifest; a worker does it, or with `here` the caller by
    `measure`. Raises NotAllowed, or Invalid naming the field.
    """
    require(by, Permission.RUN_EVALUATIONS, "Only a custodian may start an evaluation. Ask the gallery's custodian.")
    errors: dict[str, list[str]] = {}
    manifest = manifest.resolve()
    if not manifest.is_file():
        errors["manifest"] = [f"There is no manifest at {manifest}. Name a CSV file with the columns person_id,file."]
    if not 0 < target_fmr < 1:
        errors["target_fmr"] = ["The wanted false-match rate lies between 0 and 1, for example 0.001."]
    if out is not None and not _is_for_reports(out):
        errors["out"] = [f"{out} holds other files, which would be published with the report. Name an empty directory."]
    if label_source not in LABEL_SOURCES:
        errors["label_source"] = [f"Say where the cohort labels come from: {', '.join(LABEL_SOURCES)}."]
    try:
        load_policy(acceptance_policy)
    except PolicyError as problem:
        errors["acceptance_policy"] = [str(problem)]
    try:
        engine = registry.engine(model, state.models_dir())
    except UnusableModel as problem:
        errors["model"] = [problem.sentence]
    if errors:
        raise Invalid("The evaluation cannot be started.", errors)
    identity = engine.identity()
    evaluation = Evaluation(
        face_model=identity.hash,
        face_model_name=model,
        title=title or f"{model} on {manifest.parent.name}",
        manifest=str(manifest),
        cohorts=",".join(cohorts),
        acceptance_policy=acceptance_policy,
        target_fmr=target_fmr,
        seed=seed,
        generated_people=generated_people,
        label_source=label_source,
        started_by=by,
        started_at=timezone.now(),
    )
    evaluation.folder = str((out or state.directory("evaluations") / str(evaluation.id)).resolve())
    with transaction.atomic():
        evaluation.save()
        journal.record(
            "evaluation:run:started",
            run=evaluation.id,
            model=evaluation.face_model,
            set=hashlib.sha256(manifest.read_bytes()).hexdigest(),
            **signature(by, Permission.RUN_EVALUATIONS),
        )
        if not here:
            jobs.enqueue(kind=EVALUATION, subject=evaluation.id)
    return evaluation


def work(running: jobs.RunningJob) -> None:
    """Does or resumes the evaluation of a job; embeddings that were computed before it was killed are used again."""
    evaluation = Evaluation.objects.get(id=running.subject)
    if evaluation.published_at is not None:
        return
    measure(evaluation, lambda step: running.progress(step.done, step.total, step.stage))


def measure(evaluation: Evaluation, tell: Callable[[Progress], None]) -> Evaluation:
    """Measures and publishes. Raises Invalid with the reason when the set cannot be used."""
    from audit import repetitions

    engine = registry.engine(evaluation.face_model_name, state.models_dir())
    if engine.identity().hash != evaluation.face_model:
        raise Conflict("The face model has been changed since this evaluation was started. Start a new one.")
    policy = load_policy(evaluation.acceptance_policy)
    try:
        written = run(
            Path(evaluation.manifest),
            engine,
            tuple(part for part in evaluation.cohorts.split(",") if part),
            Path(evaluation.folder),
            parameters=Parameters(
                seed=evaluation.seed, target_fmr=evaluation.target_fmr, minimum_people=policy.minimum_people
            ),
            policy=policy,
            label_source=evaluation.label_source,
            generated=evaluation.generated_people,
            progress=tell,
            cache_dir=state.directory("embeddings"),
        )
    except (DatasetError, CohortError, ComparisonError) as problem:
        raise Invalid(str(problem)) from problem
    assert written.verdict is not None, "a policy was given"
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(id=evaluation.id)
        if locked.published_at is not None:
            return locked
        locked.set_hash = written.set_hash
        locked.report_sha256 = written.sha256
        locked.verdict = _VERDICTS[written.verdict.outcome]
        locked.threshold = written.result.threshold.value
        locked.published_at = timezone.now()
        locked.save()
        journal.record(
            "evaluation:report:published",
            run=locked.id,
            model=locked.face_model,
            set=locked.set_hash,
            report=locked.report_sha256,
            verdict=locked.verdict,
            acceptance_policy=locked.acceptance_policy,
            threshold=locked.threshold,
        )
        repetitions.finished(locked)
    return locked


def stopped(evaluation: uuid.UUID, reason: str, by: User | None = None) -> None:
    """The entry of an evaluation that failed or was cancelled, in the caller's transaction."""
    from audit import repetitions

    journal.record(
        "evaluation:run:failed",
        run=evaluation,
        reason=reason,
        **({} if by is None else signature(by, Permission.RUN_EVALUATIONS)),
    )
    repetitions.failed(Evaluation.objects.get(pk=evaluation))


def published(identity: uuid.UUID) -> Evaluation:
    """A published evaluation. Raises NotFound."""
    found = Evaluation.objects.filter(id=identity).exclude(published_at=None).first()
    if found is None:
        raise NotFound("There is no published evaluation with this id.")
    return found


def files(evaluation: Evaluation) -> list[str]:
    """The names of a report's files, relative to its folder, in order."""
    return [path.name for path in sorted(Path(evaluation.folder).iterdir()) if _is_of_report(path)]


def _is_of_report(path: Path) -> bool:
    return path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink()


def _is_for_reports(folder: Path) -> bool:
    """Whether nothing lies in the directory but an earlier report: all that is in it can be downloaded afterwards."""
    return not folder.exists() or (folder.is_dir() and all(_is_of_report(path) for path in folder.iterdir()))


def file(evaluation: Evaluation, name: str) -> Path:
    """One file of a published report. Raises NotFound for anything that the report does not hold."""
    if name not in files(evaluation):
        raise NotFound("The report has no such file.")
    return Path(evaluation.folder) / name


def download(*, by: User, evaluation: Evaluation, name: str) -> Path:
    """One file of a published report for somebody who takes it away; the log says so first. Raises NotAllowed, NotFound."""
    check_can_read(by)
    found = file(evaluation, name)
    code = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name.lower()
    )
    journal.record_now(
        "evaluation:report:downloaded",
        run=evaluation.id,
        file=code.lstrip("._-")[:80] or "unnamed",
        **signature(by, Permission.READ_EVALUATIONS),
    )
    return found


def check_can_read(user: User) -> None:
    """Raises NotAllowed."""
    require(user, Permission.READ_EVALUATIONS, "Your role does not read evaluation reports.")


def can_read(user: User) -> bool:
    try:
        check_can_read(user)
    except NotAllowed:
        return False
    return True
