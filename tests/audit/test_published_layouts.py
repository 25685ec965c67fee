"""LFW, RFW and BFW as they are published, with drawn portraits: added, measured by command, every number held against a few
lines of numpy and computed again from the bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.urls import reverse

from audit import evaluator_file
from audit.fairness.rates import split_people
from audit.models import BenchmarkSet, Evaluation
from core.faces.decode import decode
from core.portraits import portrait_jpeg
from search import face_models
from tests.audit.fairness import layout_files
from tests.audit.test_reports import signed_in

pytestmark = pytest.mark.slow

Pair = tuple[str, str, bool, int]  # two files, one person, fold
FOLDS, EACH = 10, 300  # as published: ten folds of 300 pairs of one person and 300 of two


@cache
def jpeg(person: int, shot: int) -> bytes:
    return portrait_jpeg(person, shot)


@cache
def embedded(photo: Path) -> np.ndarray | None:
    engine = face_models.engine()
    rgb = decode(photo.read_bytes()).rgb
    faces = engine.detect(rgb)
    if not faces:
        return None
    vector = engine.embed(rgb, max(faces, key=lambda f: (f.box[2] - f.box[0]) * (f.box[3] - f.box[1]))).astype(float)
    return np.asarray(vector / np.linalg.norm(vector))


@cache
def score(folder: Path, a: str, b: str) -> float:
    one, other = (embedded(folder / file) for file in (a, b))
    return -2.0 if one is None or other is None else round(float(one @ other), 6)


def accuracies(scores: np.ndarray, same: np.ndarray, fold: np.ndarray) -> list[float]:
    """The definition: each fold at the lowest threshold among all scores that is best on the others."""
    found = []
    for number in np.unique(fold):
        here = fold == number
        candidates = [*np.unique(scores[~here]), 2.0]
        best = max(candidates, key=lambda t: (((scores[~here] >= t) == same[~here]).sum(), -t))
        found.append(float(((scores[here] >= best) == same[here]).mean()))
    return found


def measured(tmp_path: Path, name: str, layout: str, source: Path, columns: str, target: float = 0.1) -> dict[str, Any]:
    """The record of an evaluation of a set that was added and measured by command, and computed again without us."""
    call_command("benchmarks", "add", name, source, layout=layout, acting="carl", label_source="assigned")
    made = BenchmarkSet.objects.get(name=name)
    assert (made.layout, made.kind) == (layout, "photos")
    out = tmp_path / "report"
    call_command(
        "evaluate",
        benchmark=name,
        cohorts=columns,
        acceptance_policy="demo",
        target_fmr=target,
        generated_people=True,
        out=out,
        acting="carl",
    )
    assert Evaluation.objects.get().state == "published"
    again(tmp_path, out)
    record: dict[str, Any] = json.loads((out / "report.json").read_text())
    return record


def again(tmp_path: Path, report: Path) -> None:
    program = tmp_path / evaluator_file.NAME
    evaluator_file.FILE.write(program)
    done = subprocess.run(
        [sys.executable, "-I", program, report / "rerun.zip", "--report", report / "report.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.startswith("OK numbers="), done.stdout + done.stderr


def check_accuracy(record: dict[str, Any], division: str, cohort: str, folder: Path, pairs: Sequence[Pair]) -> float:
    [row] = [one for one in record["pair_accuracy"] if (one["division"], one["cohort"]) == (division, cohort)]
    scores = np.array([score(folder, a, b) for a, b, _, _ in pairs])
    same, fold = np.array([one[2] for one in pairs]), np.array([one[3] for one in pairs])
    expected = accuracies(scores, same, fold)
    assert (row["pairs"], row["folds"]) == (len(pairs), len(set(fold.tolist())))
    assert row["accuracy"] == pytest.approx(np.mean(expected), abs=1e-9)
    assert row["standard_error"] == pytest.approx(np.std(expected, ddof=1) / len(expected) ** 0.5, abs=1e-9)
    assert 0.5 < row["accuracy"] <= 1
    return float(row["accuracy"])


def check_rates(record: dict[str, Any], cohort: dict[str, str], folder: Path, pairs: Sequence[Pair]) -> None:
    """Rates at the threshold, over the pairs within the half that is reported on."""
    person = {file: file.split("/")[-2] for a, b, _, _ in pairs for file in (a, b)}
    people = [one for a, b, _, _ in pairs for one in (person[a], person[b])]
    # The halves are dealt by photo: each person has the same two.
    names = [one for one in dict.fromkeys(people) for _ in (1, 2)]
    _, reporting = split_people(names, [cohort[one] for one in names], 1)
    value = record["threshold"]["value"] / 1e6
    used = [(a, b, same) for a, b, same, _ in pairs if {person[a], person[b]} <= reporting]
    missed = [score(folder, a, b) < value for a, b, same in used if same]
    taken = [score(folder, a, b) >= value for a, b, same in used if not same and score(folder, a, b) > -2]
    for name, expected in (("fnmr", missed), ("fmr", taken)):
        found = record["overall"][name]
        assert (found["errors"], found["trials"]) == (sum(expected), len(expected)), name


def lines_as_pairs(lines: Sequence[str], below: str = "", each: int = EACH) -> list[Pair]:
    pairs = []
    for number, line in enumerate(lines):
        cells = line.split("\t")
        a, first, b, second = cells if len(cells) == 4 else (cells[0], cells[1], cells[0], cells[2])
        files = [f"{below}{who}/{who}_{int(shot):04}.jpg" for who, shot in ((a, first), (b, second))]
        pairs.append((files[0], files[1], a == b, number // (2 * each)))
    return pairs


def test_lfw_gives_the_accuracy_of_its_ten_folds(database: Any, cast: Any, tmp_path: Path) -> None:
    def photo(name: str) -> bytes:
        return jpeg(ord(name[4]) - 65, int(name[-8:-4]) - 1)

    folder = layout_files.lfw(tmp_path / "LFW", people=16, folds=FOLDS, each=EACH, photo=photo)
    record = measured(tmp_path, "lfw-drawn", "lfw", folder, "")
    pairs = lines_as_pairs((folder / "pairs.txt").read_text().splitlines()[1:])
    assert len(pairs) == 6000
    check_accuracy(record, "", "everybody", folder / "lfw", pairs)
    cohort = {one[0].split("/")[0]: "everybody" for one in pairs}
    check_rates(record, cohort, folder / "lfw", pairs)
    address = reverse("report", args=[Evaluation.objects.get().pk])
    shown = signed_in(cast.axel).get(address).content.decode()
    [whole] = record["pair_accuracy"]
    for page in ((tmp_path / "report" / "report.html").read_text(), shown):
        assert "Accuracy on the pairs of the protocol" in page
        assert f"{100 * whole['accuracy']:.2f} %" in page
    assert "Compute it again without us" in shown


def test_rfw_gives_four_accuracies_of_6000_pairs_with_their_mean_spread_and_error_ratio(
    database: Any, cast: Any, tmp_path: Path
) -> None:
    people = 6

    def photo(name: str) -> bytes:
        person = int(name.split("/")[0].removeprefix("m.0"))  # group, then number
        return jpeg(person // 10 * people + person % 10, int(name[-8:-4]) - 1)

    folder = layout_files.rfw(tmp_path / "RFW", people=people, folds=FOLDS, each=EACH, photo=photo)
    record = measured(tmp_path, "rfw-drawn", "rfw", folder, "race", target=0.2)
    found, everything, cohort = [], [], {}
    for group in layout_files.GROUPS:
        lines = (folder / "txts" / group / f"{group}_pairs.txt").read_text().splitlines()
        pairs = lines_as_pairs(lines, f"{group}/")
        assert len(pairs) == 6000
        found.append(check_accuracy(record, "race", group, folder / "data", pairs))
        everything += pairs
        cohort |= {one[0].split("/")[1]: group for one in pairs}
    check_accuracy(record, "", "everybody", folder / "data", everything)
    check_rates(record, cohort, folder / "data", everything)
    measures = {one["name"]: one["value"] for one in record["divisions"][0]["measures"]}
    assert measures["Pair accuracy, mean"] == pytest.approx(np.mean(found))
    assert measures["Pair accuracy, STD"] == pytest.approx(np.std(found))
    errors = [1 - one for one in found]
    expected = max(errors) / min(errors) if min(errors) > 1e-12 else None
    assert measures["Pair accuracy, SER"] == (None if expected is None else pytest.approx(expected))


def test_bfw_is_measured_on_its_photos_and_on_the_scores_that_were_published_with_it(
    database: Any, cast: Any, tmp_path: Path
) -> None:
    def photo(name: str) -> bytes:
        _, person, shot = name.split("/")
        return jpeg(int(person.removeprefix("n")), int(shot[:4]) - 1)

    folder = layout_files.bfw(tmp_path / "BFW", people=8, photo=photo)
    table = folder / "bfw-datatable.csv"
    record = measured(tmp_path, "bfw-drawn", "bfw", folder, "subgroup", target=0.2)
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    pairs = [(one["p1"], one["p2"], one["label"] == "1", int(one["fold"])) for one in cells]
    for tag in ("asian_females", "white_males"):
        mine = [pair for pair, one in zip(pairs, cells, strict=True) if one["att1"] == tag]
        check_accuracy(record, "subgroup", tag, folder, mine)
    check_accuracy(record, "", "everybody", folder, pairs)

    out = tmp_path / "scores"
    call_command(
        "evaluate", scores=table, model="senet50", acceptance_policy="demo", target_fmr=0.2, out=out, acting="carl"
    )
    given = json.loads((out / "report.json").read_text())
    again(tmp_path, out)
    published = np.array([float(one["senet50"]) for one in cells])
    same, fold = np.array([one[2] for one in pairs]), np.array([one[3] for one in pairs])
    rows_of = {(one["division"], one["cohort"]): one for one in given["pair_accuracy"]}
    expected = accuracies(published, same, fold)
    assert rows_of["", "everybody"]["accuracy"] == pytest.approx(np.mean(expected))
    assert set(rows_of) == {("", "everybody"), ("cohort", "asian_females"), ("cohort", "white_males")}
    assert given["overall"]["fmr"]["errors"] == 0  # the published scores of one person are all above 0.8
