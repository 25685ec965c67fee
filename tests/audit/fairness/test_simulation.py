"""The study of intervals and announcements: what was published holds, and a small run of it says the same."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from audit.fairness import simulation
from audit.fairness.evidence import MINIMUM_PEOPLE

PUBLISHED = Path(__file__).parents[3] / "docs" / "measurement"


def published(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_published_coverage_is_good_enough_at_300_people() -> None:
    rows = [row for row in published("coverage.csv") if row["people"] == "300"]
    assert {(row["planted_fmr"], row["sigma"]) for row in rows} == {
        (rate, sigma) for rate in ("0.01", "0.001") for sigma in ("0.0", "0.5", "1.0")
    }
    assert all(int(row["runs"]) == simulation.RUNS for row in rows)
    assert all(float(row["coverage_high"]) >= simulation.NEEDED for row in rows)


def test_the_minimum_number_of_people_is_the_one_that_the_study_gives() -> None:
    cells = [
        simulation.Coverage(
            int(r["people"]), float(r["planted_fmr"]), float(r["sigma"]), int(r["runs"]), int(r["held"]), 0, 0, 0, 0.0
        )
        for r in published("coverage.csv")
    ]
    assert simulation.minimum_people(cells) == MINIMUM_PEOPLE


def test_published_announcements_are_rarely_false_and_mostly_made() -> None:
    rows = published("announced.csv")
    of_interest = {r["factors"]: float(r["share"]) for r in rows if (r["people"], r["planted_fmr"], r["sigma"]) == ("300", "0.001", "0.5")}  # fmt: skip
    assert of_interest["1:1"] <= 0.05
    assert of_interest["1:1:1:1"] <= 0.05
    assert of_interest["1:3"] >= 0.8
    false = [float(r["share"]) for r in rows if "3" not in r["factors"] and int(r["people"]) >= MINIMUM_PEOPLE]
    assert max(false) <= 0.05


def test_the_same_seed_gives_the_same_cell() -> None:
    one = simulation.coverage(40, 0.01, 0.5, runs=20, seed=4)
    assert one == simulation.coverage(40, 0.01, 0.5, runs=20, seed=4)
    assert one != simulation.coverage(40, 0.01, 0.5, runs=20, seed=5)


def test_no_number_of_people_is_enough_when_the_largest_is_not() -> None:
    bad = simulation.Coverage(300, 0.01, 0.5, 2000, 1700, 0, 0, 0, 1.0)
    good = simulation.Coverage(100, 0.01, 0.5, 2000, 1900, 0, 0, 0, 1.0)
    assert simulation.minimum_people([bad, good]) is None
    assert simulation.minimum_people([good]) == 100


@pytest.mark.slow
@pytest.mark.parametrize("sigma", simulation.SIGMAS)
@pytest.mark.parametrize("rate", simulation.RATES)
def test_a_smaller_run_covers_the_planted_rate(rate: float, sigma: float) -> None:
    assert simulation.coverage(300, rate, sigma, runs=600, seed=9).limits[1] >= simulation.NEEDED


@pytest.mark.slow
def test_a_smaller_run_covers_a_planted_ratio() -> None:
    found = simulation.ratio_coverage(300, 1e-3, 0.5, 3.0, runs=100, seed=9)
    assert found.without_interval == 0
    assert found.coverage >= 0.88
