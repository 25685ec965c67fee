"""Verdicts: met, not met, or cannot be shown, with a sentence for each reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit.fairness.acceptance import Policy, PolicyError, Verdict, judge, load_policy
from audit.fairness.evaluation import Division, Result
from audit.fairness.evidence import Parameters
from audit.fairness.identification import FpirAt, SearchRates
from audit.fairness.rates import CohortRates, Rate, Threshold


def result(**cohorts: tuple[Rate, Rate]) -> Result:
    """A result with these (FMR, FNMR) per cohort and no failures to extract."""
    names = tuple(cohorts)
    first = next(iter(cohorts.values()))
    people = tuple(fmr.people for fmr, _ in cohorts.values())
    fte = {name: Rate(0, 2 * fmr.people, fmr.people, fmr.people) for name, (fmr, _) in cohorts.items()}
    rates = CohortRates(
        500_000, names, people, people, people, {(name, name): fmr for name, (fmr, _) in cohorts.items()},
        {name: fnmr for name, (_, fnmr) in cohorts.items()}, fte, first[0], first[1], fte[names[0]], 0,
    )  # fmt: skip
    return Result(
        Parameters(axes=("sex",)),
        Threshold(500_000, "within"),
        10,
        10,
        rates,
        (Division("sex", rates, (), (), ()),),
        (),
    )


def fmr(errors: int, people: int = 300) -> Rate:
    pairs = people * (people - 1) // 2
    share = errors / pairs
    return Rate(errors, pairs, people, people // 2, share * (1 - share) / pairs)


def fnmr(errors: int, people: int = 300) -> Rate:
    share = errors / people
    return Rate(errors, people, people, people, share * (1 - share) / people)


def policy(tmp_path: Path, rule: str, people: int = 20) -> Policy:
    path = tmp_path / "own.toml"
    path.write_text(
        f'code = "own"\ntitle = "Own"\nversion = 1\ndemonstration = false\nminimum_people = {people}\n'
        f"maximum_age_days = 365\nmaximum_unknown = 0.1\n[[rule]]\n{rule}"
    )
    return load_policy(path)


BOUND = 'statistic = "fmr"\nscope = "cohorts"\nevidence = "bound"\nat_most = 0.001\n'


def test_a_bound_decides_three_ways(tmp_path: Path) -> None:
    own = policy(tmp_path, BOUND)
    assert judge(result(f=(fmr(5), fnmr(1)), m=(fmr(5), fnmr(1))), own).outcome == "met"
    unclear = judge(result(f=(fmr(45), fnmr(1)), m=(fmr(5), fnmr(1))), own)
    assert unclear.outcome == "cannot be shown"
    (reason,) = unclear.reasons
    assert reason.startswith("f: 45 errors in 44,850, so between 1 in ")
    assert reason.endswith("the false-match rate must be at most 1 in 1,000 with 95 % confidence.")
    worse = judge(result(f=(fmr(45), fnmr(1)), m=(fmr(400), fnmr(1))), own)
    assert worse.outcome == "not met"
    assert len(worse.reasons) == 1
    assert worse.reasons[0].startswith("m: 400 errors")


def test_too_little_data_is_neither_a_pass_nor_a_failure(tmp_path: Path) -> None:
    own = policy(tmp_path, BOUND)
    few = judge(result(f=(fmr(0, 12), fnmr(0)), m=(fmr(5), fnmr(0))), own)
    assert few.outcome == "cannot be shown"
    assert few.reasons == ("f: the false-match rate rests on 12 people; 20 are needed.",)
    many_errors = judge(result(f=(fmr(60, 12), fnmr(0)), m=(fmr(5), fnmr(0))), own)
    assert many_errors.outcome == "cannot be shown"
    nothing = judge(result(f=(Rate(0, 0, 1, 0), fnmr(0)), m=(fmr(5), fnmr(0))), own)
    assert "not measurable" in nothing.reasons[0]


def test_zero_errors_are_held_to_the_bound_that_the_policy_names(tmp_path: Path) -> None:
    none = result(f=(fmr(0), fnmr(0)), m=(fmr(0), fnmr(0)))
    assert judge(none, policy(tmp_path, BOUND)).outcome == "cannot be shown"
    assert judge(none, policy(tmp_path, BOUND + 'zero_errors = "pairs"\n')).outcome == "met"


def test_98_percent_true_positives_need_189_people_without_a_miss(tmp_path: Path) -> None:
    own = policy(tmp_path, 'statistic = "tpr"\nscope = "cohorts"\nevidence = "bound"\nat_least = 0.98\n')
    enough = result(f=(fmr(0), fnmr(0, 189)), m=(fmr(0), fnmr(0, 189)))
    assert judge(enough, own).outcome == "met"
    short = judge(result(f=(fmr(0), fnmr(0, 188)), m=(fmr(0), fnmr(0, 189))), own)
    assert short.outcome == "cannot be shown"
    assert short.reasons[0].endswith("the true-positive rate must be at least 98 % with 95 % confidence.")
    assert judge(result(f=(fmr(0), fnmr(20, 189)), m=(fmr(0), fnmr(0, 189))), own).outcome == "not met"


def test_a_point_estimate_needs_pairs_enough_to_resolve_the_limit(tmp_path: Path) -> None:
    own = policy(tmp_path, 'statistic = "fnmr"\nscope = "cohorts"\nevidence = "point"\nat_most = 0.02\n')
    assert judge(result(f=(fmr(0), fnmr(0, 40)), m=(fmr(0), fnmr(0))), own).outcome == "cannot be shown"
    assert judge(result(f=(fmr(0), fnmr(1, 60)), m=(fmr(0), fnmr(0))), own).outcome == "met"
    assert judge(result(f=(fmr(0), fnmr(2, 60)), m=(fmr(0), fnmr(0))), own).outcome == "not met"


def test_unlabelled_people_and_a_single_cohort_show_nothing(tmp_path: Path) -> None:
    own = policy(tmp_path, BOUND)
    one = judge(result(f=(fmr(5), fnmr(0))), own)
    assert one.reasons == ("The benchmark set does not divide people into at least two known cohorts.",)
    unknown = judge(result(f=(fmr(5), fnmr(0)), m=(fmr(5), fnmr(0)), unknown=(fmr(5, 100), fnmr(0))), own)
    assert unknown.reasons == ("100 of 700 people have no known cohort (sex).",)


def test_an_old_evaluation_shows_nothing(tmp_path: Path) -> None:
    own = policy(tmp_path, BOUND)
    fine = result(f=(fmr(5), fnmr(1)), m=(fmr(5), fnmr(1)))
    assert judge(fine, own, age_days=365).outcome == "met"
    old = judge(fine, own, age_days=366)
    assert (old.outcome, old.reasons) == (
        "cannot be shown",
        ("The evaluation is 366 days old; at most 365 are accepted.",),
    )


def test_an_overall_rule_looks_at_everybody(tmp_path: Path) -> None:
    own = policy(tmp_path, BOUND.replace("cohorts", "overall"))
    assert judge(result(f=(fmr(5), fnmr(0))), own).reasons[0].startswith("All people together: 5 errors in 44,850")


FPIR = 'statistic = "fpir"\nscope = "cohorts"\nevidence = "bound"\nat_most = 0.1\ntemplates = 100\n'


def searched(templates: int, **cohorts: Rate) -> list[SearchRates]:
    """Searches of an edition at the evaluation's threshold: of everybody and of each cohort."""
    total = Rate(sum(r.errors for r in cohorts.values()), sum(r.trials for r in cohorts.values()), 600, 600)
    rates = [("", "everybody", total), *(("sex", name, rate) for name, rate in cohorts.items())]
    return [
        SearchRates(f"{templates} people", templates, templates, *who, (FpirAt(500_000, rate),), (), (), None)
        for *who, rate in rates
    ]


