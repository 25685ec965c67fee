"""Chunks of a comparison: any order, any worker, killed or twice, the result has the same bits."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.fairness import chunks
from audit.fairness.chunks import Plan, compare_chunk, plan
from audit.fairness.comparisons import Comparisons, compare, merge
from audit.fairness.partials import Partial
from audit.fairness.scores import BINS, ComparisonError, Histogram
from tests.audit.fairness.test_comparisons import a_set, naive


def flat(value: object) -> object:
    """Everything in a result as plain lists, to compare two of them."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.tolist())
    if isinstance(value, dict):
        return {key: flat(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(flat(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: flat(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]
    return value


def in_parts(seed: int, tail: int = 60) -> tuple[Plan, list[Partial]]:
    vectors, person, cohort = a_set(seed, 40)
    work = plan(person, cohort, thresholds=[150_000, 400_000], tail=tail, block=9, pairs_per_chunk=400)
    arranged = work.arrange(vectors)
    return work, [compare_chunk(arranged, work, chunk) for chunk in work.chunks]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_the_order_of_chunks_and_storing_them_change_no_bit(seed: int, random: object) -> None:
    work, partials = in_parts(seed)
    assert len(partials) > 3
    expected = flat(merge(work, partials))
    stored = [Partial.from_bytes(partial.to_bytes()) for partial in partials]
    random.shuffle(stored)  # type: ignore[attr-defined]
    assert flat(merge(work, stored)) == expected
    assert flat(merge(work, [*stored, stored[0]])) == expected  # a chunk that was done twice counts once


def test_chunks_give_what_one_comparison_gives() -> None:
    work, partials = in_parts(4)
    vectors, person, cohort = a_set(4, 40)
    one = compare(vectors, person, cohort, thresholds=[150_000, 400_000], tail=60, block=9)
    assert flat(merge(work, partials)) == flat(one)
    assert sum(chunk.pairs for chunk in work.chunks) == work.pairs


def test_a_missing_chunk_and_one_of_other_work_are_refused() -> None:
    work, partials = in_parts(5)
    with pytest.raises(ComparisonError, match=rf"1 of {len(partials)} chunks have not been compared yet"):
        merge(work, partials[1:])
    _, others = in_parts(6)
    with pytest.raises(ComparisonError, match="belongs to another comparison"):
        merge(work, [*partials, others[0]])


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY"])
def test_the_bytes_of_something_else_are_refused(data: bytes) -> None:
    with pytest.raises(ComparisonError, match="cannot be read"):
        Partial.from_bytes(data)


def test_a_cut_file_is_refused() -> None:
    _, partials = in_parts(5)
    with pytest.raises(ComparisonError, match="cannot be read"):
        Partial.from_bytes(partials[0].to_bytes()[:-40])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_lowest_genuine_pairs_are_kept_exactly(seed: int) -> None:
    vectors, person, cohort = a_set(seed, 40)
    found = compare(vectors, person, cohort, tail=20, block=16)
    scores, impostor = naive(vectors, person)
    left, right = np.nonzero(np.triu(~impostor, 1) & (scores <= found.genuine_exact_to))
    assert len(left) <= 20
    assert sorted(map(tuple, found.genuine_images.tolist())) == sorted(zip(left.tolist(), right.tolist(), strict=True))
    assert (found.genuine_scores == scores[tuple(found.genuine_images.T)]).all()
    assert [found.people[p] for p in found.genuine_people] == [person[i] for i, _ in found.genuine_images]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_one_comparison_by_cells_serves_every_division(seed: int) -> None:
    """The products are computed once: by the cohort of each division apart the result has the same bits."""
    vectors, person, cohort = a_set(seed, 30)
    age = {name: "young" if int(name[1:]) % 2 else "old" for name in person}
    cells = [f"{c}\x1f{age[p]}" for c, p in zip(cohort, person, strict=True)]
    both = compare(vectors, person, cells, thresholds=[300_000])
    for labels in (cohort, [age[p] for p in person], ["all"] * len(person)):
        alone = compare(vectors, person, labels, thresholds=[300_000])
        summed = both.divided_by(dict(zip(person, labels, strict=True)))
        assert summed.cohorts == alone.cohorts
        number = {name: index for index, name in enumerate(alone.people)}
        order = [number[name] for name in summed.people]
        assert (summed.false_matches(300_000) == alone.false_matches(300_000)[order]).all()
        assert (summed.squares(300_000) == alone.squares(300_000)).all()
        assert (summed.weighted(300_000) == alone.weighted(300_000)).all()
        for a, b in itertools.combinations_with_replacement(range(len(alone.cohorts)), 2):
            assert summed.impostor_pairs(a, b) == alone.impostor_pairs(a, b)
            assert total(summed, a, b) == pytest.approx(total(alone, a, b))


def total(found: Comparisons, a: int, b: int) -> int:
    return found.impostor_histogram(a, b).total


def test_a_cohort_cannot_be_torn_afterwards() -> None:
    vectors, person, cohort = a_set(1, 12)
    found = compare(vectors, person, cohort)
    with pytest.raises(ComparisonError, match="cannot be divided any further"):
        found.divided_by({name: name for name in person})


def test_more_errors_than_can_be_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, person, cohort = a_set(1, 30)
    monkeypatch.setattr(chunks, "MAX_ERROR_PAIRS", 50)
    with pytest.raises(ComparisonError, match=r"At the threshold -1.000000 more than 50 pairs of people"):
        compare(vectors, person, cohort, thresholds=[-1_000_000])


def test_a_histogram_keeps_its_counts_without_the_empty_ends() -> None:
    bins = np.zeros(BINS, np.int64)
    bins[[3, 7]] = 2, 5
    histogram = Histogram.of(bins)
    assert (histogram.first, histogram.counts.tolist(), histogram.total) == (3, [2, 0, 0, 0, 5], 7)
    assert (histogram.dense() == bins).all()
    assert [histogram.at_or_above(step * 100 - 1_000_000) for step in (0, 3, 4, 7, 8)] == [7, 7, 5, 5, 0]
