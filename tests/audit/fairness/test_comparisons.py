"""Counts over all pairs, against the few lines of numpy that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.fairness import chunks
from audit.fairness.comparisons import compare
from audit.fairness.scores import GRID_STEP, NOTHING, SCALE, ComparisonError


def a_set(seed: int, people: int, dimension: int = 16) -> tuple[np.ndarray, list[str], list[str]]:
    """People with one to four photos each, shuffled, in three cohorts."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), rng.integers(1, 5, people))
    rng.shuffle(person)
    centres = rng.normal(size=(people, dimension))
    vectors = (centres[person] + 0.8 * rng.normal(size=(len(person), dimension))).astype(np.float32)
    return vectors, [f"p{p}" for p in person], [("a", "b", "c")[p % 3] for p in person]


def naive(vectors: np.ndarray, people: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Integer scores of all pairs and which pairs i < j are impostor pairs."""
    unit = (vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)
    scores = np.rint(unit.astype(np.float64) @ unit.astype(np.float64).T * 1e6).astype(int)
    person = np.array(people)
    return scores, person[:, None] != person[None, :]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25), st.integers(-SCALE, SCALE), st.sampled_from([1, 7, 2048]))
def test_counts_at_any_threshold_equal_the_naive_ones(seed: int, people: int, threshold: int, block: int) -> None:
    vectors, person, cohort = a_set(seed, people)
    found = compare(vectors, person, cohort, thresholds=[threshold], block=block)
    scores, impostor = naive(vectors, person)
    groups, names = np.array(cohort), np.array(person)
    upper = np.triu(np.ones_like(impostor), 1).astype(bool)
    sums = found.sums[threshold]
    for a, name_a in enumerate(found.cohorts):
        for b, name_b in enumerate(found.cohorts):
            between = (groups[:, None] == name_a) & (groups[None, :] == name_b) & impostor
            expected = int((between & (scores >= threshold)).sum()) // (2 if a == b else 1)
            assert found.impostor_pairs(a, b) == between.sum() // (2 if a == b else 1)
            assert found.impostors_at(a, b, threshold) == expected  # a small set is all tail
            assert found.false_matches(threshold)[found.cohort_of == a, b].sum() == expected * (2 if a == b else 1)
    for index, name in enumerate(found.people):
        mine = names == name
        genuine = mine[:, None] & mine[None, :] & upper
        assert sums.false_non_matches[index] == (genuine & (scores < threshold)).sum()
        assert found.images_of[index] == mine.sum()
        errors = impostor & mine[:, None] & (scores >= threshold)
        for b, name_b in enumerate(found.cohorts):
            assert found.false_matches(threshold)[index, b] == errors[:, groups == name_b].sum()
    near = upper & (np.abs(scores - threshold) <= 1)
    assert sums.near == near.sum()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.integers(-300_000, 900_000))
def test_sums_over_pairs_of_people_equal_the_naive_ones(seed: int, people: int, threshold: int) -> None:
    vectors, person, cohort = a_set(seed, people)
    found = compare(vectors, person, cohort, thresholds=[threshold], block=5)
    scores, _ = naive(vectors, person)
    names = np.array(person)
    squares = np.zeros((len(found.cohorts), len(found.cohorts)), int)
    weighted = np.zeros_like(squares)
    for i, p in enumerate(found.people):
        for j, q in enumerate(found.people[i + 1 :], start=i + 1):
            errors = int((scores[np.ix_(names == p, names == q)] >= threshold).sum())
            pairs = int((names == p).sum() * (names == q).sum())
            a, b = found.cohort_of[i], found.cohort_of[j]
            for x, y in {(a, b), (b, a)}:
                squares[x, y] += errors**2
                weighted[x, y] += errors * pairs
    assert (found.squares(threshold) == squares).all()
    assert (found.weighted(threshold) == weighted).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 400_000))
def test_the_block_size_changes_no_reported_count(seed: int, block: int, threshold: int) -> None:
    vectors, person, cohort = a_set(seed, 30, dimension=64)
    one = compare(vectors, person, cohort, thresholds=[threshold])
    other = compare(vectors, person, cohort, thresholds=[threshold], block=block)
    assert (one.tail_scores == other.tail_scores).all()
    assert (one.tail_images == other.tail_images).all()
    for field in ("pairs", "errors", "false_non_matches", "near"):
        assert np.array_equal(getattr(one.sums[threshold], field), getattr(other.sums[threshold], field))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-SCALE // GRID_STEP, SCALE // GRID_STEP))
def test_histograms_count_right_except_pairs_on_an_edge(seed: int, step: int) -> None:
    vectors, person, cohort = a_set(seed, 25)
    threshold = step * GRID_STEP
    found = compare(vectors, person, cohort, tail=0, block=16)
    scores, impostor = naive(vectors, person)
    upper = np.triu(np.ones_like(impostor), 1).astype(bool)
    on_edge = int((upper & (np.abs(scores - threshold) <= 1)).sum())
    counted = sum(histogram.at_or_above(threshold) for histogram in found.impostor.values())
    genuine = sum(found.genuine_at(group, threshold) for group in range(len(found.cohorts)))
    assert abs(counted - int((impostor & upper & (scores >= threshold)).sum())) <= on_edge
    assert abs(genuine - int((~impostor & upper & (scores >= threshold)).sum())) <= on_edge
    assert not len(found.tail_scores)


def test_scores_that_are_exact_in_binary_are_counted_exactly_and_ties_are_at_the_threshold() -> None:
    vectors = np.array([[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, -1], [2, 2, 2, 2]], np.float32)
    found = compare(vectors, list("wxyz"), ["g"] * 4, thresholds=[500_000, 500_001])
    histogram = found.impostor[0, 0]
    counts = [histogram.at_or_above(t) for t in (-SCALE, 0, 100, 500_000, 500_100, SCALE)]
    assert counts == [6, 6, 4, 4, 1, 1]
    assert found.sums[500_000].errors.sum() == 4
    assert found.sums[500_001].errors.sum() == 1
    assert found.sums[500_000].near == found.sums[500_001].near == 3


def test_the_tail_keeps_the_highest_impostor_pairs_and_says_from_where() -> None:
    vectors, person, cohort = a_set(3, 60)
    found = compare(vectors, person, cohort, tail=100, block=32)
    scores, impostor = naive(vectors, person)
    left, right = np.nonzero(np.triu(impostor, 1) & (scores >= found.tail_exact_from))
    assert 50 < len(found.tail_scores) <= 100
    assert sorted(map(tuple, found.tail_images.tolist())) == sorted(zip(left.tolist(), right.tolist(), strict=True))
    assert (found.tail_scores == scores[tuple(found.tail_images.T)]).all()
    assert (np.diff(found.tail_scores) <= 0).all()
    for (i, j), (a, b) in zip(found.tail_images, found.tail_cohorts, strict=True):
        assert (cohort[i], cohort[j]) == (found.cohorts[a], found.cohorts[b])


def test_a_histogram_refuses_a_threshold_off_its_grid() -> None:
    with pytest.raises(ValueError, match="multiples of 100 millionths"):
        NOTHING.at_or_above(150)


def test_progress_ends_with_all_pairs() -> None:
    vectors, person, cohort = a_set(1, 12)
    seen: list[tuple[int, int]] = []
    compare(vectors, person, cohort, block=4, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(person) * (len(person) - 1) // 2,) * 2
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("vectors", "people", "cohorts", "sentence"),
    [
        ([[1, 0], [np.nan, 1]], "ab", "xx", "Embedding 2 is zero or holds a value that is not a number"),
        ([[0, 0], [1, 1]], "ab", "xx", "Embedding 1 is zero"),
        ([[1, 0], [np.inf, 1]], "ab", "xx", "Embedding 2"),
        ([1, 2], "ab", "xx", "one row per image"),
        ([[1, 0], [0, 1]], "aa", "xy", "Person a is in two cohorts: x and y"),
        ([[1, 0], [0, 1]], "a", "x", "needs one person and one cohort"),
    ],
)
def test_unusable_embeddings_are_refused_with_a_sentence(
    vectors: list[list[float]], people: str, cohorts: str, sentence: str
) -> None:
    with pytest.raises(ComparisonError, match=sentence):
        compare(np.array(vectors, np.float32), list(people), list(cohorts))


def test_too_many_cohorts_and_too_many_photos_of_one_person_are_refused() -> None:
    many = chunks.MAX_COHORTS + 1
    with pytest.raises(ComparisonError, match="121 cohorts are too many"):
        compare(np.ones((many, 2)), [str(i) for i in range(many)], [str(i) for i in range(many)])
    many = chunks.MAX_IMAGES_PER_PERSON + 1
    with pytest.raises(ComparisonError, match="Person p has 4097 images"):
        compare(np.ones((many, 2)), ["p"] * many, ["x"] * many)
