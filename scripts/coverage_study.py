"""Run the simulation study of intervals and announcements and write docs/measurement: page, tables and figure.

.venv/bin/python scripts/coverage_study.py            the published study: fixed seed, some minutes on one core
.venv/bin/python scripts/coverage_study.py --runs 50 --out var/coverage      to see that it works
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audit.fairness import simulation  # noqa: E402
from audit.fairness.disparity import ANNOUNCE_CONFIDENCE  # noqa: E402
from audit.fairness.simulation import Announced, Coverage, RatioCoverage  # noqa: E402

SEED = 1
FACTORS = ((1.0, 1.0), (1.0, 1.0, 1.0, 1.0), (1.0, 3.0))
Row = Mapping[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=simulation.RUNS, help="runs in each cell (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "measurement", help="default: %(default)s")
    chosen = parser.parse_args()
    grid = list(itertools.product(simulation.PEOPLE, simulation.RATES, simulation.SIGMAS))
    cells = [simulation.coverage(*cell, runs=chosen.runs, seed=SEED) for cell in grid]
    said = [
        simulation.announced(people, rate, sigma, factors, runs=chosen.runs, seed=SEED)
        for people, rate, sigma in grid
        if people >= 50
        for factors in FACTORS
    ]
    ratios = [
        simulation.ratio_coverage(people, rate, sigma, factor, runs=max(chosen.runs // 4, 1), seed=SEED)
        for people, rate, sigma in grid
        if people in (100, 300)
        for factor in (1.0, 3.0)
    ]
    chosen.out.mkdir(parents=True, exist_ok=True)
    _write(chosen.out / "coverage.csv", [_coverage(cell) for cell in cells])
    _write(chosen.out / "announced.csv", [_announced(cell) for cell in said])
    _write(chosen.out / "ratios.csv", [_ratio(cell) for cell in ratios])
    (chosen.out / "coverage.svg").write_bytes(_figure(cells))
    (chosen.out / "coverage.md").write_text(_page(cells, said, ratios, chosen.runs))
    return 0


def _coverage(cell: Coverage) -> Row:
    low, high = cell.limits
    return {
        "people": cell.people, "planted_fmr": cell.rate, "sigma": cell.sigma, "runs": cell.runs, "held": cell.held,
        "coverage": f"{cell.coverage:.4f}", "coverage_low": f"{low:.4f}", "coverage_high": f"{high:.4f}",
        "held_if_pairs_were_independent": cell.held_without_clusters, "interval_below_truth": cell.missed_below,
        "runs_without_error": cell.without_error, "mean_width_over_rate": f"{cell.mean_width:.3f}",
    }  # fmt: skip


def _announced(cell: Announced) -> Row:
    low, high = cell.limits
    return {
        "people": cell.people, "planted_fmr": cell.rate, "sigma": cell.sigma,
        "factors": ":".join(f"{factor:g}" for factor in cell.factors), "runs": cell.runs, "announced": cell.announced,
        "share": f"{cell.share:.4f}", "share_low": f"{low:.4f}", "share_high": f"{high:.4f}",
    }  # fmt: skip


def _ratio(cell: RatioCoverage) -> Row:
    return {
        "people": cell.people, "planted_fmr": cell.rate, "sigma": cell.sigma, "planted_ratio": cell.factor,
        "runs": cell.runs, "held": cell.held, "without_interval": cell.without_interval,
        "coverage": f"{cell.coverage:.4f}",
    }  # fmt: skip


def _write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _page(cells: Sequence[Coverage], said: Sequence[Announced], ratios: Sequence[RatioCoverage], runs: int) -> str:
    minimum = simulation.minimum_people(cells)
    enough = [cell for cell in said if minimum and cell.people >= minimum]
    false = max((cell.share for cell in enough if set(cell.factors) == {1.0}), default=0.0)
    wanted = [c for c in said if (c.people, c.rate, c.sigma) == (300, 1e-3, 0.5)]
    ends = ", ".join(f"{c.share:.1%} for {_factors(c)}" for c in wanted)
    at_300 = [cell for cell in cells if cell.people == 300]
    return f"""# How good the intervals are

Made by `scripts/coverage_study.py` (seed {SEED}, {runs:,} runs in each cell); the same numbers are in `coverage.csv`,
`announced.csv` and `ratios.csv`. Definitions: `audit/fairness/simulation.py`.

False matches are drawn with a planted rate. Every person has an effect, lognormal with mean 1: at sigma 1 some people
are mistaken for others many times as often as the rest, so pairs that share a person are far from independent.

## What follows

- **Minimum number of people: {
        minimum or "none of those simulated"
    }.** From there on every cell's coverage has an upper 95 %
  limit of at least {
        simulation.NEEDED
    }. `Parameters.minimum_people` defaults to it; smaller cohorts are shown and never compared.
