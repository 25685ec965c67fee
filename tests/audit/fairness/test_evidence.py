"""A result follows from its evidence alone; curves, shifts, wrong labels and fairlearn's table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.fairness.comparisons import compare
from audit.fairness.curves import det_points, shift
from audit.fairness.evaluation import conclude, evaluate
from audit.fairness.evidence import Halves, Parameters, gather, pick_threshold
from audit.fairness.grouped import grouped_table
from audit.fairness.rates import cohort_rates
from audit.fairness.scores import GRID_STEP, ComparisonError
from audit.fairness.sets.rows import DatasetError
from audit.fairness.sets.samples import Samples
from tests.audit.fairness.test_comparisons import a_set, naive


def a_benchmark(seed: int = 1, people: int = 120) -> Samples:
    """People in three regions and two age bands; some photos without an embedding, one person without any."""
    vectors, person, cohort = a_set(seed, people)
    extracted = np.random.default_rng(seed).random(len(person)) > 0.05
    extracted[[name == "p4" for name in person]] = False
    labels = {"region": cohort, "age": ["old" if int(name[1:]) % 2 else "young" for name in person]}
    return Samples("made", person, labels, (vectors * extracted[:, None]).astype(np.float32), extracted, "ab")


PARAMETERS = Parameters(axes=("region", "age", "region x age"), target_fmr=0.02, minimum_people=8)


def test_what_workers_compare_apart_gives_the_same_result() -> None:
    """Plans, chunks and the evidence put together by hand, as workers do it, against one call."""
    from audit.fairness.chunks import compare_chunk
    from audit.fairness.comparisons import merge

    samples = a_benchmark()
    halves = Halves(samples, PARAMETERS)
    work = halves.choosing_plan()
    assert work is not None
    vectors = work.arrange(samples.embeddings)
    choosing = merge(work, [compare_chunk(vectors, work, chunk) for chunk in reversed(work.chunks)])
    work = halves.reporting_plan(pick_threshold(choosing, PARAMETERS).value)
    vectors = work.arrange(samples.embeddings)
    reporting = merge(work, [compare_chunk(vectors, work, chunk) for chunk in work.chunks])
    result = conclude(halves.assemble(choosing, reporting, halves.searches()), PARAMETERS)
    assert result == evaluate(samples, PARAMETERS)


def test_all_divisions_come_from_one_comparison_and_equal_those_made_alone() -> None:
    samples = a_benchmark()
    result = evaluate(samples, PARAMETERS)
    assert [division.axis for division in result.divisions] == ["region", "age", "region x age"]
    fixed = replace(PARAMETERS, fixed_threshold=result.threshold.value)
    together = evaluate(samples, fixed)
    for division in together.divisions:
        (alone,) = evaluate(samples, replace(fixed, axes=(division.axis,))).divisions
        assert alone.rates.near == division.rates.near
        for one, other in (("fmr", alone.rates.fmr), ("fnmr", alone.rates.fnmr), ("fte", alone.rates.fte)):
            for name, rate in other.items():
                same = getattr(division.rates, one)[name]
                assert (rate.errors, rate.trials, rate.people) == (same.errors, same.trials, same.people)
                assert rate.variance == pytest.approx(same.variance, rel=1e-9)  # summed in another order of people
        assert alone.measures == division.measures
    assert "a x old" in together.divisions[2].rates.cohorts
    counted = sum(together.divisions[2].rates.within(name).trials for name in together.divisions[2].rates.cohorts)
    assert counted < sum(together.divisions[1].rates.within(name).trials for name in ("old", "young"))


def test_people_without_any_embedding_are_reported_on() -> None:
    samples = a_benchmark()
    evidence = gather(samples, replace(PARAMETERS, fixed_threshold=400_000))
    assert evidence.people == len(set(samples.people))
    assert "p4" in evidence.lost
    assert "p4" not in evidence.reporting.people
    result = conclude(evidence, replace(PARAMETERS, fixed_threshold=400_000))
    assert sum(result.overall.images) - sum(result.overall.extracted) == sum(evidence.lost.values())


def test_evidence_of_another_threshold_gives_no_result() -> None:
    evidence = gather(a_benchmark(), replace(PARAMETERS, fixed_threshold=400_000))
    with pytest.raises(KeyError):
        conclude(evidence, replace(PARAMETERS, fixed_threshold=400_001))
    with pytest.raises(DatasetError, match="chosen on comparisons"):
        pick_threshold(None, PARAMETERS)


def test_cohorts_with_too_few_people_are_shown_and_not_compared() -> None:
    result = evaluate(a_benchmark(), replace(PARAMETERS, minimum_people=30))
    (region, _, both) = result.divisions
    assert not both.fmr_differences
    assert not both.ratios
    assert all(measure.value is None and "Fewer than 30 people" in measure.why for measure in both.measures)
    assert all(both.rates.within(name).trials for name in both.rates.cohorts)
    assert region.groups[0].det


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_det_curve_counts_what_numpy_counts(seed: int) -> None:
    vectors, person, cohort = a_set(seed, 40)
    found = compare(vectors, person, cohort, tail=0)
    scores, impostor = naive(vectors, person)
    inside = np.triu(np.ones_like(impostor), 1).astype(bool) & (np.array(cohort) == "a")[:, None]
    inside &= (np.array(cohort) == "a")[None, :]
    points = det_points(found, [0], lost_pairs=3)
    assert points[0].false_matches == points[0].impostor_pairs == (inside & impostor).sum()
    assert points[-1].false_matches == 0
    assert points[0].misses == 3
    for point in points:
        edge = int((inside & (np.abs(scores - point.threshold) <= 1)).sum())
        assert abs(point.false_matches - (inside & impostor & (scores >= point.threshold)).sum()) <= edge
        assert abs(point.misses - 3 - (inside & ~impostor & (scores < point.threshold)).sum()) <= edge
    assert [p.threshold for p in points] == sorted({p.threshold for p in points})


def test_shifts_are_right_to_half_a_step() -> None:
    vectors, person, cohort = a_set(2, 60)
    found = compare(vectors, person, cohort)
    scores, impostor = naive(vectors, person)
    inside = np.triu(np.ones_like(impostor), 1).astype(bool) & (np.array(cohort) == "b")[:, None]
    inside &= (np.array(cohort) == "b")[None, :]
    moved = shift(found, [1])
    for spread, pairs in ((moved.impostor, inside & impostor), (moved.genuine, inside & ~impostor)):
        assert spread.pairs == pairs.sum()
        assert spread.mean == pytest.approx(scores[pairs].mean(), abs=GRID_STEP / 2 + 1)
        assert spread.median == pytest.approx(np.median(scores[pairs]), abs=GRID_STEP / 2 + 1)
    nothing = shift(found, [])
    assert (nothing.genuine.mean, nothing.impostor.median, det_points(found, [])) == (None, None, ())


def test_one_person_under_two_names_stands_at_the_top_and_can_be_left_out() -> None:
    """The same people compared again without the wrong pair, by hand, give the rates "without"."""
    samples = a_benchmark(people=60)
    twin = samples.people.index("p7")
    vectors = samples.embeddings.copy()
    other = samples.people.index("p10")  # the same region as p7
    vectors[twin] = vectors[other] = np.ones(vectors.shape[1]) + 0.01
    extracted = samples.extracted.copy()
    extracted[[twin, other]] = True
    samples = replace(samples, embeddings=vectors, extracted=extracted)
    parameters = replace(PARAMETERS, fixed_threshold=500_000, excluded=(("p10", "p7"), ("p7", "p10")))
    result = evaluate(samples, parameters)
    assert set(result.lookalikes[0].people) == {"p7", "p10"}
    assert set(result.lookalikes[0].images) == {twin, other}
    assert result.lookalikes[0].score >= result.lookalikes[1].score
    with_them, without = result.overall.all_fmr, result.overall_without_excluded
    assert without is not None
    usable = np.flatnonzero(extracted)
    names = [samples.people[row] for row in usable.tolist()]
    scores, impostor = naive(vectors[usable], names)
    pairs = np.triu(impostor, 1).astype(bool)
    wrong = np.array([{a, b} == {"p7", "p10"} for a in names for b in names]).reshape(pairs.shape)
    assert (with_them.errors, with_them.trials) == ((pairs & (scores >= 500_000)).sum(), pairs.sum())
    pairs &= ~wrong
    assert (without.all_fmr.errors, without.all_fmr.trials) == ((pairs & (scores >= 500_000)).sum(), pairs.sum())
    (region, _, _) = result.divisions
    assert region.without_excluded is not None
    group = region.rates.cohorts[1]
    assert samples.labels["region"][twin] == group
    assert region.without_excluded.within(group).errors < region.rates.within(group).errors
    assert region.without_excluded.within("a") == region.rates.within("a")
    assert evaluate(samples, replace(parameters, excluded=())).overall_without_excluded is None


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 500_000))
def test_the_variance_without_some_pairs_is_the_definition(seed: int, threshold: int) -> None:
    import itertools

    vectors, person, cohort = a_set(seed, 10)
    found = compare(vectors, person, cohort, thresholds=[threshold])
    scores, _ = naive(vectors, person)
    names = np.array(person)
    gone = (found.people[0], found.people[2])
    rates = cohort_rates(found, threshold, excluded=[gone])
    m, e = {}, {}
    for p, q in itertools.combinations(range(len(found.people)), 2):
        if {found.people[p], found.people[q]} == set(gone):
            continue
        block = scores[np.ix_(names == found.people[p], names == found.people[q])]
        m[p, q], e[p, q] = block.size, int((block >= threshold).sum())
    rate = sum(e.values()) / sum(m.values())
    y = {pair: e[pair] - rate * m[pair] for pair in m}
    plain = sum(y[a] * y[b] for a in y for b in y if set(a) & set(b))
    expected = max(plain, sum(v * v for v in y.values())) / sum(m.values()) ** 2
    assert (rates.all_fmr.errors, rates.all_fmr.trials) == (sum(e.values()), sum(m.values()))
    assert rates.all_fmr.variance == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_fairlearns_table_equals_ours_and_one_made_of_single_pairs() -> None:
    from fairlearn.metrics import (
        MetricFrame,
        false_negative_rate,
        false_positive_rate,
    )

    samples = a_benchmark(people=50)
    usable = np.flatnonzero(samples.extracted)
    person = [samples.people[row] for row in usable.tolist()]
    cohort = np.array(samples.labels["region"])[usable]
    rates = cohort_rates(compare(samples.embeddings[usable], person, cohort.tolist(), thresholds=[400_000]), 400_000)
    scores, impostor = naive(samples.embeddings[usable], person)
    left, right = np.nonzero(np.triu(cohort[:, None] == cohort[None, :], 1))
    frame = MetricFrame(
        metrics={"fmr": false_positive_rate, "fnmr": false_negative_rate},
        y_true=~impostor[left, right],
        y_pred=scores[left, right] >= 400_000,
        sensitive_features=cohort[left],
    )
    rows = grouped_table(rates)
    assert [row.cohort for row in rows] == ["a", "b", "c"]
    for row in rows:
        assert row.fmr == pytest.approx(rates.within(row.cohort).value, rel=1e-12)
        assert row.fnmr == pytest.approx(rates.fnmr[row.cohort].value, rel=1e-12)
        assert row.fmr == pytest.approx(frame.by_group["fmr"][row.cohort], rel=1e-12)
        assert row.fnmr == pytest.approx(frame.by_group["fnmr"][row.cohort], rel=1e-12)


def test_a_cohort_of_one_person_is_not_measurable_in_either_table() -> None:
    found = compare(np.eye(3, 4), ["x", "y", "z"], ["one", "two", "two"], thresholds=[500_000])
    rates = cohort_rates(found, 500_000)
    alone, pair = grouped_table(rates)
    assert (alone.fmr, alone.fnmr, rates.within("one").value, rates.within("one").interval) == (None, None, None, None)
    assert (pair.fmr, pair.fnmr) == (0.0, None)
    interval = rates.within("two").interval
    assert interval is not None
    assert interval.by_people == pytest.approx(0.95)  # one pair of people, no error: nothing is known


def test_names_with_markup_stay_what_they_are() -> None:
    samples = a_benchmark()
    name = '<img src=x onerror=alert(1)> x "a"'
    labels = {**samples.labels, "region": [name if v == "a" else v for v in samples.labels["region"]]}
    result = evaluate(replace(samples, labels=labels), PARAMETERS)
    assert name in result.divisions[0].rates.cohorts


@pytest.mark.parametrize(
    ("embeddings", "sentence"),
    [
        (np.array([[1.0, np.nan], [1, 0]]), "Embedding 1 is zero or holds a value that is not a number"),
        (np.array([["a", "b"], ["c", "d"]]), "Embeddings must be a table"),
        (np.array([1.0, 2.0]), "Embeddings must be a table"),
        (np.ones((1, 2)), "Every embedding needs one person"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(embeddings: np.ndarray, sentence: str) -> None:
    with pytest.raises(ComparisonError, match=sentence):
        compare(embeddings, ["x", "y"], ["g", "g"])


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(ComparisonError, match="nothing to compare"):
        compare(np.empty((0, 2)), [], [])
