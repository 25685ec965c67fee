"""Given pairs: rates, intervals, thresholds and protocol accuracy equal the definitions; score tables row by row."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.fairness import pairs as given_pairs
from audit.fairness.evaluation import Result, evaluate
from audit.fairness.evidence import Parameters
from audit.fairness.pairs import ROW, Pairs, conclude_pairs, fold_accuracies, gather_pairs, pairs_of
from audit.fairness.rates import split_people
from audit.fairness.sets.listing import Pair
from audit.fairness.sets.photos import Photo, PhotoSet
from audit.fairness.sets.rows import DatasetError
from audit.fairness.sets.samples import Samples
from audit.fairness.sets.scores import read_scores


def evaluate_pairs(pairs: Pairs, parameters: Parameters) -> Result:
    return conclude_pairs(gather_pairs(pairs, parameters), parameters)


def made(seed: int, people: int = 24, rows: int = 400) -> Pairs:
    rng = np.random.default_rng(seed)
    table = np.zeros(rows, ROW)
    table["a"] = rng.integers(0, people, rows)
    table["b"] = np.where(rng.random(rows) < 0.3, table["a"], rng.integers(0, people, rows))
    table["same"] = table["a"] == table["b"]
    table["scored"] = rng.random(rows) < 0.95
    table["score"] = np.where(
        table["scored"] == 1, rng.integers(-200, 200, rows) * 1000 + 300_000 * table["same"].astype(int), -1_000_001
    )
    names = tuple(f"p{number:02}" for number in range(people))
    nothing = np.zeros(people, np.int64)
    return Pairs(names, {"sex": ["f" if number % 3 else "m" for number in range(people)]}, table, nothing, nothing)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), block=st.sampled_from([7, 100, 10_000]))
def test_rates_and_variances_of_given_pairs_equal_the_definition(seed: int, block: int) -> None:
    pairs = made(seed)
    before = given_pairs.BLOCK
    vars(given_pairs)["BLOCK"] = block
    try:
        result = evaluate_pairs(pairs, Parameters(axes=("sex",), target_fmr=0.1))
    except DatasetError:
        return
    finally:
        vars(given_pairs)["BLOCK"] = before
    sex = pairs.labels["sex"]
    choosing, reporting = split_people(pairs.people, sex, 1)
    rows = [tuple(row) for row in pairs.table.tolist()]

    def lies(row: tuple[int, ...], half: frozenset[str]) -> bool:
        return pairs.people[row[0]] in half and pairs.people[row[1]] in half

    chosen = [r[2] for r in rows if lies(r, choosing) and not r[3] and r[4] and sex[r[0]] == sex[r[1]]]
    value = result.threshold.value
    assert sum(score >= value for score in chosen) / len(chosen) <= 0.1
    assert sum(score >= value - 1 for score in chosen) / len(chosen) > 0.1 or value == -1_000_000

    rates = result.divisions[0].rates
    for x, y in itertools.combinations_with_replacement("fm", 2):
        mine = [
            r for r in rows if lies(r, reporting) and not r[3] and r[4] and sorted((sex[r[0]], sex[r[1]])) == [x, y]
        ]
        rate = rates.fmr[x, y]
        assert (rate.errors, rate.trials) == (sum(r[2] >= value for r in mine), len(mine))
        if not mine:
            continue
        share = rate.errors / rate.trials
        rest: Counter[frozenset[int]] = Counter()
        for r in mine:
            rest[frozenset(r[:2])] += (r[2] >= value) - share
        # The definition: covariances of all pairs of pairs that share somebody.
        variance = sum(rest[p] * rest[q] for p in rest for q in rest if p & q) / len(mine) ** 2
        floor = sum(found**2 for found in rest.values()) / len(mine) ** 2
        assert rate.variance == pytest.approx(max(variance, floor), abs=1e-12)
        assert 1 <= rate.units <= len({person for r in mine for person in r[:2]}) // 2
    same = [r for r in rows if lies(r, reporting) and r[3]]
    assert (rates.all_fnmr.errors, rates.all_fnmr.trials) == (sum(r[2] < value for r in same), len(same))


def test_all_pairs_given_one_by_one_give_the_rates_of_all_pairs() -> None:
    rng = np.random.default_rng(5)
    people = [f"p{number:02}" for number in range(60) for _ in range(2)]
    centres = np.repeat(rng.standard_normal((60, 16)), 2, axis=0)
    vectors = (centres + 0.4 * rng.standard_normal(centres.shape)).astype(np.float32)
    extracted = np.ones(120, dtype=bool)
    extracted[[3, 40]] = False
    vectors[~extracted] = 0
    sex = ["f" if number % 4 < 2 else "m" for number in range(120)]
    samples = Samples("set", people, {"sex": sex}, vectors, extracted, "0" * 64)
    photos = tuple(Photo(n, person, f"{n}.jpg", Path(f"{n}.jpg"), "0" * 64) for n, person in enumerate(people))
    listed = [
        Pair(0, f"{i}.jpg", f"{j}.jpg", people[i] == people[j], 0) for i, j in itertools.combinations(range(120), 2)
    ]
    found = pairs_of(PhotoSet("set", photos, {"sex": tuple(sex)}, (), (), "0" * 64), listed, samples)
    parameters = Parameters(axes=("sex",), target_fmr=0.02)
    one, other = evaluate_pairs(found, parameters), evaluate(samples, parameters)
    assert (one.threshold.value, one.threshold.errors) == (other.threshold.value, other.threshold.errors)
    for name in "fm":
        for mine, theirs in (
            (one.divisions[0].rates.within(name), other.divisions[0].rates.within(name)),
            (one.divisions[0].rates.fmr["f", "m"], other.divisions[0].rates.fmr["f", "m"]),
            (one.divisions[0].rates.fnmr[name], other.divisions[0].rates.fnmr[name]),
            (one.divisions[0].rates.fte[name], other.divisions[0].rates.fte[name]),
        ):
            assert (mine.errors, mine.trials) == (theirs.errors, theirs.trials)
            assert mine.variance == pytest.approx(theirs.variance)


def test_the_accuracy_of_folds_is_that_of_the_protocol() -> None:
    rng = np.random.default_rng(2)
    same = np.tile([True, False], 300)
    score = np.where(same, rng.normal(500_000, 100_000, 600), rng.normal(200_000, 100_000, 600)).astype(np.int64)
    fold = np.repeat(np.arange(1, 11), 60)
    expected = []
    for number in range(1, 11):
        rest, here = fold != number, fold == number
        right = [(((score[rest] >= t) == same[rest]).sum(), -t) for t in [*np.unique(score[rest]), score.max() + 1]]
        threshold = -max(right)[1]
        expected.append(((score[here] >= threshold) == same[here]).mean())
    assert fold_accuracies(score, same, fold) == pytest.approx(expected)
    assert np.mean(expected) > 0.85
    assert fold_accuracies(score, same, np.ones(600, np.int64)) == []


HEADER = "score,same,cohort_a,cohort_b,id_a,id_b\n"


def test_every_row_of_a_score_table_that_is_left_out_says_why(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    good = [f"0.{i}{j},{int(i == j)},f,f,p{i},p{j}" for i in range(8) for j in range(8)]
    bad = {
        "nan,0,f,f,p1,p2": "bad_score",
        "87.2,0,f,f,p1,p2": "bad_score",
        ",0,f,f,p1,p2": "bad_score",
        "0.5,maybe,f,f,p1,p2": "bad_same",
        "0.5,1,f,f,p1,p2": "contradiction",
        "0.5,0,f,f,,p2": "bad_person",
        f"0.5,0,f,f,{'x' * 300},p2": "bad_person",
        "0.5,0,f,f,p1": "cells",
    }
    path.write_text("\ufeff" + HEADER + "\n".join([*good, *bad]) + "\n", encoding="utf-8")
    pairs, samples = read_scores(path, tmp_path / "kept")
    assert len(pairs.table) == len(good)
    assert [item.code for item in samples.left_out] == list(bad.values())
    assert samples.left_out[0].row == len(good) + 2
    assert "photos and failures to extract are not known" in samples.notes[0]


def test_cohorts_of_a_score_table_belong_to_people(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    rows = ["0.1,0,f,m,a,b", "0.1,0,,f,a,b", "0.1,0,,<b>x</b>,c,d", "0.2,1,f,f,a,a"]
    path.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    pairs, samples = read_scores(path, tmp_path / "kept")
    assert dict(zip(pairs.people, pairs.labels["cohort"], strict=True)) == {
        "a": "f",
        "b": "unknown",
        "c": "unknown",
        "d": "<b>x</b>",
    }
    assert "counted as unknown: 1." in " ".join(samples.notes)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", 'no column "score"'),
        (b"score,same,id_a,id_b\n", 'no column "cohort_a"'),
        (b"score,score\n", "two columns"),
        (HEADER.encode(), "No row of scores.csv can be used"),
        (b"\xff\xfe", "not UTF-8"),
        (HEADER.encode() + b'0.5,0,"f,' + b"x" * 200_000, "Is a quotation mark missing"),
        (b"fold,p1,p2,label,id1,id2,att1,att2,vgg16\n", "Name its column of scores"),
    ],
)
def test_a_score_table_that_is_none_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "scores.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=sentence):
        read_scores(tmp_path / "scores.csv", tmp_path / "kept")


def test_a_score_table_with_too_little_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(HEADER + "0.5,0,f,f,a,b\n", encoding="utf-8")
    pairs, _ = read_scores(tmp_path / "scores.csv", tmp_path / "kept")
    with pytest.raises(DatasetError, match=r"^No two people of one cohort were compared"):
        evaluate_pairs(pairs, Parameters(axes=("cohort",)))
