"""The bootstrap over people: reproducible draws, the definition written out, and what it says when it cannot know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.fairness import bootstrap
from audit.fairness.bootstrap import draws, false_match_rates, misses_at_rate, ratio
from audit.fairness.comparisons import compare
from tests.audit.fairness.test_comparisons import a_set, naive


def test_draws_are_the_same_everywhere_and_keep_half() -> None:
    kept = draws("seed", 300, 2000)
    assert kept.shape == (2000, 300)
    assert kept[0, :12].astype(int).tolist() == draws("seed", 300, 7)[0, :12].astype(int).tolist()
    assert np.packbits(draws("a", 16, 1)).tobytes().hex() == "867e"  # SHAKE-256 of "a" starts with it
    assert abs(kept.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(kept[:, 0], kept[:, 1])[0, 1]) < 0.1
    assert (draws("other", 300, 2000) != kept).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-100_000, 600_000))
def test_replicates_equal_the_definition(seed: int, threshold: int) -> None:
    vectors, person, cohort = a_set(seed, 20)
    found = compare(vectors, person, cohort, thresholds=[threshold])
    scores, impostor = naive(vectors, person)
    members = np.flatnonzero(found.cohort_of == 0)
    kept = draws(str(seed), len(members), 8)
    rates = false_match_rates(found, threshold, 0, kept)
    names = np.array(person)
    for replicate, mine in enumerate(kept):
        chosen = np.isin(names, [found.people[p] for p in members[mine]])
        pairs = np.triu(impostor & chosen[:, None] & chosen[None, :], 1)
        expected = (scores[pairs] >= threshold).mean() if pairs.any() else np.nan
        assert rates[replicate] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.4))
def test_fnmr_at_fmr_equals_the_definition(seed: int, target: float) -> None:
    vectors, person, cohort = a_set(seed, 30)
    found = compare(vectors, person, cohort)
    scores, impostor = naive(vectors, person)
    mine = np.array(cohort) == "a"
    inside = np.triu(np.ones_like(impostor), 1).astype(bool) & mine[:, None] & mine[None, :]
    impostors, genuine = np.sort(scores[inside & impostor])[::-1], scores[inside & ~impostor]
    at_rate = misses_at_rate("x", found, 0, target, np.zeros(len(found.people), np.int64))
    allowed = int(target * len(impostors) + 1e-9)
    if not len(genuine) or allowed < 1:
        assert at_rate.fnmr.value is None
        assert at_rate.fnmr.why
        return
    threshold = impostors[allowed] + 1
    assert at_rate.threshold == threshold
    assert at_rate.fnmr.value == pytest.approx((genuine < threshold).mean())
    if at_rate.fnmr.low is not None:
        assert at_rate.fnmr.high is not None
        assert 0 <= at_rate.fnmr.low <= at_rate.fnmr.high <= 1


def test_lost_photos_are_misses_at_every_threshold() -> None:
    vectors, person, cohort = a_set(3, 30)
    found = compare(vectors, person, cohort)
    none = np.zeros(len(found.people), np.int64)
    lost = none.copy()
    lost[found.cohort_of == 0] = 2
    before, after = (misses_at_rate("x", found, 0, 0.1, array).fnmr.value for array in (none, lost))
    assert before is not None
    assert after is not None
    genuine, more = found.genuine_pairs(0), int(lost.sum())
    assert after == pytest.approx((before * genuine + more) / (genuine + more))


def test_a_tail_that_does_not_reach_the_target_gives_no_number() -> None:
    vectors, person, cohort = a_set(3, 60)
    at_rate = misses_at_rate("x", compare(vectors, person, cohort, tail=50), 0, 0.3, np.zeros(60, np.int64))
    assert (at_rate.fnmr.value, at_rate.fnmr.why) == (None, "The exact tail does not reach this false-match rate.")


def test_a_ratio_to_a_cohort_without_errors_is_not_estimable() -> None:
    vectors, person, cohort = a_set(3, 30)
    found = compare(vectors, person, cohort, thresholds=[990_000, 300_000])
    nothing = ratio("x", found, 990_000, 0, 1, 0.95)
    assert (nothing.value, nothing.low) == (None, None)
    assert "no error" in nothing.why
    some = ratio("x", found, 300_000, 0, 1, 0.95)
    assert some == ratio("x", found, 300_000, 0, 1, 0.95)
    assert some.value is not None
    assert some.low is not None
    assert some.low < some.value < (some.high or np.inf)


def test_percentiles_survive_replicates_without_bound() -> None:
    values = np.array([1.0] * 90 + [np.inf] * 10)
    assert bootstrap._percentiles(values, 0.95) == (1.0, np.inf)
