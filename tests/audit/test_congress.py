"""`manage.py evaluate` on real portraits (GLASSCASE_FACES) with both adapters: every headline table of the report, computed
again by a few lines of numpy that share nothing with the product but the embeddings and who is in which half and gallery."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from audit.fairness.extraction import extract
from audit.fairness.identification import default_sizes, editions
from audit.fairness.rates import split_people
from audit.fairness.sets.manifest import read_manifest
from audit.models import Evaluation
from core import state
from core.faces import registry

pytestmark = pytest.mark.slow

TARGET = 0.01


@pytest.mark.parametrize("adapter", ["dlib", "insightface"])
def test_the_report_on_real_portraits_equals_numpy(
    database: Any, cast: Any, settings: Any, real_faces: Path, tmp_path: Path, adapter: str
) -> None:
    model = "dlib"
    if adapter == "insightface":
        settings.GLASSCASE_MODELS_DIR = real_faces / "insightface" / "models"
        (pack,) = settings.GLASSCASE_MODELS_DIR.iterdir()
        model = pack.name
    manifest, out = real_faces / "congress" / "photos.csv", tmp_path / "report"
    call_command(
        "evaluate", manifest=manifest, model=model, cohorts="sex,birth_year,sex x birth_year", acceptance_policy="demo",
        target_fmr=TARGET, label_source="official record", out=out, acting="carl",
    )  # fmt: skip
    assert Evaluation.objects.get().state == "published"
    record = json.loads((out / "report.json").read_text())
    engine = registry.engine(model, state.models_dir())
    assert record["face_model"]["hash"] == engine.identity().hash
    samples = extract(read_manifest(manifest, ["sex", "birth_year"]), engine, cache_dir=state.directory("embeddings"))
    check(record, samples)
    check_tables(out, record)
    for name in ("report.html", "report.pdf", "rerun.zip", "fmr_by_cohort_2.svg", "det_1.png"):
        assert (out / name).stat().st_size > 1000


def check(record: dict[str, Any], samples: Any) -> None:
    people, found = np.array(samples.people), samples.extracted
    vectors = samples.embeddings.astype(np.float64)
    vectors[found] /= np.linalg.norm(vectors[found], axis=1)[:, None]
    scores = np.rint(vectors @ vectors.T * 1e6).astype(int)
    upper = np.triu(np.ones(scores.shape, bool), 1)
    same = people[:, None] == people[None, :]
    both = found[:, None] & found[None, :]
    choosing, reporting = split_people(people.tolist(), samples.cohorts("sex"), record["parameters"]["seed"])
    half, rest = np.isin(people, list(reporting)), np.isin(people, list(choosing))
    sex = np.array(samples.cohorts("sex"))
    # The threshold: the lowest at which the target holds on pairs of the other half within a cohort.
    chosen = scores[
        upper & ~same & both & rest[:, None] & rest[None, :] & (sex[:, None] == sex[None, :])
    ]  # fmt: skip
    threshold = record["threshold"]["value"]
    assert (chosen >= threshold).mean() <= TARGET < (chosen >= threshold - 1).mean()
    assert (record["threshold"]["errors"], record["threshold"]["pairs"]) == (
        (chosen >= threshold).sum(),
        len(chosen),
    )

    inside = upper & half[:, None] & half[None, :]
    impostor, genuine = inside & ~same & both, inside & same
    missed = genuine & ((scores < threshold) | ~both)

    def counts(rate: dict[str, Any]) -> tuple[int, int]:
        return rate["errors"], rate["trials"]

    assert [one["columns"] for one in record["divisions"]] == ["sex", "birth_year", "sex x birth_year"]
    overall = record["overall"]
    assert counts(overall["fmr"]) == ((impostor & (scores >= threshold)).sum(), impostor.sum())
    assert counts(overall["fnmr"]) == (missed.sum(), genuine.sum())
    assert counts(overall["fte"]) == ((half & ~found).sum(), half.sum())
    check_curves(overall, scores[impostor], scores[genuine & both], int((genuine & ~both).sum()))
    for division in record["divisions"]:
        cohort = np.array(samples.cohorts(division["columns"]))
        rates: dict[str, tuple[float, float]] = {}
        for one in division["cohorts"]:
            mine = cohort == one["name"]
            within = impostor & mine[:, None] & mine[None, :]
            own = genuine & mine[:, None]
            assert counts(one["fmr"]) == ((within & (scores >= threshold)).sum(), within.sum())
            assert counts(one["fnmr"]) == ((missed & mine[:, None]).sum(), own.sum())
            assert counts(one["fte"]) == ((half & mine & ~found).sum(), (half & mine).sum())
            assert one["people"] == len(set(people[half & mine]))
            check_interval(one["fmr"], people, within, scores >= threshold)
            check_curves(one, scores[within], scores[own & both], int((own & ~both).sum()))
            rates[one["name"]] = (one["fmr"]["rate"], one["fnmr"]["rate"])
        for cell in division["matrix"]:
            a, b = cohort == cell["probe"], cohort == cell["reference"]
            pairs = impostor & ((a[:, None] & b[None, :]) | (b[:, None] & a[None, :]))
            assert counts(cell["fmr"]) == ((pairs & (scores >= threshold)).sum(), pairs.sum())
        check_measures(division, list(rates.values()))
    check_predictions(record)
    check_searches(record, samples, scores, half, threshold)


def check_interval(rate: dict[str, Any], people: np.ndarray, pairs: np.ndarray, hit: np.ndarray) -> None:
    """Wilson's interval with the variance of the definition: over all pairs of pairs of people that share somebody."""
    if not 0 < rate["errors"] < rate["trials"] or rate["interval"] is None:
        return
    share, rest = rate["rate"], Counter[frozenset[str]]()
    for i, j in np.argwhere(pairs).tolist():
        rest[frozenset((people[i], people[j]))] += bool(hit[i, j]) - share
    of_person: Counter[str] = Counter()
    for pair, value in rest.items():
        for person in pair:
            of_person[person] += value
    squares = sum(value**2 for value in rest.values())
    variance = (squares + max(sum(v**2 for v in of_person.values()) - 2 * squares, 0)) / rate["trials"] ** 2
    n, z = min(share * (1 - share) / variance, rate["trials"]), 1.959963984540054
    middle, width = share + z * z / (2 * n), z * np.sqrt((share * (1 - share) + z * z / (4 * n)) / n)
    ends = (middle - width) / (1 + z * z / n), (middle + width) / (1 + z * z / n)
    assert (rate["interval"]["low"], rate["interval"]["high"]) == pytest.approx(ends, rel=1e-6)


