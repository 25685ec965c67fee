"""The report of an evaluation: report.json (the record), one CSV per table, a figure, and a page to read.

report.json is the same to the byte for the same input; it follows report.schema.json and holds the SHA-256 of every
table. What differs from run to run (duration, machine, versions) goes to run.json beside it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.fairness.acceptance import Policy, Verdict
from audit.fairness.disparity import Difference
from audit.fairness.evaluation import Division, Result
from audit.fairness.figures import WATERMARK, Drawing, fmr_by_cohort
from audit.fairness.rates import CohortRates, Rate
from audit.fairness.sets.rows import LeftOut
from audit.fairness.sets.samples import Samples

FORMAT = "glasscase/evaluation-report/v1"
SCHEMA = Path(__file__).parent / "report.schema.json"
LABEL_SOURCES = ("self-reported", "official record", "assigned", "generated", "not stated")

Cell = str | int | float | bool | None
Table = list[dict[str, Cell]]


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
    """A report in memory: what `write` puts into a folder. `files` holds every file but report.json."""

    content: dict[str, Any]
    json: bytes
    files: Mapping[str, bytes]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.json).hexdigest()

    def write(self, folder: Path) -> Path:
        """Write all files; report.json last, so that a folder with one is complete. Returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        path = folder / "report.json"
        path.write_bytes(self.json)
        return path


