"""A table of a million scores is measured within a bound on memory, and its numbers are counted from the file."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from audit.fairness.rates import split_people
from bench import ROOT
from bench.comparisons import write_scores

ROWS = 1_000_000
# A fixed part (libraries, figures: 140 MB), people, and one block of rows at a time; the table itself is mapped.
MOST_MEGABYTES = 400


@pytest.mark.slow
def test_a_million_scores_need_little_memory_and_are_counted_right(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.comparisons", "scores", str(ROWS), "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["peak_megabytes"] <= MOST_MEGABYTES
    assert found["numbers_reproduced"] > 500

    write_scores(tmp_path / "scores.csv", ROWS)
    with (tmp_path / "scores.csv").open(newline="") as table:
        rows = [(row[0], row[2], row[4], row[5]) for row in csv.reader(table)][1:]
    cohort = {}
    for _, label, a, b in rows:
        cohort.setdefault(a, label)
        cohort.setdefault(b, f"cohort {int(b[1:]) % 8}")
    _, reporting = split_people(tuple(cohort), tuple(cohort.values()), 1)
    impostors = [round(float(score) * 1e6) for score, _, a, b in rows if a != b and a in reporting and b in reporting]
    assert found["people"] == len(cohort)
    assert found["false_match_trials"] == len(impostors)
    assert found["false_matches"] == sum(score >= found["threshold"] for score in impostors)
