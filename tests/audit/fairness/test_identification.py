"""Searches of evaluation editions: against the definition written out, and against a truth in closed form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc  # type: ignore[import-untyped]

from audit.fairness.evaluation import conclude
from audit.fairness.evidence import Parameters, gather
from audit.fairness.identification import (
    NOBODY,
    Edition,
    editions,
    fnir,
    fpir,
    from_lists,
    search,
    search_rates,
    threshold_for_fpir,
)
from audit.fairness.rates import predicted_fpir, predicted_fpir_of_mix
from audit.fairness.scores import SCALE
from audit.fairness.sets.samples import Samples
from tests.audit.fairness.test_comparisons import a_set


def searchable(seed: int, people: int = 24) -> tuple[np.ndarray, list[str], np.ndarray]:
    vectors, person, _ = a_set(seed, people)
    extracted = np.random.default_rng(seed).random(len(person)) > 0.1
    extracted[0] = True
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit * extracted[:, None]).astype(np.float32), person, extracted


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 23), st.integers(-200_000, 900_000), st.integers(1, 6))
def test_rates_equal_the_definition(seed: int, size: int, threshold: int, list_size: int) -> None:
    vectors, person, extracted = searchable(seed)
    for edition in editions(person, extracted, np.arange(len(person)), [size], seed):
        found = search(vectors, person, extracted, edition)
        enrolled = [person[row] for row in edition.enrolled]
        assert not set(edition.enrolled.tolist()) & set(edition.probes.tolist())
        false, missed, non_mated, mated = 0, 0, 0, 0
        for row in edition.probes:
            scores = np.rint(vectors[row].astype(float) @ vectors[edition.enrolled].astype(float).T * SCALE)
            listed = sorted(
                ((int(s), p == person[row]) for s, p in zip(scores, enrolled, strict=True) if s >= threshold),
                key=lambda item: (-item[0], item[1]),
            )
            listed = listed[:list_size] if extracted[row] else []
            if person[row] in enrolled:
                mated += 1
                missed += not any(mate for _, mate in listed)
            else:
                non_mated += 1
                false += bool(listed)
        one, other = fpir(found, threshold), fnir(found, list_size, threshold)
        assert (one.errors, one.trials) == (false, non_mated)
        assert (other.errors, other.trials) == (missed, mated)


def test_a_search_without_an_embedding_misses_and_accuses_nobody() -> None:
    vectors = np.array([[1, 0], [0, 0], [0, 0], [1, 0]], np.float32)
    people, extracted = ["ann", "ann", "bob", "cy"], np.array([True, False, False, True])
    found = search(vectors, people, extracted, Edition("", np.array([0]), np.array([1, 2, 3])))
    assert found.mated.tolist() == [True, False, False]
    assert found.mate_score.tolist() == [NOBODY, NOBODY, NOBODY]
    assert (fnir(found, 10, -SCALE).errors, fnir(found, 10, -SCALE).trials) == (1, 1)
    assert (fpir(found, -SCALE).errors, fpir(found, -SCALE).trials) == (1, 2)


def test_other_people_with_the_same_score_come_first() -> None:
    vectors = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    found = search(vectors, ["ann", "bob", "ann"], np.ones(3, bool), Edition("", np.array([0, 1]), np.array([2])))
    assert found.mate_rank.tolist() == [2]
    assert fnir(found, 1, 900_000).errors == 1
    assert fnir(found, 2, 900_000).errors == 0


def test_lists_of_a_database_give_the_same_searches() -> None:
    vectors, person, extracted = searchable(3)
    edition = editions(person, extracted, np.arange(len(person)), [12], 1)[-1]
    full = search(vectors, person, extracted, edition)
    lists = []
    for row in edition.probes:
        scores = np.rint(vectors[row].astype(float) @ vectors[edition.enrolled].astype(float).T * SCALE).astype(int)
        ranked = sorted(enumerate(scores.tolist()), key=lambda item: -item[1]) if extracted[row] else []
        lists.append(ranked[:8])
    listed = from_lists(edition, person, lists, 8)
    for threshold in (0, 300_000, 600_000):
        assert fpir(listed, threshold) == fpir(full, threshold)
        for size in (1, 3, 8):
            assert fnir(listed, size, threshold) == fnir(full, size, threshold)
    with pytest.raises(ValueError, match="no longer list can be measured"):
        fnir(listed, 9, 0)


def test_the_threshold_for_an_fpir_is_the_lowest_that_keeps_it() -> None:
    vectors, person, extracted = searchable(5, 200)
    edition = editions(person, extracted, np.arange(len(person)), [60], 1)[0]
    found = search(vectors, person, extracted, edition)
    threshold, shown = threshold_for_fpir(found, 0.05)
    assert shown
    assert (fpir(found, threshold).value or 1) <= 0.05 < (fpir(found, threshold - 1).value or 0)
    assert not threshold_for_fpir(found, 1e-6)[1]
    nobody = search(vectors, person, extracted, Edition("", edition.enrolled, edition.enrolled))
    assert threshold_for_fpir(nobody, 0.01) == (SCALE + 1, False)


def test_editions_lie_one_inside_the_next_and_do_not_depend_on_the_order_of_photos() -> None:
    _, person, extracted = searchable(7, 60)
    rows = np.arange(len(person))
    found = editions(person, extracted, rows, [10, 20, 30, 500, 0], 1)
    assert [len({person[row] for row in edition.enrolled}) for edition in found] == [10, 20, 30, 30]
    assert [len(edition.enrolled) for edition in found][:3] == [10, 20, 30]
    assert len(found[3].enrolled) > 30
    for small, large in itertools.pairwise(found):
        assert set(small.enrolled.tolist()) <= set(large.enrolled.tolist())
    assert {person[row] for row in editions(person, extracted, rows[::-1], [10], 1)[0].enrolled} == {
        person[row] for row in found[0].enrolled
    }
    assert not editions(person, extracted, rows, [len(set(person))], 1)


def test_the_interval_of_an_fpir_is_clustered_by_the_person_searched_for() -> None:
    one = np.repeat([[1.0, 0], [0, 1]], [1, 40], axis=0).astype(np.float32)
    one[1:21] = [1, 0]  # twenty probes of one person, all false; twenty of twenty people, none
    people = ["ann", *["bob"] * 20, *(f"p{i}" for i in range(20))]
    found = search(one, people, np.ones(41, bool), Edition("", np.array([0]), np.arange(1, 41)))
    rate = fpir(found, 500_000)
    assert (rate.errors, rate.trials, rate.people) == (20, 40, 21)
    assert rate.interval is not None
    assert rate.interval.effective_pairs < 10


def planted(people: int, seed: int = 2) -> Samples:
    """Two photos each of people whose embeddings point anywhere: in 8 dimensions for "few", in 12 others for "many"."""
    rng = np.random.default_rng(seed)
    vectors = np.zeros((4 * people, 20), np.float32)
    for first, dimension, rows in ((0, 8, slice(None, 2 * people)), (8, 12, slice(2 * people, None))):
        centre = np.repeat(rng.normal(size=(people, dimension)), 2, axis=0)
        vectors[rows, first : first + dimension] = centre + 0.2 * rng.normal(size=centre.shape)
    names = [f"p{row // 2}" for row in range(4 * people)]
    labels = {"kind": ["few"] * (2 * people) + ["many"] * (2 * people)}
    return Samples("planted", names, labels, vectors, np.ones(4 * people, bool), "00")


def test_the_whole_evaluation_covers_a_truth_in_closed_form() -> None:
    """FMR of each cohort is a beta distribution's tail; cohorts share no dimension, so between them it is 0; and with
    independent templates FPIR is exactly 1 - (1 - FMR)^N."""
    samples, threshold = planted(400), 700_000
    parameters = Parameters(axes=("kind",), fixed_threshold=threshold)
    evidence = gather(samples, parameters)
    result = conclude(evidence, parameters)
    division = result.divisions[0]
    truth = {}
    for name, dimension in (("few", 8), ("many", 12)):
        half = (dimension - 1) / 2
        truth[name] = float(betainc(half, half, (1 - threshold / 1e6) / 2))
        interval = division.rates.within(name).interval
        assert interval is not None
        assert interval.low <= truth[name] <= interval.high
    assert division.rates.fmr["few", "many"].errors == 0
    (told,) = division.fmr_differences
    assert (told.high, told.low) == ("few", "many")
    (ratio,) = division.ratios
    assert ratio.ratio.low is not None
    assert ratio.ratio.low <= truth["few"] / truth["many"] <= (ratio.ratio.high or np.inf)
    for searches in evidence.searches:
        cohort = evidence.cohort["kind"]
        for name in truth:
            same = sum(cohort[person] == name for person in searches.enrolled)
            people = len({person for person in searches.enrolled if cohort[person] == name})
            if same > people:
                continue  # several templates of a person are not independent
            expected = predicted_fpir(truth[name], same)
            (rates,) = [r for r in result.searches if (r.edition, r.cohort) == (searches.name, name)]
            assert rates.fpir[0].threshold == threshold
            interval = rates.fpir[0].rate.interval_at(0.999)
            assert interval is not None
            assert interval.low <= expected <= interval.high
            assert rates.predicted == pytest.approx(expected, rel=0.5)


def test_a_mixed_gallery_is_predicted_by_the_product() -> None:
    assert predicted_fpir_of_mix([0.1, 0.2], [2, 1]) == pytest.approx(1 - 0.9**2 * 0.8)
    assert predicted_fpir_of_mix([1e-6], [300_000]) == pytest.approx(0.259182, abs=5e-7)
    assert predicted_fpir_of_mix([], []) == 0


def test_lists_longer_than_the_gallery_are_measured_when_every_rank_is_known() -> None:
    vectors, person, extracted = searchable(9)
    edition = editions(person, extracted, np.arange(len(person)), [6], 1)[0]
    found = search(vectors, person, extracted, edition)
    rates = search_rates(found, "", "everybody", None, [0], [1, 50], None)
    assert [row.list_size for row in rates.fnir] == [1, 50]
    assert [row.target for row in rates.at_fpir] == [0.003, 0.001]
