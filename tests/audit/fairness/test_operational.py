"""The false-discovery rate of leads: counted, with honest intervals, and never told of a few."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.fairness import operational
from audit.fairness.intervals import wilson
from audit.fairness.operational import SMALLEST, LeadTruth, Share


def lead(truth: str, case: object = "c", offence: str = "robbery", **cohorts: str) -> LeadTruth:
    return LeadTruth(str(case), offence, "m", truth, cohorts)


def spread(wrong: int, right: int, unknown: int = 0, **fields: str) -> list[LeadTruth]:
    """Each lead in a case of its own."""
    truths = ["wrong_person"] * wrong + ["same_person"] * right + ["not_known"] * unknown
    return [lead(truth, f"{fields}{number}", **fields) for number, truth in enumerate(truths)]


def test_the_share_is_taken_over_leads_of_known_truth() -> None:
    total = operational.count(spread(3, 17, 5)).total
    assert (total.leads, total.known, total.wrong, total.rate) == (25, 20, 3, 0.15)
    assert (total.if_right, total.if_wrong) == (3 / 25, 8 / 25)


def test_with_one_lead_a_case_the_interval_is_wilsons() -> None:
    total = operational.count(spread(3, 17)).total
    assert (total.low, total.high) == pytest.approx(wilson(0.15, 20))


def test_leads_of_one_case_count_as_one_observation() -> None:
    apart = operational.count(spread(4, 16)).total
    together = [lead("wrong_person", 0) for _ in range(4)]
    together += [lead("same_person", 1 + number // 4) for number in range(16)]
    clustered = operational.count(together).total
    assert clustered.rate == apart.rate
    assert clustered.high - clustered.low > apart.high - apart.low  # type: ignore[operator]


def test_no_error_is_a_bound_and_not_a_zero() -> None:
    total = operational.count(spread(0, 30)).total
    assert (total.rate, total.low) == (0, 0)
    assert total.high is not None
    assert 0.05 < total.high < 0.15


def test_what_is_not_known_is_not_measurable() -> None:
    total = operational.count(spread(0, 0, 12)).total
    assert (total.state, total.rate) == ("undefined", None)
    assert "not measurable" in operational.sentence(total)
    assert operational.count([]).total.state == "too_few"


def test_errors_in_a_single_case_have_no_interval() -> None:
    rows = [lead("wrong_person") for _ in range(4)] + [lead("same_person") for _ in range(8)]
    total = operational.count(rows).total
    assert (total.rate, total.low, total.high) == (pytest.approx(1 / 3), None, None)
    assert "interval" not in operational.sentence(total)


def test_a_small_group_hides_another_so_that_nobody_can_subtract() -> None:
    rows = spread(2, 18) + spread(1, 14, offence="burglary") + spread(1, 1, offence="fraud")
    [by_offence] = [one for one in operational.count(rows).divisions if one.name == "offence"]
    shown = {share.name: share.state for share in by_offence.shares}
    assert shown == {"robbery": "shown", "burglary": "too_few", "fraud": "too_few"}
    hidden = next(share for share in by_offence.shares if share.name == "fraud")
    assert hidden == Share("fraud", "too_few"), "not one number"


_groups = st.dictionaries(st.sampled_from("abcdefg"), st.tuples(*[st.integers(0, 25)] * 3), min_size=1)


@given(_groups)
def test_what_is_hidden_cannot_be_worked_out(groups: dict[str, tuple[int, int, int]]) -> None:
    rows = [row for name, sizes in groups.items() for row in spread(*sizes, offence=name)]
    found = operational.count(rows)
    for division in found.divisions:
        shown = [share for share in division.shares if share.state != "too_few"]
        hidden = len(division.shares) - len(shown)
        for share in shown:
            assert share.leads is not None
            assert share.leads >= SMALLEST
            assert not 0 < (share.known or 0) < SMALLEST
        rest = len(rows) - sum(share.leads or 0 for share in shown)
        if shown and hidden:
            assert hidden > 1
            assert rest >= SMALLEST


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 20))
def test_the_interval_holds_the_rate_and_the_bounds_hold_both(wrong: int, right: int, unknown: int) -> None:
    total = operational.count(spread(wrong, right, unknown)).total
    if total.state != "shown":
        return
    assert total.rate is not None
    assert total.low is not None
    assert total.high is not None
    assert 0 <= total.low <= total.rate <= total.high <= 1
    assert total.if_right is not None
    assert total.if_wrong is not None
    assert total.if_right <= total.rate <= total.if_wrong or np.isclose(total.if_right, total.rate)


def test_cohorts_come_from_the_record_alone() -> None:
    rows = spread(2, 18, sex="f") + spread(1, 19, sex="m") + spread(5, 10)
    [by_sex] = [one for one in operational.count(rows).divisions if one.name == "sex"]
    assert [share.name for share in by_sex.shares] == ["f", "m", operational.NOT_RECORDED]
    assert [one.name for one in operational.count(spread(5, 10)).divisions] == ["offence", "face model"]


def test_the_table_says_what_is_left_out_and_runs_nothing() -> None:
    rows = spread(2, 18) + spread(3, 12, offence="=HYPERLINK(1)")
    table = list(csv.DictReader(io.StringIO(operational.as_csv(operational.count(rows)))))
    assert {row["group"] for row in table if row["division"] == "offence"} == {"robbery", "'=HYPERLINK(1)"}
    [total] = [row for row in table if row["division"] == "all"]
    assert (total["wrong"], total["known"]) == ("5", "35")
    assert "FDR" not in operational.as_csv(operational.count(rows))
