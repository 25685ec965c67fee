"""The report of an evaluation: report.json (the record), one CSV per table, figures, a page, a printed copy, a re-run bundle.

report.json is the same to the byte for the same input; it follows report.schema.json and holds the SHA-256 of every
table. What differs from run to run (duration, machine, versions) goes to run.json beside it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from audit.fairness.acceptance import Policy, Verdict
from audit.fairness.evaluation import Result
from audit.fairness.evidence import Evidence
from audit.fairness.figures import WATERMARK
from audit.fairness.pairs import PairEvidence
from audit.fairness.record import Cell, Table, numbers, tables
from audit.fairness.sets.rows import LeftOut
from audit.fairness.sets.samples import Samples

FORMAT = "glasscase/evaluation-report/v2"
SCHEMA = Path(__file__).parent / "report.schema.json"
LABEL_SOURCES = ("self-reported", "official record", "assigned", "generated", "not stated")


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from. `face_model` is `Identity.as_dict()` and has at least "name" and "hash".

    ValueError for a label source that is not in LABEL_SOURCES: labels predicted from faces are not accepted.
    """

    face_model: Mapping[str, Any]
    label_source: str = "not stated"
    generated: bool = False  # the benchmark people do not exist

    def __post_init__(self) -> None:
        if self.label_source not in LABEL_SOURCES:
            raise ValueError(
                f'"{self.label_source}" is no accepted source of cohort labels; accepted: {", ".join(LABEL_SOURCES)}. '
                "Labels predicted from faces are never accepted."
            )


@dataclass(frozen=True)
class Report:
    """A report in memory: what `write` puts into a folder. `files` holds every file but report.json and the re-run bundle,
    which `bundle` writes, because it may be large."""

    content: dict[str, Any]
    json: bytes
    files: Mapping[str, bytes]
    bundle: Callable[[IO[bytes]], None] | None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.json).hexdigest()

    def write(self, folder: Path) -> Path:
        """Write all files; report.json last, so that a folder with one is complete. Returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        if self.bundle is not None:
            from audit.fairness import bundle

            with (folder / bundle.FILE).open("wb") as out:
                self.bundle(out)
        path = folder / "report.json"
        path.write_bytes(self.json)
        return path


def build(
    samples: Samples,
    evidence: Evidence | PairEvidence,
    result: Result,
    provenance: Provenance,
    policy: Policy | None,
    verdict: Verdict | None,
) -> Report:
    """The whole report of a result. Reads no clock and no machine."""
    from audit.fairness import bundle
    from audit.fairness.page import render
    from audit.fairness.plots import draw
    from audit.fairness.printed import printed

    drawings = draw(
        evidence if isinstance(evidence, Evidence) else None, result, WATERMARK if provenance.generated else ""
    )
    rows = {**tables(result), "left_out": _left_out(samples)}
    files = {f"{name}.csv": _csv(table) for name, table in rows.items() if table}
    content = {
        "format": FORMAT,
        "face_model": dict(provenance.face_model),
        "benchmark": _benchmark(samples, provenance),
        "parameters": _parameters(result, policy),
        "code_sha256": code_sha256(),
        **numbers(result),
        "verdict": {"outcome": verdict.outcome, "reasons": list(verdict.reasons)} if verdict else None,
        "tables": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    encoded = (json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
    for name, drawing in drawings.items():
        files[f"{name}.svg"], files[f"{name}.png"] = drawing.svg, drawing.png
    digest = hashlib.sha256(encoded).hexdigest()
    files["report.html"] = render(content, rows["left_out"], drawings, digest).encode()
    files["report.pdf"] = printed(content, drawings, digest)

    def write_bundle(out: IO[bytes]) -> None:
        bundle.write(out, evidence, result.parameters, encoded)

    return Report(content, encoded, files, write_bundle if bundle.fits(evidence) else None)


def code_sha256() -> str:
    """SHA-256 over the source of this library: which code computed the numbers, with or without version control."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(
            f"{path.relative_to(root).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def _benchmark(samples: Samples, provenance: Provenance) -> dict[str, Any]:
    return {
        "name": samples.name,
        "set_sha256": samples.set_hash,
        "label_source": provenance.label_source,
        "generated_people": provenance.generated,
        "watermark": WATERMARK if provenance.generated else None,
        "people": len(set(samples.people)),
        "images": len(samples.people),
        "extracted": int(samples.extracted.sum()),
        "left_out": _by_code(samples.left_out),
        "failures_to_extract": _by_code(samples.failures),
        "notes": list(samples.notes),
    }


def _by_code(items: Iterable[LeftOut]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item.code] = counts.get(item.code, 0) + 1
    return counts


def _parameters(result: Result, policy: Policy | None) -> dict[str, Any]:
    parameters = result.parameters
    return {
        "cohort_columns": list(parameters.axes),
        "seed": parameters.seed,
        "target_fmr": parameters.target_fmr,
        "threshold_pairs": parameters.pairs,
        "fixed_threshold": parameters.fixed_threshold,
        "minimum_people": parameters.minimum_people,
        "gallery_sizes": list(parameters.gallery_sizes),
        "edition_sizes": list(parameters.edition_sizes),
        "list_sizes": list(parameters.list_sizes),
        "above_threshold": list(parameters.above_threshold),
        "excluded_pairs": len(parameters.excluded),
        "confidence": 0.95,
        "policy": {"code": policy.code, "version": policy.version, "sha256": policy.sha256} if policy else None,
    }


def _left_out(samples: Samples) -> Table:
    return [
        {"row": item.row, "what": item.what, "kind": kind, "code": item.code, "reason": item.reason}
        for kind, items in (("left out", samples.left_out), ("failure to extract", samples.failures))
        for item in items
    ]


def _csv(rows: Sequence[Mapping[str, Cell]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0].keys())
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return out.getvalue().encode()


def _cell(value: Cell) -> Cell:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