def build(
    samples: Samples, result: Result, provenance: Provenance, policy: Policy | None, verdict: Verdict | None
) -> Report:
    """The whole report of a result. Reads no clock and no machine."""
    from audit.fairness.page import render

    drawings = _drawings(result, provenance)
    tables = _tables(samples, result)
    files = {f"{name}.csv": _csv(rows) for name, rows in tables.items() if rows}
    content = {
        "format": FORMAT,
        "face_model": dict(provenance.face_model),
        "benchmark": _benchmark(samples, provenance),
        "parameters": _parameters(result, policy),
        "code_sha256": code_sha256(),
        "threshold": _threshold(result),
        "overall": _overall(result.overall),
        "divisions": [_division(division) for division in result.divisions],
        "fpir_predictions": [
            {"gallery": item.gallery, "basis": item.basis, "fmr": _number(item.fmr), "fpir": _number(item.fpir)}
            for item in result.predictions
        ],
        "verdict": {"outcome": verdict.outcome, "reasons": list(verdict.reasons)} if verdict else None,
        "tables": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    encoded = (json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
    for name, drawing in drawings.items():
        files[f"{name}.svg"], files[f"{name}.png"] = drawing.svg, drawing.png
    digest = hashlib.sha256(encoded).hexdigest()
    files["report.html"] = render(content, tables, drawings, digest).encode()
    return Report(content, encoded, files)


def code_sha256() -> str:
    """SHA-256 over the source of this library: which code computed the numbers, with or without version control."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(
            f"{path.relative_to(root).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def _number(value: float | None) -> float | None:
    """Ten significant digits: the last bits of a sum may differ between builds of numpy."""
    return None if value is None else float(f"{value:.10g}")


def _rate(rate: Rate) -> dict[str, Any]:
    interval = rate.interval
    return {
        "errors": rate.errors,
        "trials": rate.trials,
        "people": rate.people,
        "rate": _number(rate.value),
        "interval": None
        if interval is None
        else {
            "low": _number(interval.low),
            "high": _number(interval.high),
            "method": interval.method,
            "effective_trials": _number(interval.effective_pairs),
            "bound_by_pairs": _number(interval.by_pairs),
            "bound_by_people": _number(interval.by_people),
        },
    }


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
        "confidence": 0.95,
        "policy": {"code": policy.code, "version": policy.version, "sha256": policy.sha256} if policy else None,
    }


def _threshold(result: Result) -> dict[str, Any]:
    found = result.threshold
    return {
        "value": found.value,
        "rule": found.rule,
        "cohort": found.cohort,
        "errors": found.errors,
        "pairs": found.pairs,
        "exact": found.exact,
        "target_shown": found.shown,
        "people_chosen_on": result.chosen_on,
        "people_reported_on": result.reported_on,
        "pairs_within_one_millionth": result.overall.near,
    }


def _overall(rates: CohortRates) -> dict[str, Any]:
    return {"fmr": _rate(rates.all_fmr), "fnmr": _rate(rates.all_fnmr), "fte": _rate(rates.all_fte)}


def _division(division: Division) -> dict[str, Any]:
    rates = division.rates
    return {
        "columns": division.axis,
        "cohorts": [
            {
                "name": name,
                "people": people,
                "images": images,
                "extracted": extracted,
                "fmr": _rate(rates.within(name)),
                "fnmr": _rate(rates.fnmr[name]),
                "fte": _rate(rates.fte[name]),
            }
            for name, people, images, extracted in zip(
                rates.cohorts, rates.people, rates.images, rates.extracted, strict=True
            )
        ],
        "matrix": [
            {"probe": a, "reference": b, "fmr": _rate(rates.fmr[a, b])} for a in rates.cohorts for b in rates.cohorts
        ],
        "measures": [{"name": item.name, "value": _number(item.value), "why": item.why} for item in division.measures],
        "fmr_differences": [_difference(item) for item in division.fmr_differences],
        "fnmr_differences": [_difference(item) for item in division.fnmr_differences],
    }


def _difference(item: Difference) -> dict[str, Any]:
    return {"high": item.high, "low": item.low, "ratio": _number(item.ratio), "at_least": _number(item.at_least)}


def _cells(rate: Rate) -> dict[str, Cell]:
    interval = rate.interval
    return {
        "errors": rate.errors,
        "trials": rate.trials,
        "people": rate.people,
        "rate": _number(rate.value),
        "low": _number(interval.low) if interval else None,
        "high": _number(interval.high) if interval else None,
        "method": interval.method if interval else ("not measurable" if rate.value is None else "too few people"),
    }


def _tables(samples: Samples, result: Result) -> dict[str, Table]:
    """Every number of the report once, with numerator, denominator and people."""
    overall = (("fmr", result.overall.all_fmr), ("fnmr", result.overall.all_fnmr), ("fte", result.overall.all_fte))
    rates: Table = [{"division": "", "cohort": "everybody", "statistic": s, **_cells(r)} for s, r in overall]
    matrix: Table = []
    measures: Table = []
    for division in result.divisions:
        for name in division.rates.cohorts:
            of_cohort = (
                ("fmr", division.rates.within(name)),
                ("fnmr", division.rates.fnmr[name]),
                ("fte", division.rates.fte[name]),
            )
            rates += [{"division": division.axis, "cohort": name, "statistic": s, **_cells(r)} for s, r in of_cohort]
            matrix += [
                {
                    "division": division.axis,
                    "probe": name,
                    "reference": other,
                    **_cells(division.rates.fmr[name, other]),
                }
                for other in division.rates.cohorts
            ]
        measures += [
            {"division": division.axis, "measure": m.name, "value": _number(m.value), "why_undefined": m.why}
            for m in division.measures
        ]
    predictions: Table = [
        {"gallery": p.gallery, "basis": p.basis, "fmr": _number(p.fmr), "predicted_fpir": _number(p.fpir)}
        for p in result.predictions
    ]
    left_out: Table = [
        {"row": item.row, "what": item.what, "kind": kind, "code": item.code, "reason": item.reason}
        for kind, items in (("left out", samples.left_out), ("failure to extract", samples.failures))
        for item in items
    ]
    return {
        "rates": rates,
        "cross_cohort_fmr": matrix,
        "pair_accuracy": [
            {
                "division": found.axis,
                "cohort": found.cohort,
                "pairs": found.pairs,
                "folds": found.folds,
                "accuracy": _number(found.accuracy),
                "standard_error": _number(found.standard_error),
            }
            for found in result.accuracies
        ],
        "measures": measures,
        "fpir_predictions": predictions,
        "left_out": left_out,
    }


def _csv(rows: Sequence[Mapping[str, Cell]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0].keys())
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return out.getvalue().encode()


def _cell(value: Cell) -> Cell:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _drawings(result: Result, provenance: Provenance) -> dict[str, Drawing]:
    """One figure per division, named by its number: a column's name need not be a file name."""
    watermark = WATERMARK if provenance.generated else ""
    return {
        f"fmr_by_cohort_{number}": fmr_by_cohort(division, result.threshold.value, watermark=watermark)
        for number, division in enumerate(result.divisions, start=1)
    }
