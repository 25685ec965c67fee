"""The other figures of a report: rates between cohorts, DET curves, score distributions, searches of galleries.

Same rules as in `figures`: no global state, the same bytes for the same input on the same installation, every figure with a
sentence that stands in for it and the same numbers in a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.fairness.curves import Point
from audit.fairness.evaluation import Division, Result
from audit.fairness.evidence import EVERYBODY, Evidence
from audit.fairness.figures import (
    COLOURS,
    INK,
    LINE,
    MARKERS,
    MUTED,
    PAPER,
    SETTINGS,
    WIDTH,
    Drawing,
    fmr_by_cohort,
    save,
    shown,
)
from audit.fairness.identification import SearchRates
from audit.fairness.scores import BINS, GRID_STEP, SCALE
from audit.fairness.wording import one_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DASHES = ("-", "--", "-.", ":")
_MOST_CURVES = 12
_BARS = 120
_LOWEST = 1e-9


def draw(evidence: Evidence | None, result: Result, watermark: str = "") -> dict[str, Drawing]:
    """Every figure of a report by the name of its file, in the order in which a page shows them."""
    found: dict[str, Drawing] = {}
    for number, division in enumerate(result.divisions, start=1):
        # A column's name need not be a file name.
        found[f"fmr_by_cohort_{number}"] = fmr_by_cohort(division, result.threshold.value, watermark=watermark)
        found[f"fmr_between_cohorts_{number}"] = between_cohorts(division, watermark)
        curves = [(group.name, group.det) for group in division.groups if group.det]
        if curves:
            found[f"det_{number}"] = det(division.axis, curves, result.threshold.value, watermark)
    if evidence is not None:
        found["score_distributions"] = distributions(evidence, result.threshold.value, watermark)
    everybody = [one for one in result.searches if not one.division and one.fpir]
    if everybody:
        found["fpir_by_gallery_size"] = fpir_by_size(everybody, result, watermark)
    return found


def _drawn(
    height: float, title: str, under: str, watermark: str, paint: Callable[[Figure], None], words: str
) -> Drawing:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, height), facecolor=PAPER)
        figure.text(0.03, 1 - 0.3 / height, title, color=INK, fontsize=13, fontweight="bold", va="center")
        figure.text(0.03, 1 - 0.55 / height, under, color=MUTED, fontsize=8.5, va="center")
        if watermark:
            figure.text(0.5, 0.5, watermark, color=INK, alpha=0.14, fontsize=15, ha="center", va="center", rotation=8)
            figure.text(0.03, 0.12 / height, watermark[0].upper() + watermark[1:] + ".", color=INK, fontsize=9)
        paint(figure)
        return Drawing(save(figure, "svg"), save(figure, "png"), words)


def _quiet(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=MUTED, length=0, labelsize=9)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def between_cohorts(division: Division, watermark: str = "") -> Drawing:
    """FMR of each cohort with each other one: log10 as shade, the rate in words in every cell."""
    names = division.rates.cohorts
    values = {(a, b): division.rates.fmr[a, b].value for a in names for b in names}
    logs = [math.log10(value) for value in values.values() if value]
    low, high = (min(logs), max(logs)) if logs else (-1.0, 0.0)
    height = 2.0 + 0.62 * len(names)

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.24, 0.4 / height, 0.70, 1 - 1.9 / height))
        for row, a in enumerate(names):
            for column, b in enumerate(names):
                value = values[a, b]
                # Dark is often; the words say how often, so nothing hangs on the shade.
                depth = 0.0 if not value else 0.15 + 0.6 * (math.log10(value) - low) / (high - low or 1)
                axes.add_patch(_cell(column, row, depth))
                if len(names) <= _MOST_CURVES:
                    axes.text(column + 0.5, row + 0.5, _short(value), ha="center", va="center", fontsize=8.5,
                              color=PAPER if depth > 0.5 else INK)  # fmt: skip
        axes.set_xlim(0, len(names))
        axes.set_ylim(len(names), 0)
        labels = [shown(name) for name in names]
        axes.set_xticks([n + 0.5 for n in range(len(names))], labels, rotation=0 if len(names) < 5 else 30,
                        ha="center" if len(names) < 5 else "left")  # fmt: skip
        axes.set_yticks([n + 0.5 for n in range(len(names))], labels)
        axes.xaxis.tick_top()
        axes.tick_params(colors=INK, length=0, labelsize=9)
        for side in axes.spines.values():
            side.set_visible(False)

    words = "; ".join(f"{a} with {b}: {one_in(values[a, b])}" for i, a in enumerate(names) for b in names[i:])
    return _drawn(
        height,
        f"False matches between cohorts, by {shown(division.axis)}",
        "Probe in rows, reference in columns. Darker: more often, on a logarithmic scale (log10 FMR).",
        watermark,
        paint,
        f"False-match rate between cohorts. {words}.",
    )


def _cell(column: int, row: int, depth: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column + 0.02, row + 0.02), 0.96, 0.96, facecolor=_shade(depth), edgecolor=LINE, linewidth=0.6)


def _shade(depth: float) -> tuple[float, float, float]:
    """From paper to the accent of the pages."""
    dark = (0x1F / 255, 0x4E / 255, 0x79 / 255)
    return (1 - depth * (1 - dark[0]), 1 - depth * (1 - dark[1]), 1 - depth * (1 - dark[2]))


def _short(value: float | None) -> str:
    return "none" if value is None else one_in(value) if value else "0"


def det(axis: str, curves: Sequence[tuple[str, Sequence[Point]]], threshold: int, watermark: str = "") -> Drawing:
    """Both errors of each cohort against each other on logarithmic axes, with a mark at the operating threshold."""
    drawn = curves[:_MOST_CURVES]
    height = 5.6

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.12, 0.95 / height, 0.84, 1 - 1.75 / height))
        _quiet(axes)
        # What was not seen is drawn on the edge, one power of ten below the smallest rate that was.
        low = _edge(points for _, points in drawn)
        for number, (name, points) in enumerate(drawn):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            # Between two points the higher miss rate is drawn: what was not looked at is not made better.
            places = sorted(
                (_errors(point, low) for point in points if point.genuine_pairs), key=lambda at: (at[0], -at[1])
            )
            if not places:
                continue
            dashes = _DASHES[number // len(COLOURS) % len(_DASHES)]
            axes.plot(
                *zip(*places, strict=True), drawstyle="steps-post", color=colour, linestyle=dashes, linewidth=1.8,
                label=shown(name),
            )  # fmt: skip
            at = min(points, key=lambda p: abs(p.threshold - threshold))
            axes.plot(
                *_errors(at, low), marker=marker, color=colour, markersize=9, markeredgecolor=PAPER, clip_on=False
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        for set_limit, set_ticks in ((axes.set_xlim, axes.set_xticks), (axes.set_ylim, axes.set_yticks)):
            set_limit(low, 1)
            ticks = [10.0**power for power in range(round(math.log10(low)), 1)]
            set_ticks(ticks, ["none seen", *(one_in(tick) if tick < 1 else "always" for tick in ticks[1:])])
            set_ticks([], minor=True)
        axes.set_xlabel("different people of the cohort taken for the same (FMR)", color=MUTED, fontsize=9)
        axes.set_ylabel("same person not recognised (FNMR)", color=MUTED, fontsize=9)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)

    more = f" The first {_MOST_CURVES} of {len(curves)} cohorts." if len(curves) > _MOST_CURVES else ""
    if not any(p.false_matches and p.misses for _, points in drawn for p in points):
        more += " No threshold has both errors: the curves lie on the edges."
    return _drawn(
        height,
        f"Both errors at every threshold, by {shown(axis)}",
        f"DET curves; the marks are near the operating threshold {threshold / SCALE:.6f}.{more}",
        watermark,
        paint,
        f"Detection error trade-off of {len(curves)} cohorts by {axis}; the points are in det.csv.",
    )


def _edge(curves: Iterator[Sequence[Point]]) -> float:
    rates = [
        errors / pairs
        for points in curves
        for p in points
        for errors, pairs in ((p.false_matches, p.impostor_pairs), (p.misses, p.genuine_pairs))
        if errors and pairs
    ]
    return 10.0 ** (math.floor(math.log10(max(min(rates, default=1.0), _LOWEST)) + 1e-9) - 1)


def _errors(point: Point, low: float) -> tuple[float, float]:
    return max(point.false_matches / point.impostor_pairs, low), max(point.misses / point.genuine_pairs, low)


def distributions(evidence: Evidence, threshold: int, watermark: str = "") -> Drawing:
    """Scores of different people and of the same person, each as shares of their pairs, on a logarithmic axis."""
    everybody = evidence.divided_by("")
    impostor, genuine = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    everybody.impostor_histogram(0, 0).add_to(impostor)
    everybody.genuine[0].add_to(genuine)
    height = 4.4
    filled = np.flatnonzero(impostor + genuine)
    first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, BINS)
    edges = np.unique(np.linspace(first, last, _BARS + 1).astype(int))

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.12, 0.85 / height, 0.84, 1 - 1.65 / height))
        _quiet(axes)
        series = (("different people", impostor, COLOURS[0], "-"), ("same person", genuine, COLOURS[1], "--"))
        for label, bins, colour, dashes in series:
            total = int(bins.sum())
            if total:
                shares = np.add.reduceat(bins, edges[:-1]) / total
                places = (edges * GRID_STEP - SCALE) / SCALE
                axes.stairs(shares, places, color=colour, linestyle=dashes, linewidth=1.8,
                            label=f"{label} ({total:,} pairs)")  # fmt: skip
        axes.set_yscale("log")
        axes.axvline(threshold / SCALE, color=INK, linewidth=1.2, linestyle=":")
        axes.text(threshold / SCALE, 1.02, f"threshold {threshold / SCALE:.3f}", transform=axes.get_xaxis_transform(),
                  ha="center", va="bottom", color=INK, fontsize=8.5)  # fmt: skip
        low, high = axes.get_ylim()
        ticks = list(_decades(max(low, _LOWEST), 1.0))
        axes.set_yticks(ticks, [one_in(tick) if tick < 1 else "all" for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.set_ylim(low, min(high * 2, 1.5))
        axes.set_xlabel("score (cosine)", color=MUTED, fontsize=9)
        axes.set_ylabel("share of pairs", color=MUTED, fontsize=9)
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)

    words = (
        f"Scores of {int(impostor.sum()):,} pairs of different people and {int(genuine.sum()):,} pairs of one person; the "
        f"threshold is {threshold / SCALE:.6f}. Means and medians by cohort are in score_shift.csv."
    )
    return _drawn(
        height, "Where scores lie", "Share of pairs in each range of scores, logarithmic.", watermark, paint, words
    )


def fpir_by_size(searches: Sequence[SearchRates], result: Result, watermark: str = "") -> Drawing:
    """Measured FPIR of each evaluation edition at the operating threshold beside what independence predicts."""
    height = 4.4
    found = sorted((one.templates, one.fpir[0].rate, one.predicted) for one in searches)
    fmr = result.overall.all_fmr.value

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.13, 0.85 / height, 0.83, 1 - 1.65 / height))
        _quiet(axes)
        for number, (size, rate, _) in enumerate(found):
            if rate.value is None:
                continue
            if rate.interval:
                ends = [max(rate.interval.low, _LOWEST), rate.interval.high]
                axes.plot([size, size], ends, color=COLOURS[0], linewidth=2.2)
            if rate.errors:
                label = "measured, with 95 % interval" if number == 0 else None
                axes.plot(
                    [size], [rate.value], marker="o", color=COLOURS[0], markersize=8, linestyle="none", label=label
                )
            elif rate.interval:
                axes.plot([size], [rate.interval.high], marker="v", color=COLOURS[0], markersize=8, linestyle="none",
                          label="measured: none seen, upper bound" if number == 0 else None)  # fmt: skip
        if fmr:
            sizes = np.unique(
                np.geomspace(min(s for s, _, _ in found), max(result.parameters.gallery_sizes), 60).astype(int)
            )
            predicted = [-math.expm1(int(size) * math.log1p(-fmr)) if fmr < 1 else 1.0 for size in sizes]
            axes.plot(
                sizes, predicted, color=COLOURS[1], linestyle="--", linewidth=1.8, label="predicted: 1 − (1 − FMR)^N"
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("templates enrolled (N)", color=MUTED, fontsize=9)
        axes.set_ylabel("searches of people not enrolled\nthat return somebody (FPIR)", color=MUTED, fontsize=9)
        low, high = axes.get_ylim()
        ticks = list(_decades(max(low, _LOWEST), min(high, 1.0)))
        axes.set_yticks(ticks, [one_in(tick) if tick < 1 else "every" for tick in ticks])
        axes.set_yticks([], minor=True)
        low, high = axes.get_xlim()
        sizes_shown = list(_decades(low, high))
        axes.set_xticks(sizes_shown, [f"{tick:,.0f}" for tick in sizes_shown])
        axes.set_xticks([], minor=True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)

    words = "; ".join(f"{size:,} templates: {_measured(rate)}" for size, rate, _ in found)
    return _drawn(
        height,
        "Searches of people who are not enrolled",
        f"At the operating threshold {result.threshold.value / SCALE:.6f}, {EVERYBODY} together.",
        watermark,
        paint,
        f"Measured false-positive identification rate. {words}.",
    )


def _measured(rate: Any) -> str:
    span = f" (between {one_in(rate.interval.low)} and {one_in(rate.interval.high)})" if rate.interval else ""
    return f"{rate.errors:,} of {rate.trials:,}{span}"


def _decades(low: float, high: float) -> Iterator[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return (10.0**power for power in range(first, max(first, last) + 1))
