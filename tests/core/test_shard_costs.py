"""docs/shards.md: every number of its tables of cost follows from the constants and formulae that stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "shards.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    lines = TEXT.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def number(text: str) -> float:
    """The first number of a cell; million counts."""
    found = re.search(r"[\d,]+(\.\d+)?", text)
    assert found is not None, text
    return float(found[0].replace(",", "")) * (1_000_000 if "million" in text else 1)


CONSTANTS = {row[0].split("*")[1]: number(row[2]) for row in rows("constant")}
METHODS = {"exact": CONSTANTS["m"], "two stages": CONSTANTS["m₂"]}


def same(stated: str, computed: float) -> None:
    """The cell states the value as it is rounded there, to two digits at least."""
    assert number(stated) == pytest.approx(computed, rel=0.06), f"{stated} where {computed:.4g} follows"


@pytest.mark.parametrize("row", rows("faces"), ids=lambda row: f"{row[0]}, {row[1]}")
def test_what_is_stated_of_a_gallery_follows_from_the_formulae(row: list[str]) -> None:
    faces, method, servers, memory, scan, work, month, few, many, full = row
    people, m = number(faces), METHODS[method]
    machines, cores = (float(one) for one in re.findall(r"\d+", servers))
    per_face = CONSTANTS["b"] + (CONSTANTS["b₂"] if method == "two stages" else 0)
    same(memory, people * per_face * 4 / 3 / machines / 1e9)
    same(scan, people / 1e6 * m / (machines * cores))
    same(work, people / 1e6 * m)
    monthly = machines * cores * 730 * CONSTANTS["p"]
    same(month, monthly)
    same(few, monthly)
    same(many, monthly / 100)
    same(full, people / 1e6 * m * 1000 / 3600 * CONSTANTS["p"])


def test_every_size_is_there_for_both_methods() -> None:
    assert [row[1] for row in rows("faces")] == ["exact", "two stages"] * 4
