"""A whole evaluation from a manifest or a file of embeddings to a folder with its report."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from audit.fairness.acceptance import Policy, Verdict, judge
from audit.fairness.evaluation import Result, conclude
from audit.fairness.evidence import Evidence, Parameters, Progress, gather
from audit.fairness.extraction import Engine, extract
from audit.fairness.pairs import PairEvidence
from audit.fairness.report import Provenance, build
from audit.fairness.sets.embeddings import read_embeddings
from audit.fairness.sets.manifest import read_manifest
from audit.fairness.sets.samples import Samples

Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Written:
    """A finished report: what the log and the database are told of."""

    path: Path  # report.json
    sha256: str
    set_hash: str
    result: Result
    verdict: Verdict | None


def run(
    manifest: Path,
    engine: Engine,
    cohort_columns: Sequence[str],
    out_dir: Path,
    *,
    parameters: Parameters | None = None,
    policy: Policy | None = None,
    label_source: str = "not stated",
    generated: bool = False,
    progress: Tell | None = None,
    cache_dir: Path | None = None,
) -> Written:
    """Evaluate a face model on the photos of a manifest and write the report into out_dir.

    cohort_columns are divisions: columns of the manifest or intersections of them ("sex x birth_year"); they replace
    those of `parameters`. With cache_dir an interrupted run continues where it stopped. Raises DatasetError,
    CohortError or ComparisonError with a sentence when the set cannot be used.
    """
    started = time.monotonic()
    tell = progress or (lambda _: None)
    provenance = Provenance(engine.identity().as_dict(), label_source, generated)
    photos = read_manifest(manifest, cohort_columns, lambda done, total: tell(Progress("read", done, total)))
    samples = extract(
        photos, engine, cache_dir=cache_dir, progress=lambda done, total: tell(Progress("extract", done, total))
    )
    return finish(
        samples,
        cohort_columns,
        out_dir,
        provenance,
        parameters=parameters,
        policy=policy,
        progress=tell,
        started=started,
    )


def run_embeddings(
    embeddings: Path,
    cohort_columns: Sequence[str],
    out_dir: Path,
    provenance: Provenance,
    *,
    parameters: Parameters | None = None,
    policy: Policy | None = None,
    progress: Tell | None = None,
) -> Written:
    """The same from an .npz file of embeddings. That they come from the named face model is its owner's word."""
    started = time.monotonic()
    samples = read_embeddings(embeddings)
    return finish(
        samples,
        cohort_columns,
        out_dir,
        provenance,
        parameters=parameters,
        policy=policy,
        progress=progress,
        started=started,
    )


def finish(
    samples: Samples,
    cohort_columns: Sequence[str],
    out_dir: Path,
    provenance: Provenance,
    *,
    parameters: Parameters | None = None,
    policy: Policy | None = None,
    progress: Tell | None = None,
    started: float,
) -> Written:
    """Measure samples and write the report. `started`: what time.monotonic() was when the run began."""
    given = parameters or Parameters()
    wanted = replace(given, axes=tuple(cohort_columns))
    evidence = gather(samples, wanted, progress)
    result = conclude(evidence, wanted)
    return write(
        samples, result, out_dir, provenance, evidence=evidence, policy=policy, progress=progress, started=started
    )


def write(
    samples: Samples,
    result: Result,
    out_dir: Path,
    provenance: Provenance,
    *,
    evidence: Evidence | PairEvidence,
    policy: Policy | None = None,
    progress: Tell | None = None,
    started: float,
) -> Written:
    """Judge a result and write its report with the evidence that it follows from."""
    tell = progress or (lambda _: None)
    verdict = judge(result, policy) if policy else None
    tell(Progress("write", 0, 1))
    report = build(samples, evidence, result, provenance, policy, verdict)
    path = report.write(out_dir)
    (out_dir / "run.json").write_text(json.dumps(_circumstances(started), indent=1, sort_keys=True) + "\n")
    tell(Progress("write", 1, 1))
    return Written(path, report.sha256, samples.set_hash, result, verdict)


def _circumstances(started: float) -> dict[str, str | float]:
    """What differs from run to run and so must not be in the report."""
    return {
        "seconds": round(time.monotonic() - started, 3),
        "host": platform.node(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "matplotlib")},
    }