- At 300 people the lowest coverage is {min(c.coverage for c in at_300):.3f} (upper limit {
        min(c.limits[1] for c in at_300):.3f}). An interval that
  takes pairs as independent falls to {min(c.held_without_clusters / c.runs for c in at_300):.3f}.
- At 300 people, a rate of 1e-3 and sigma 0.5, a difference is announced in {ends}.
- Where no difference was planted and cohorts have at least {minimum or "so many"} people, one is announced in at most {
        false:.1%} of runs.
  Announcements are made at a confidence of {ANNOUNCE_CONFIDENCE}, divided by the number of pairs of cohorts.
- An interval that misses mostly lies below the truth: a rare person who is mistaken for many was not in the sample.
  No interval knows of people who were not measured.

## Coverage of the clustered 95 % interval of a false-match rate

![Coverage by number of people: the same numbers as in the table](coverage.svg)

{
        _table(
            (
                "People",
                "Planted FMR",
                "Sigma",
                "Coverage",
                "95 % limits",
                "Pairs as independent",
                "Below the truth",
                "Runs without an error",
                "Mean width / rate",
            ),
            [
                (
                    c.people,
                    f"{c.rate:g}",
                    f"{c.sigma:g}",
                    f"{c.coverage:.3f}",
                    f"{c.limits[0]:.3f} to {c.limits[1]:.3f}",
                    f"{c.held_without_clusters / c.runs:.3f}",
                    f"{c.missed_below / c.runs:.3f}",
                    c.without_error,
                    f"{c.mean_width:.2f}",
                )
                for c in cells
            ],
        )
    }

## How often a difference between cohorts is announced

{
        _table(
            ("People in each cohort", "Planted FMR", "Sigma", "Planted", "Announced", "95 % limits"),
            [
                (
                    c.people,
                    f"{c.rate:g}",
                    f"{c.sigma:g}",
                    _factors(c),
                    f"{c.share:.3f}",
                    f"{c.limits[0]:.3f} to {c.limits[1]:.3f}",
                )
                for c in said
            ],
        )
    }

## Coverage of the bootstrapped 95 % interval of a ratio of two rates

Runs whose cohorts had too few errors for an interval are not in the coverage. The double-or-nothing bootstrap counts the chance
of a single pair three times (the product of two weights that are 0 or 2 has variance 3), so these intervals are too wide
rather than too narrow, most so at sigma 0. Announcements do not rest on them.

{
        _table(
            ("People in each cohort", "Planted FMR", "Sigma", "Planted ratio", "Runs", "No interval", "Coverage"),
            [
                (
                    c.people,
                    f"{c.rate:g}",
                    f"{c.sigma:g}",
                    f"{c.factor:g}",
                    c.runs,
                    c.without_interval,
                    f"{c.coverage:.3f}",
                )
                for c in ratios
            ],
        )
    }
"""


def _factors(cell: Announced) -> str:
    if set(cell.factors) == {1.0}:
        return f"{len(cell.factors)} equal cohorts"
    return " : ".join(f"{factor:g}" for factor in cell.factors)


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _figure(cells: Sequence[Coverage]) -> bytes:
    import io

    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    styles = {0.0: ("#0072b2", "o", "-"), 0.5: ("#d55e00", "s", "--"), 1.0: ("#009e73", "D", ":")}
    with matplotlib.rc_context({"svg.hashsalt": "glasscase", "svg.fonttype": "path", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(9, 3.8))
        for place, rate in enumerate(simulation.RATES, start=1):
            axes = figure.add_subplot(1, 2, place)
            for sigma, (colour, marker, line) in styles.items():
                mine = [cell for cell in cells if (cell.rate, cell.sigma) == (rate, sigma)]
                values = [cell.coverage for cell in mine]
                spans = [
                    [v - c.limits[0] for v, c in zip(values, mine, strict=True)],
                    [c.limits[1] - v for v, c in zip(values, mine, strict=True)],
                ]
                axes.errorbar([c.people for c in mine], values, yerr=spans, color=colour, marker=marker, linestyle=line,
                              label=f"sigma {sigma:g}", capsize=3)  # fmt: skip
            axes.axhline(0.95, color="#565d66", linewidth=0.8)
            axes.axhline(simulation.NEEDED, color="#565d66", linewidth=0.8, linestyle="--")
            axes.set_title(f"planted false-match rate {rate:g}", fontsize=10)
            axes.set_xlabel("people in the cohort")
            axes.set_ylim(0.86, 1.0)
            axes.legend(fontsize=8, frameon=False, loc="lower right")
        figure.axes[0].set_ylabel("coverage of the 95 % interval")
        figure.tight_layout()
        out = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