def test_a_limit_on_searches_decides_three_ways_in_the_edition_that_is_just_large_enough(tmp_path: Path) -> None:
    own = policy(tmp_path, FPIR)
    fine = result(f=(fmr(5), fnmr(1)), m=(fmr(5), fnmr(1)))

    def verdict(f: Rate, m: Rate) -> Verdict:
        # Smaller galleries return fewer people and larger ones more: neither is what the rule asks for.
        others = [*searched(50, f=fnmr(0), m=fnmr(0)), *searched(400, f=fnmr(300), m=fnmr(300))]
        return judge(replace(fine, searches=(*others, *searched(120, f=f, m=m))), own)

    # Golden: Wilson's interval ends at 0.0967 for 19 of 300 and at 0.1006 for 20 of 300.
    met = verdict(fnmr(10), fnmr(19))
    assert (met.outcome, len(met.reasons)) == ("met", 2)
    assert verdict(fnmr(10), fnmr(20)).outcome == "cannot be shown"
    unclear = verdict(fnmr(10), fnmr(30))
    assert unclear.outcome == "cannot be shown"
    (reason,) = unclear.reasons
    assert reason.startswith("m: 30 errors in 300, so between 1 in ")
    assert reason.endswith(
        "the false-positive identification rate must be at most 1 in 10 in a gallery of 100 templates "
        "with 95 % confidence."
    )
    worse = verdict(fnmr(10), fnmr(60))
    assert worse.outcome == "not met"
    assert [one[:2] for one in worse.reasons] == ["m:"], "the worst cohort decides, and only it is named"
    # Golden: where nobody was returned the bound is z^2 / (n + z^2), 0.1015 for 34 people and 0.0989 for 35.
    short = verdict(fnmr(0, 34), fnmr(0, 35))
    assert (short.outcome, len(short.reasons)) == ("cannot be shown", 1)
    assert short.reasons[0].startswith("f: 0 errors in 34")
    assert verdict(fnmr(0, 35), fnmr(0, 35)).outcome == "met"
    assert "rests on 19 people; 20 are needed" in verdict(fnmr(0, 19), fnmr(0, 35)).reasons[0]


