"""What the jobs of an evaluation need: its list of photos, samples and plans, and the files that hold what chunks found.

The files are below the state directory, only needed while the evaluation runs, and removed at its end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from audit.fairness.acceptance import load_policy
from audit.fairness.chunks import Plan
from audit.fairness.evidence import Halves, Parameters, Progress
from audit.fairness.extraction import Engine, extract
from audit.fairness.report import Provenance
from audit.fairness.scores import Floats
from audit.fairness.sets import freezing
from audit.fairness.sets.embeddings import read_embeddings
from audit.fairness.sets.freezing import FrozenSet
from audit.fairness.sets.manifest import read_manifest
from audit.fairness.sets.photos import PhotoSet
from audit.fairness.sets.rows import DatasetError
from audit.fairness.sets.samples import Samples
from audit.models import Evaluation
from core import state
from core.exceptions import Conflict
from core.faces import registry

THRESHOLD: Final = "threshold"


def folder(evaluation: Evaluation) -> Path:
    return state.directory("evaluation-work") / str(evaluation.id)


def partial_file(evaluation: Evaluation, stage: str, number: int) -> Path:
    return folder(evaluation) / f"{stage.replace(' ', '-')}-{number}.npz"


def keep(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    os.replace(draft, path)


def cohorts(evaluation: Evaluation) -> tuple[str, ...]:
    return tuple(part for part in evaluation.cohorts.split(",") if part)


def parameters(evaluation: Evaluation) -> Parameters:
    return Parameters(
        axes=cohorts(evaluation),
        seed=evaluation.seed,
        target_fmr=evaluation.target_fmr,
        minimum_people=load_policy(evaluation.acceptance_policy).minimum_people,
        excluded=tuple((a, b) for a, b in evaluation.excluded),
    )


def engine(evaluation: Evaluation) -> Engine:
    engine = registry.engine(evaluation.face_model_name, state.models_dir())
    if engine.identity().hash != evaluation.face_model:
        raise Conflict("The face model has been changed since this evaluation was started. Start a new one.")
    return engine


def provenance(evaluation: Evaluation) -> Provenance:
    """Which face model was measured. One that this installation never saw is what whoever started it says it is."""
    if evaluation.kind == Evaluation.Kind.PHOTOS:
        model: dict[str, Any] = engine(evaluation).identity().as_dict()
    else:
        model = {"name": evaluation.face_model_name, "hash": evaluation.face_model, "stated_by_its_owner": True}
    return Provenance(model, evaluation.label_source, evaluation.generated_people)


def list_photos(evaluation: Evaluation, tell: Callable[[Progress], None]) -> PhotoSet:
    """The photos, listed once with their hashes so that every chunk means the same ones."""
    if evaluation.benchmark_set is None and not (folder(evaluation) / freezing.ABOUT).is_file():
        manifest = Path(evaluation.manifest)
        photos = read_manifest(manifest, cohorts(evaluation), lambda done, total: tell(Progress("read", done, total)))
        freezing.write(FrozenSet(photos, ()), folder(evaluation), manifest.parent)
    return frozen(evaluation).photos


def frozen(evaluation: Evaluation) -> FrozenSet:
    """The frozen list of photos. DatasetError when it is not the one that the evaluation began with."""
    if evaluation.benchmark_set is None:
        return _read(folder(evaluation))
    place = Path(evaluation.benchmark_set.folder)
    if freezing.list_sha256(place) != evaluation.benchmark_set.sha256:
        raise DatasetError(f"The list of the frozen set {evaluation.benchmark_set.name} has been changed.")
    return _read(place)


@lru_cache(maxsize=2)
def _read(folder: Path) -> FrozenSet:
    return freezing.read_frozen(folder)


def set_hash(evaluation: Evaluation) -> str:
    if evaluation.benchmark_set is not None:
        return evaluation.benchmark_set.sha256
    if evaluation.kind == Evaluation.Kind.PHOTOS:
        return frozen(evaluation).photos.set_hash
    return freezing.file_sha256(Path(evaluation.manifest))


def samples_of(evaluation: Evaluation) -> Samples:
    if evaluation.kind == Evaluation.Kind.EMBEDDINGS:
        samples = read_embeddings(Path(evaluation.manifest))
        if samples.set_hash != evaluation.set_hash:
            raise DatasetError("The file of embeddings has been changed since this evaluation was started.")
        return samples
    return extract(frozen(evaluation).photos, engine(evaluation), cache_dir=state.directory("embeddings"))


class Shared:
    """What all jobs of one evaluation need in a process: the samples, how they are divided, their vectors."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.key = evaluation.id
        self.threshold_file = folder(evaluation) / THRESHOLD
        self.halves = Halves(samples_of(evaluation), parameters(evaluation))
        self._vectors: tuple[str, Floats] | None = None

    @cached_property
    def choosing(self) -> Plan:
        work = self.halves.choosing_plan()
        assert work is not None, "no threshold is given"
        return work

    @cached_property
    def reporting(self) -> Plan:
        return self.halves.reporting_plan(int(self.threshold_file.read_text(encoding="ascii")))

    def vectors(self, work: Plan) -> Floats:
        """The embeddings in the order of a plan; those of one plan are kept."""
        if self._vectors is None or self._vectors[0] != work.digest:
            self._vectors = None  # never two at once
            self._vectors = work.digest, work.arrange(self.halves.samples.embeddings)
        return self._vectors[1]


_kept: dict[str, Shared] = {}


def shared(evaluation: Evaluation) -> Shared:
    """That of this evaluation, made once in a process; the one before it is forgotten."""
    found = _kept.get("last")
    if found is None or found.key != evaluation.id:
        _kept.clear()
        found = _kept["last"] = Shared(evaluation)
    return found


def forget(evaluation: Evaluation) -> None:
    """Remove what was only needed while it ran."""
    _kept.clear()
    shutil.rmtree(folder(evaluation), ignore_errors=True)
