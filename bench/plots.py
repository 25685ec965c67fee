"""Bars of medians with their 10th and 90th percentiles: what a table of a bench says, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.fairness.figures import INK, LINE, MUTED, PAPER, SETTINGS, save
from bench.figures import Figure

_WIDTH = 8.0  # inches
_ROW = 0.34
_OURS, _PEER = "#4a7fb0", "#c9c4b8"


@dataclass(frozen=True)
class Bar:
    """One row: the product's own are dark, and say so in their label."""

    label: str
    figure: Figure
    ours: bool = False


@dataclass(frozen=True)
class Plot:
    """A figure of a bench; `name` is that of its file. The same numbers stand in the table above it."""

    name: str
    title: str
    unit: str
    bars: Sequence[Bar]

    @property
    def line(self) -> str:
        """The Markdown that shows it."""
        return f"![{self.title}, {self.unit}: the numbers of the table above as bars]({self.name}.svg)"


def svg(plot: Plot) -> bytes:
    """The same bytes for the same numbers."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    height = 1.25 + _ROW * len(plot.bars)
    with matplotlib.rc_context(SETTINGS):
        figure = Canvas(figsize=(_WIDTH, height), facecolor=PAPER)
        figure.text(0.02, 1 - 0.3 / height, plot.title, color=INK, fontsize=12, fontweight="bold", va="center")
        axes = figure.add_axes((0.42, 0.5 / height, 0.47, 1 - 1.05 / height), facecolor=PAPER)
        places = range(len(plot.bars))
        medians = [bar.figure["median"] for bar in plot.bars]
        axes.barh(places, medians, height=0.62, color=[_OURS if bar.ours else _PEER for bar in plot.bars])
        ends = [bar.figure["p10"] for bar in plot.bars], [bar.figure["p90"] for bar in plot.bars]
        axes.hlines(places, *ends, color=PAPER, linewidth=4)
        axes.hlines(places, *ends, color=INK, linewidth=1.6)
        widest = max(max(bar.figure["p90"], bar.figure["median"]) for bar in plot.bars)
        for place, bar in zip(places, plot.bars, strict=True):
            end = max(bar.figure["p90"], bar.figure["median"])
            axes.text(end + widest * 0.015, place, f"{bar.figure['median']:g}", color=INK, fontsize=9, va="center")
        axes.set_yticks(list(places), [bar.label for bar in plot.bars], fontsize=9, color=INK)
        axes.set_xlim(0, widest * 1.12)
        axes.set_ylim(len(plot.bars) - 0.4, -0.6)
        axes.set_xlabel(plot.unit, fontsize=9, color=MUTED)
        axes.tick_params(axis="x", colors=MUTED, length=0, labelsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(LINE)
        return save(figure, "svg")
