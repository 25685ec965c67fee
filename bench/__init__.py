"""Benchmarks: the product against its peers, side by side in one run. `make bench`, or `python -m bench --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
BENCHES: Final = ("enrolment", "ingest", "search", "crowd", "matcher", "two_stage", "log", "comparisons")