def check_curves(one: dict[str, Any], impostor: np.ndarray, genuine: np.ndarray, lost: int) -> None:
    """DET points to a pair on the edge of the grid, means and medians to half a step of it."""
    for at, false, pairs, misses, of in one["det"]:
        assert (pairs, of) == (len(impostor), len(genuine) + lost)
        assert abs(false - (impostor >= at).sum()) <= ((impostor >= at - 2) & (impostor < at + 2)).sum()
        assert abs(misses - lost - (genuine < at).sum()) <= ((genuine >= at - 2) & (genuine < at + 2)).sum()
    for kind, values in (("genuine", genuine), ("impostor", impostor)):
        found = one["scores"][kind]
        assert found["pairs"] == len(values)
        if len(values):
            assert found["mean"] == pytest.approx(values.mean(), abs=51)
            assert found["median"] == pytest.approx(np.median(values), abs=51)


def check_measures(division: dict[str, Any], rates: list[tuple[float, float]]) -> None:
    found = {one["name"]: one["value"] for one in division["measures"]}
    if any(one["people"] < 8 for one in division["cohorts"]):
        assert set(found.values()) == {None}
        return
    count = len(rates)
    gini, expected = {}, {}
    for name, values in zip(("FMR", "FNMR"), np.array(rates, float).T, strict=True):
        spread = sum(abs(x - y) for x in values for y in values)
        if name == "FNMR" and any(one["fnmr"]["people"] < 8 for one in division["cohorts"]):
            continue
        gini[name] = count / (count - 1) * spread / (2 * count**2 * values.mean()) if values.any() else None
        expected[f"{name} Gini (adjusted)"] = gini[name]
        zero = not values.all()
        expected[f"{name} max/min"] = None if zero else values.max() / values.min()
        expected[f"{name} max/geometric mean"] = None if zero else values.max() / np.exp(np.log(values).mean())
    gaps = np.ptp(np.array(rates, float), axis=0)
    for alpha in (0, 0.5, 1):
        expected[f"FDR (alpha {alpha:g})"] = 1 - alpha * gaps[0] - (1 - alpha) * gaps[1]
    if gini.get("FMR") is not None and gini.get("FNMR") is not None:
        expected["GARBE (alpha 0.5)"] = (gini["FMR"] + gini["FNMR"]) / 2
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, rel=1e-8)), name


