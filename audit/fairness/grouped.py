"""The grouped table at the operating threshold as fairlearn computes it: the table of record for point rates.

Pairs are not listed one by one (there may be billions): a row is a cohort, whether the people are the same, and whether
the pair is at or above the threshold, weighted with its number of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audit.fairness.rates import CohortRates, Rate


@dataclass(frozen=True)
class GroupedRow:
    """Rates of one cohort within itself; None where there is no pair ("not measurable")."""

    cohort: str
    fmr: float | None
    fnmr: float | None


def grouped_table(rates: CohortRates) -> tuple[GroupedRow, ...]:
    """False-match and false-non-match rate within each cohort by fairlearn's MetricFrame. Imports fairlearn: seconds."""
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate

    def by_cohort(metric: Callable[..., float], of: Mapping[str, Rate], is_same: int) -> Mapping[str, float]:
        """One metric; fairlearn has no words for a cohort without a pair, so those are left out."""
        measured = {name: rate for name, rate in of.items() if rate.trials}
        if not measured:
            return {}
        rows = [
            (name, error, pairs)
            for name, rate in measured.items()
            for error, pairs in ((True, rate.errors), (False, rate.trials - rate.errors))
        ]
        frame: Any = MetricFrame(
            metrics=metric,
            y_true=[is_same] * len(rows),
            y_pred=[int(error != bool(is_same)) for _, error, _ in rows],
            sensitive_features=[name for name, _, _ in rows],
            sample_params={"sample_weight": [pairs for _, _, pairs in rows]},
        )
        return {name: float(frame.by_group[name]) for name in measured}

    fmr = by_cohort(false_positive_rate, {name: rates.within(name) for name in rates.cohorts}, 0)
    fnmr = by_cohort(false_negative_rate, rates.fnmr, 1)
    return tuple(GroupedRow(name, fmr.get(name), fnmr.get(name)) for name in rates.cohorts)
