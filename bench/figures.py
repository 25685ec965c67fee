"""Medians, spreads and ratios: what is left of many measured numbers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

Figure = dict[str, float]


def say(line: str) -> None:
    """A line of progress, on stderr: results go to files."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


def summary(values: Sequence[float], digits: int = 2) -> Figure:
    """Median, 10th and 90th percentile and number of the values, in their own unit."""
    low, middle, high = np.percentile(np.asarray(values, float), [10, 50, 90])
    return {
        "median": round(float(middle), digits),
        "p10": round(float(low), digits),
        "p90": round(float(high), digits),
        "n": len(values),
    }


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Ours divided by theirs, round by round: what disturbs the machine for a while disturbs both."""
    return summary([mine / other for mine, other in zip(ours, theirs, strict=True)])


def milliseconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def load_average() -> float:
    """Processes that wanted a core, over the last minute."""
    return round(os.getloadavg()[0], 2)


class Stopwatch:
    """Adds up what named functions take, in milliseconds, while a block runs."""

    def __init__(self) -> None:
        self.laps: dict[str, list[float]] = {}

    @contextmanager
    def watching(self, owner: object, function: str, label: str) -> Iterator[None]:
        """Time every call of `owner.function`; several calls are several laps."""
        inner = getattr(owner, function)

        def timed(*arguments: object, **named: object) -> object:
            begun = time.perf_counter()
            try:
                return inner(*arguments, **named)
            finally:
                self.laps.setdefault(label, []).append((time.perf_counter() - begun) * 1000)

        setattr(owner, function, timed)
        try:
            yield
        finally:
            setattr(owner, function, inner)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def spread(figure: Figure) -> str:
    """The median with the 10th and 90th percentile in brackets."""
    return f"{figure['median']:g} ({figure['p10']:g}–{figure['p90']:g})"