def check_predictions(record: dict[str, Any]) -> None:
    assert record["fpir_predictions"]
    for one in record["fpir_predictions"]:
        assert one["fpir"] == pytest.approx(1 - (1 - one["fmr"]) ** one["gallery"], rel=1e-6)
    basis = {one["basis"]: one["fmr"] for one in record["fpir_predictions"]}
    assert basis["all pairs"] == record["overall"]["fmr"]["rate"]


def check_searches(record: dict[str, Any], samples: Any, scores: np.ndarray, half: np.ndarray, threshold: int) -> None:
    people = list(samples.people)
    rows = np.flatnonzero(half)
    sizes = default_sizes(len({people[row] for row in rows}))
    made = {one.name: one for one in editions(people, samples.extracted, rows, sizes, record["parameters"]["seed"])}
    assert len(made) >= 3
    assert {one["edition"] for one in record["identification"]} == set(made)
    for found in record["identification"]:
        edition = made[found["edition"]]
        enrolled = {people[row] for row in edition.enrolled}
        assert (found["people"], found["templates"]) == (len(enrolled), len(edition.enrolled))
        labels = samples.cohorts(found["division"]) if found["division"] else ["everybody"] * len(people)
        probes = [row for row in edition.probes.tolist() if labels[row] == found["cohort"]]
        names = np.array([people[row] for row in edition.enrolled])

        # Who is returned for each probe, the highest score first; a tie counts against the person searched for.
        lists = {}
        for row in probes:
            mine = scores[row, edition.enrolled]
            order = np.lexsort((names == people[row], -mine))
            lists[row] = (names[order], mine[order]) if samples.extracted[row] else (names[:0], mine[:0])
        strangers = [row for row in probes if people[row] not in enrolled]
        mated = [row for row in probes if people[row] in enrolled]
        for at in found["fpir"]:
            returned = sum(bool((lists[row][1] >= at["threshold"]).any()) for row in strangers)
            assert (at["errors"], at["trials"]) == (returned, len(strangers))
        assert found["fpir"][0]["threshold"] == threshold
        for at in found["fnir"]:
            missed = 0
            for row in mated:
                who, mine = (part[: at["list_size"]] for part in lists[row])
                missed += people[row] not in who[mine >= at["threshold"]]
            assert (at["errors"], at["trials"]) == (missed, len(mated))


def check_tables(out: Path, record: dict[str, Any]) -> None:
    """The CSV files have the numbers of the record."""
    with (out / "rates.csv").open(newline="") as table:
        rows = {(r["division"], r["cohort"], r["statistic"]): r for r in csv.DictReader(table)}
    for division in record["divisions"]:
        for one in division["cohorts"]:
            for name in ("fmr", "fnmr", "fte"):
                row = rows[division["columns"], one["name"], name]
                assert (int(row["errors"]), int(row["trials"])) == (one[name]["errors"], one[name]["trials"])
    with (out / "cross_cohort_fmr.csv").open(newline="") as table:
        assert len(list(csv.DictReader(table))) == sum(len(one["matrix"]) for one in record["divisions"])