def test_a_limit_on_searches_of_everybody_looks_at_no_cohort(tmp_path: Path) -> None:
    own = policy(tmp_path, FPIR.replace("cohorts", "overall"))
    one = replace(result(f=(fmr(5), fnmr(1))), searches=tuple(searched(100, f=fnmr(0), m=fnmr(150))))
    found = judge(one, own)
    assert (found.outcome, found.reasons[0][:39]) == ("not met", "All people together: 150 errors in 600,")


def test_a_rate_of_searches_that_were_not_made_cannot_be_shown(tmp_path: Path) -> None:
    own = policy(tmp_path, FPIR)
    fine = result(f=(fmr(5), fnmr(1)), m=(fmr(5), fnmr(1)))
    needed = "the false-positive identification rate must be measured with 100 templates enrolled."
    none = judge(fine, own)
    assert (none.outcome, none.reasons) == (
        "cannot be shown",
        (f"No gallery was searched, because pairs or scores were given; {needed}",),
    )
    small = judge(replace(fine, searches=tuple(searched(99, f=fnmr(0), m=fnmr(0)))), own)
    assert (small.outcome, small.reasons) == (
        "cannot be shown",
        (f"The largest gallery that was searched had 99 templates; {needed}",),
    )


@pytest.mark.parametrize("name", ["demo", "identification", "statutory"])
def test_the_policies_that_come_with_the_product_load(name: str) -> None:
    found = load_policy(name)
    assert found.code == name
    assert found.demonstration == (name == "demo")


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (BOUND.replace("fmr", "far"), "unknown statistic"),
        (BOUND.replace("0.001", "2.0"), "not between 0 and 1"),
        (BOUND.replace("bound", "hope"), '"hope" is none of: point, bound'),
        (BOUND + "at_least = 0.5\n", "mean nothing: at_least"),
        (BOUND.replace("at_most = 0.001\n", ""), 'needs "at_most"'),
        ("oops", "cannot be read"),
        (FPIR.replace("templates = 100\n", ""), 'needs "templates"'),
        (FPIR.replace("100", "0"), "at least one template"),
        (BOUND + "templates = 100\n", "mean nothing: templates"),
    ],
)
def test_a_malformed_policy_is_refused(tmp_path: Path, rule: str, sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence):
        policy(tmp_path, rule)


@pytest.mark.parametrize("name", ["none", "../demo", ""])
def test_an_unknown_policy_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match="there are: demo, identification, statutory"):
        load_policy(name)
