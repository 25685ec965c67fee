"""The numbers of a Result as JSON and as tables: the part of a report that follows from the evidence alone.

`reproduce` computes the same from a re-run bundle and compares. Floats are written with ten significant digits, because the
last bits of a sum may differ between builds of numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from audit.fairness.bootstrap import Bootstrapped
from audit.fairness.curves import Point, Shift
from audit.fairness.disparity import Difference
from audit.fairness.evaluation import Division, Group, Result
from audit.fairness.identification import SearchRates
from audit.fairness.rates import CohortRates, Rate

Cell = str | int | float | bool | None
Table = list[dict[str, Cell]]


def number(value: float | None) -> float | None:
    """Ten significant digits."""
    return None if value is None else float(f"{value:.10g}")


def numbers(result: Result) -> dict[str, Any]:
    """Every number of a result, with numerators, denominators and people."""
    return {
        "threshold": _threshold(result),
        "overall": {
            **_rates(result.overall),
            "det": _det(result.overall_det),
            "scores": None if result.overall_shift is None else _shift(result.overall_shift),
            "without_excluded": _without(result.overall_without_excluded),
            "excluded_pairs": result.excluded,
        },
        "divisions": [_division(division) for division in result.divisions],
        "fpir_predictions": [
            {"gallery": item.gallery, "basis": item.basis, "fmr": number(item.fmr), "fpir": number(item.fpir)}
            for item in result.predictions
        ],
        "identification": [_searches(one) for one in result.searches],
        "pair_accuracy": _accuracies(result),
        "lookalikes": [
            # Rows of the set, not people: their ids may be names.
            {"score": item.score, "images": list(item.images)}
            for item in result.lookalikes
        ],
    }


def rate(found: Rate) -> dict[str, Any]:
    """One rate with its interval and both bounds where no error was seen."""
    interval = found.interval
    return {
        "errors": found.errors,
        "trials": found.trials,
        "people": found.people,
        "rate": number(found.value),
        "interval": None
        if interval is None
        else {
            "low": number(interval.low),
            "high": number(interval.high),
            "method": interval.method,
            "effective_trials": number(interval.effective_pairs),
            "bound_by_pairs": number(interval.by_pairs),
            "bound_by_people": number(interval.by_people),
        },
    }


def _accuracies(result: Result) -> Table:
    """Of protocols with fixed pairs in folds."""
    return [
        {
            "division": found.axis,
            "cohort": found.cohort,
            "pairs": found.pairs,
            "folds": found.folds,
            "accuracy": number(found.accuracy),
            "standard_error": number(found.standard_error),
        }
        for found in result.accuracies
    ]


def _threshold(result: Result) -> dict[str, Any]:
    found = result.threshold
    return {
        "value": found.value,
        "rule": found.rule,
        "cohort": found.cohort,
        "errors": found.errors,
        "pairs": found.pairs,
        "exact": found.exact,
        "target_shown": found.shown,
        "people_chosen_on": result.chosen_on,
        "people_reported_on": result.reported_on,
        "pairs_within_one_millionth": result.overall.near,
    }


def _rates(rates: CohortRates) -> dict[str, Any]:
    return {"fmr": rate(rates.all_fmr), "fnmr": rate(rates.all_fnmr), "fte": rate(rates.all_fte)}


def _without(rates: CohortRates | None) -> dict[str, Any] | None:
    """The rates of everybody without the pairs whose labels a review found wrong."""
    return None if rates is None else _rates(rates)


def _det(points: Sequence[Point]) -> list[list[int]]:
    """threshold, false matches, impostor pairs, misses, genuine pairs of each point."""
    return [[p.threshold, p.false_matches, p.impostor_pairs, p.misses, p.genuine_pairs] for p in points]


def _shift(shift: Shift) -> dict[str, Any]:
    return {
        kind: {"pairs": scores.pairs, "mean": number(scores.mean), "median": number(scores.median)}
        for kind, scores in (("genuine", shift.genuine), ("impostor", shift.impostor))
    }


def _bootstrapped(found: Bootstrapped) -> dict[str, Any]:
    return {
        "value": number(found.value),
        "low": number(found.low),
        "high": number(found.high),
        "confidence": number(found.confidence),
        "why": found.why,
    }


def _division(division: Division) -> dict[str, Any]:
    rates, groups = division.rates, {group.name: group for group in division.groups}
    return {
        "columns": division.axis,
        "cohorts": [
            {
                "name": name,
                "people": people,
                "images": images,
                "extracted": extracted,
                "fmr": rate(rates.within(name)),
                "fnmr": rate(rates.fnmr[name]),
                "fte": rate(rates.fte[name]),
                **_group(groups.get(name)),
                "fmr_without_excluded": None
                if division.without_excluded is None
                else rate(division.without_excluded.within(name)),
            }
            for name, people, images, extracted in zip(
                rates.cohorts, rates.people, rates.images, rates.extracted, strict=True
            )
        ],
        "matrix": [
            {"probe": a, "reference": b, "fmr": rate(rates.fmr[a, b])} for a in rates.cohorts for b in rates.cohorts
        ],
        "measures": [{"name": item.name, "value": number(item.value), "why": item.why} for item in division.measures],
        "fmr_differences": [_difference(item) for item in division.fmr_differences],
        "fnmr_differences": [_difference(item) for item in division.fnmr_differences],
        "fmr_ratios": [{"high": r.high, "low": r.low, **_bootstrapped(r.ratio)} for r in division.ratios],
    }


def _group(group: Group | None) -> dict[str, Any]:
    if group is None:
        return {"det": [], "scores": None, "fnmr_at_target": None}
    misses = group.misses_at_target
    return {
        "det": _det(group.det),
        "scores": _shift(group.shift),
        "fnmr_at_target": {
            "target_fmr": misses.target_fmr,
            "threshold": misses.threshold,
            **_bootstrapped(misses.fnmr),
        },
    }


def _difference(item: Difference) -> dict[str, Any]:
    return {"high": item.high, "low": item.low, "ratio": number(item.ratio), "at_least": number(item.at_least)}


def _searches(found: SearchRates) -> dict[str, Any]:
    return {
        "edition": found.edition,
        "people": found.enrolled_people,
        "templates": found.templates,
        "division": found.division,
        "cohort": found.cohort,
        "predicted_fpir": number(found.predicted),
        "fpir": [{"threshold": one.threshold, **rate(one.rate)} for one in found.fpir],
        "fnir": [{"list_size": one.list_size, "threshold": one.threshold, **rate(one.rate)} for one in found.fnir],
        "at_fpir": [
            {
                "target": one.target,
                "threshold": one.threshold,
                "target_shown": one.shown,
                "fpir": rate(one.fpir),
                "fnir": [
                    {"list_size": each.list_size, "threshold": each.threshold, **rate(each.rate)} for each in one.fnir
                ],
            }
            for one in found.at_fpir
        ],
    }


# Tables: every number once, one row each.


def tables(result: Result) -> dict[str, Table]:
    """The tables of a result by the name of their file."""
    return {
        "rates": list(_rate_rows(result)),
        "cross_cohort_fmr": [
            {"division": d.axis, "probe": a, "reference": b, **_cells(d.rates.fmr[a, b])}
            for d in result.divisions
            for a in d.rates.cohorts
            for b in d.rates.cohorts
        ],
        "pair_accuracy": _accuracies(result),
        "measures": [
            {"division": d.axis, "measure": m.name, "value": number(m.value), "why_undefined": m.why}
            for d in result.divisions
            for m in d.measures
        ],
        "fmr_ratios": [
            {"division": d.axis, "high": r.high, "low": r.low, **_bootstrapped(r.ratio)}
            for d in result.divisions
            for r in d.ratios
        ],
        "fnmr_at_fmr": [
            {"division": d.axis, "cohort": g.name, **_group(g)["fnmr_at_target"]}
            for d in result.divisions
            for g in d.groups
        ],
        "det": list(_det_rows(result)),
        "score_shift": list(_shift_rows(result)),
        "fpir": [
            {**_edition(one), "threshold": at.threshold, **_cells(at.rate), "predicted": number(one.predicted)}
            for one in result.searches
            for at in one.fpir
        ],
        "fnir": [
            {**_edition(one), "list_size": at.list_size, "threshold": at.threshold, **_cells(at.rate)}
            for one in result.searches
            for at in one.fnir
        ],
        "fnir_at_fpir": [
            {
                **_edition(one),
                "target_fpir": at.target,
                "target_shown": at.shown,
                "threshold": at.threshold,
                "list_size": each.list_size,
                **_cells(each.rate),
            }
            for one in result.searches
            for at in one.at_fpir
            for each in at.fnir
        ],
        "fpir_predictions": [
            {"gallery": p.gallery, "basis": p.basis, "fmr": number(p.fmr), "predicted_fpir": number(p.fpir)}
            for p in result.predictions
        ],
    }


def _cells(found: Rate) -> dict[str, Cell]:
    interval = found.interval
    return {
        "errors": found.errors,
        "trials": found.trials,
        "people": found.people,
        "rate": number(found.value),
        "low": number(interval.low) if interval else None,
        "high": number(interval.high) if interval else None,
        "method": interval.method if interval else ("not measurable" if found.value is None else "too few people"),
    }


def _rate_rows(result: Result) -> Iterator[dict[str, Cell]]:
    for label, whole in (("", result.overall), ("without excluded pairs", result.overall_without_excluded)):
        if whole is not None:
            for name, found in (("fmr", whole.all_fmr), ("fnmr", whole.all_fnmr), ("fte", whole.all_fte)):
                yield {"division": "", "cohort": "everybody", "statistic": name, "note": label, **_cells(found)}
    for division in result.divisions:
        for label, rates in (("", division.rates), ("without excluded pairs", division.without_excluded)):
            for cohort in rates.cohorts if rates is not None else ():
                assert rates is not None, "it has cohorts"
                of_cohort = (("fmr", rates.within(cohort)), ("fnmr", rates.fnmr[cohort]), ("fte", rates.fte[cohort]))
                for name, found in of_cohort:
                    yield {
                        "division": division.axis,
                        "cohort": cohort,
                        "statistic": name,
                        "note": label,
                        **_cells(found),
                    }


def _curves(result: Result) -> Iterator[tuple[str, str, Sequence[Point], Shift | None]]:
    yield "", "everybody", result.overall_det, result.overall_shift
    for division in result.divisions:
        for group in division.groups:
            yield division.axis, group.name, group.det, group.shift


def _det_rows(result: Result) -> Iterator[dict[str, Cell]]:
    for division, cohort, points, _ in _curves(result):
        for p in points:
            yield {
                "division": division,
                "cohort": cohort,
                "threshold": p.threshold,
                "false_matches": p.false_matches,
                "impostor_pairs": p.impostor_pairs,
                "misses": p.misses,
                "genuine_pairs": p.genuine_pairs,
            }


def _shift_rows(result: Result) -> Iterator[dict[str, Cell]]:
    for division, cohort, _, shift in _curves(result):
        if shift is not None:
            for kind, scores in (("genuine", shift.genuine), ("impostor", shift.impostor)):
                yield {
                    "division": division,
                    "cohort": cohort,
                    "kind": kind,
                    "pairs": scores.pairs,
                    "mean": number(scores.mean),
                    "median": number(scores.median),
                }


def _edition(found: SearchRates) -> dict[str, Cell]:
    return {
        "edition": found.edition,
        "people_enrolled": found.enrolled_people,
        "templates": found.templates,
        "division": found.division,
        "cohort": found.cohort,
    }
