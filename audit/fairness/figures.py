"""Figures of an evaluation report, drawn without any global state and the same to the byte for the same input.

The same input gives the same bytes on the same installation: another version of matplotlib or of its font renderer may
draw other pixels, so reports never contain a hash of a figure.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.fairness.evaluation import Division
from audit.fairness.rates import Rate
from audit.fairness.wording import counted, one_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WATERMARK = "generated people: says nothing about real ones"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#4d4d4d", "#7a3e9d")
MARKERS = ("o", "s", "D", "^", "v", "P")
INK, MUTED, LINE, PAPER = "#1b1f24", "#565d66", "#d9d5cc", "#ffffff"
FONT = "DejaVu Sans"  # comes with matplotlib, so every machine has it
ROW, WIDTH = 0.62, 8.0  # inches
LONGEST_NAME = 22

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "glasscase",  # else the ids in an SVG are random
    "svg.fonttype": "path",  # the same shapes wherever it is read; the table beside it is the text
    "font.family": FONT,
    "font.size": 10,
    "text.parse_math": False,  # a cohort called "$x$" is not a formula
    "path.simplify": False,
}


@dataclass(frozen=True)
class Drawing:
    """One figure in both formats, and the sentence that stands in for it."""

    svg: bytes
    png: bytes
    alternative: str


def fmr_by_cohort(division: Division, threshold: int, *, watermark: str = "") -> Drawing:
    """False-match rate within each cohort with its clustered 95 % interval, on a logarithmic axis.

    A cohort without an error is drawn as the bound it stays below; one without pairs as words only.
    """
    import matplotlib
    from matplotlib.figure import Figure

    rates = [(name, division.rates.within(name)) for name in division.rates.cohorts]
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, 1.75 + ROW * len(rates)), facecolor=PAPER)
        _draw(figure, rates, threshold, watermark)
        return Drawing(save(figure, "svg"), save(figure, "png"), _in_words(rates))


def _draw(figure: Figure, rates: Sequence[tuple[str, Rate]], threshold: int, watermark: str) -> None:
    height = float(figure.get_size_inches()[1])
    axes = figure.add_axes((0.29, 0.72 / height, 0.66, 1 - (0.72 + 0.72) / height))
    low, high = _limits([rate for _, rate in rates])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(rates) - 0.5, -0.5)
    for row, (name, rate) in enumerate(rates):
        _draw_rate(axes, row, rate, low)
        axes.text(
            -0.02, row - 0.12, shown(name), transform=axes.get_yaxis_transform(), ha="right", va="center", color=INK,
            fontweight="bold",
        )  # fmt: skip
        small = f"{counted(rate.people, 'person', 'people')}, {counted(rate.trials, 'pair')}"
        axes.text(
            -0.02, row + 0.2, small, transform=axes.get_yaxis_transform(), ha="right", va="center", color=MUTED,
            fontsize=8,
        )  # fmt: skip
    ticks = [10.0**power for power in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]
    axes.set_xticks(ticks, [one_in(tick) if tick < 1 else "always" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(axis="x", colors=MUTED, length=0, labelsize=9)
    axes.set_xlabel(
        "different people of the same cohort taken for the same person (logarithmic)", color=MUTED, fontsize=9
    )
    figure.text(
        0.03, 1 - 0.3 / height, "False matches by cohort", color=INK, fontsize=13, fontweight="bold", va="center"
    )
    under = f"One threshold for everybody: {threshold / 1e6:.6f}. Lines: 95 % intervals that allow for pairs sharing people."
    figure.text(0.03, 1 - 0.55 / height, under, color=MUTED, fontsize=8.5, va="center")
    if watermark:
        axes.text(0.5, 0.5, watermark, transform=axes.transAxes, color=INK, alpha=0.14, fontsize=15, ha="center",
                  va="center", rotation=8, zorder=0.5)  # fmt: skip
        figure.text(0.03, 0.12 / height, watermark[0].upper() + watermark[1:] + ".", color=INK, fontsize=9)


def _draw_rate(axes: Any, row: int, rate: Rate, low: float) -> None:
    colour, marker = COLOURS[row % len(COLOURS)], MARKERS[row % len(MARKERS)]
    interval, value = rate.interval, rate.value
    if value is None:
        axes.text(0.5, row, "not measurable: no pairs", transform=axes.get_yaxis_transform(), ha="center", va="center",
                  color=MUTED, fontsize=9)  # fmt: skip
        return
    if interval:
        axes.plot([max(interval.low, low), interval.high], [row, row], color=colour, linewidth=2.2, zorder=2)
        for end in (interval.low, interval.high):
            if end >= low:
                axes.plot([end, end], [row - 0.11, row + 0.11], color=colour, linewidth=2.2, zorder=2)
    if rate.errors:
        axes.plot([value], [row], marker=marker, markersize=9, color=colour, markeredgecolor=PAPER, zorder=3)
        place, text = value, one_in(value)
    else:
        # No error seen: the line ends at the bound and points to the left, where the rate may lie.
        place = interval.high if interval else low * 3
        axes.plot([low * 1.06], [row], marker="<", markersize=8, color=colour, clip_on=False, zorder=3)
        text = f"no error; at most {one_in(interval.high)}" if interval else "no error"
    side = "right" if place > 0.2 else "center"
    ground = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}
    axes.text(place, row - 0.2, text, ha=side, va="bottom", color=INK, fontsize=9, bbox=ground, zorder=1)


def _limits(rates: Sequence[Rate]) -> tuple[float, float]:
    """Whole powers of ten around everything that is drawn."""
    points: list[float] = []
    for rate in rates:
        interval = rate.interval
        if rate.value:
            points.append(rate.value)
        if interval:
            points += [end for end in (interval.low, interval.high) if end > 0]
            if not rate.errors:
                points.append(interval.high / 10)
    low = 10.0 ** math.floor(math.log10(min(points, default=1e-4)) + 1e-9)
    high = 10.0 ** math.ceil(math.log10(max(points, default=1.0)) - 1e-9)
    return (low / 10 if low == high else low), high


def shown(name: str) -> str:
    """A cohort's name without letters that the font lacks, cut to what fits."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont(FONT)).get_charmap()
    text = "".join(letter if ord(letter) in known else "□" for letter in name)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def _in_words(rates: Sequence[tuple[str, Rate]]) -> str:
    parts = []
    for name, rate in rates:
        interval = rate.interval
        span = f" (between {one_in(interval.low)} and {one_in(interval.high)})" if interval else ""
        parts.append(f"{name}: {one_in(rate.value)}{span}")
    return "False-match rate within each cohort. " + "; ".join(parts) + "."


def save(figure: Figure, kind: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.BytesIO()
    if kind == "svg":
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    else:
        figure.set_dpi(160)
        FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()
