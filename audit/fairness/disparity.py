"""How far cohorts lie apart: summary measures, and whether a difference is more than chance.

Formulas: NISTIR 8429 (max/min, max/geometric mean, Gini), Pereira and Marcel (FDR), Howard et al. (GARBE), and the
inequity rate as in arXiv 2203.05051. An undefined measure is None, never a smoothed number. "FDR" here is the Fairness
Discrepancy Rate, not a false-discovery rate.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from audit.fairness.rates import Rate

# Measured (docs/measurement/coverage.md): with 100 people or more in a cohort a difference that is not there is announced
# in at most 5 % of runs in every cell of the study. At 0.96 it was 8 % with four cohorts of 100 people, a false-match rate
# of 1e-2 and person effects of sigma 1, because the variance is estimated too.
ANNOUNCE_CONFIDENCE = 0.98
ALPHAS = (0.0, 0.5, 1.0)  # weight of false matches against false non-matches


def max_over_min(rates: Sequence[float]) -> float | None:
    """Undefined when the lowest rate is 0."""
    return max(rates) / min(rates) if rates and min(rates) > 0 else None


def max_over_geometric_mean(rates: Sequence[float]) -> float | None:
    """NIST's leading measure; undefined when a rate is 0."""
    if not rates or min(rates) <= 0:
        return None
    return max(rates) / math.exp(fmean(math.log(rate) for rate in rates))


def gini(rates: Sequence[float], *, adjusted: bool = True) -> float | None:
    """Gini coefficient, by default times D / (D - 1) so that it can reach 1; undefined for one cohort or all zeros."""
    count = len(rates)
    if count < 2 or sum(rates) == 0:
        return None
    if len(set(rates)) == 1:
        return 0.0
    raw = sum(abs(x - y) for x in rates for y in rates) / (2 * count**2 * fmean(rates))
    return raw * count / (count - 1) if adjusted else raw


def inequity_rate(fmr: Sequence[float], fnmr: Sequence[float], alpha: float) -> float | None:
    """(max FMR / min FMR)^alpha * (max FNMR / min FNMR)^(1 - alpha); a part with weight 0 need not be defined."""
    parts = [(max_over_min(fmr), alpha), (max_over_min(fnmr), 1 - alpha)]
    product = 1.0
    for ratio, weight in parts:
        if weight == 0:
            continue
        if ratio is None:
            return None
        product *= ratio**weight
    return product


def fairness_discrepancy_rate(fmr: Sequence[float], fnmr: Sequence[float], alpha: float) -> float | None:
    """1 - (alpha * largest FMR gap + (1 - alpha) * largest FNMR gap); 1 is even. Small FMR gaps barely move it."""
    if not fmr or not fnmr:
        return None
    return 1 - (alpha * (max(fmr) - min(fmr)) + (1 - alpha) * (max(fnmr) - min(fnmr)))


def garbe(fmr: Sequence[float], fnmr: Sequence[float], alpha: float) -> float | None:
    """alpha * adjusted Gini of FMR + (1 - alpha) * adjusted Gini of FNMR; 0 is even."""
    total = 0.0
    for rates, weight in ((fmr, alpha), (fnmr, 1 - alpha)):
        if weight == 0:
            continue
        part = gini(rates)
        if part is None:
            return None
        total += weight * part
    return total


def skewed_error_ratio(accuracies: Sequence[float]) -> float | None:
    """Largest over smallest error of accuracies given as fractions; undefined when one has no error."""
    return max_over_min([1 - accuracy for accuracy in accuracies])


def spread(accuracies: Sequence[float]) -> float | None:
    """Population standard deviation, as the RFW papers print it."""
    return pstdev(accuracies) if accuracies else None


@dataclass(frozen=True)
class Measure:
    """One summary measure of a set of cohorts; `value` is None when it is undefined, and `why` then says why."""

    name: str
    value: float | None
    why: str = ""


def summary(fmr: Mapping[str, Rate], fnmr: Mapping[str, Rate], minimum_people: int) -> list[Measure]:
    """Every measure over the same cohorts, or the reason why there is none. Nothing is measured over one cohort, nor
    when a cohort has fewer than `minimum_people`."""
    small = [name for name, rate in fmr.items() if rate.people < minimum_people]
    reason = ""
    if len(fmr) < 2:
        reason = "A comparison needs at least two cohorts."
    elif small:
        reason = f"Fewer than {minimum_people} people in: {', '.join(small)}."
    x = [rate.value for rate in fmr.values() if rate.value is not None]
    y = [rate.value for rate in fnmr.values() if rate.value is not None]
    fmr_gap = reason or ("A cohort has no impostor pairs." if len(x) < len(fmr) else "")
    fnmr_gap = reason or ("A cohort has no genuine pairs." if len(y) < len(fnmr) else "")
    both_gap = fmr_gap or fnmr_gap
    zero = "A cohort has no error, so the ratio is not estimable; see its upper bound."
    nothing = "No cohort has an error."
    measures = []
    for label, rates, gap in (("FMR", x, fmr_gap), ("FNMR", y, fnmr_gap)):
        measures += [
            _measure(f"{label} max/min", None if gap else max_over_min(rates), gap or zero),
            _measure(f"{label} max/geometric mean", None if gap else max_over_geometric_mean(rates), gap or zero),
            _measure(f"{label} Gini (adjusted)", None if gap else gini(rates), gap or nothing),
        ]
    for alpha in ALPHAS:
        suffix = f"(alpha {alpha:g})"
        measures += [
            _measure(f"FDR {suffix}", None if both_gap else fairness_discrepancy_rate(x, y, alpha), both_gap),
            _measure(f"IR {suffix}", None if both_gap else inequity_rate(x, y, alpha), both_gap or zero),
            _measure(f"GARBE {suffix}", None if both_gap else garbe(x, y, alpha), both_gap or nothing),
        ]
    return measures


def of_accuracies(accuracies: Sequence[float]) -> list[Measure]:
    """What papers on RFW give beside the accuracy of each cohort, over cohorts; nothing where no protocol gives one."""
    if not accuracies:
        return []
    one = "" if len(accuracies) > 1 else "A comparison needs at least two cohorts."
    zero = "A cohort has no wrong decision, so the ratio is not estimable."
    return [
        _measure("Pair accuracy, mean", sum(accuracies) / len(accuracies), ""),
        _measure("Pair accuracy, STD", None if one else spread(accuracies), one),
        _measure("Pair accuracy, SER", None if one else skewed_error_ratio(accuracies), one or zero),
    ]


def _measure(name: str, value: float | None, why: str) -> Measure:
    return Measure(name, value, why if value is None else "")


@dataclass(frozen=True)
class Difference:
    """Cohort `high` has a higher rate than cohort `low`, and chance alone is an unlikely reason."""

    high: str
    low: str
    ratio: float | None  # None: no error in `low`
    at_least: float | None  # lower end of the interval of the ratio, corrected for the number of comparisons


def differences(rates: Mapping[str, Rate], confidence: float = ANNOUNCE_CONFIDENCE) -> list[Difference]:
    """Pairs of cohorts whose rates differ by more than chance explains, the largest ratios first.

    The interval of a ratio is built from the two clustered intervals (MOVER, Zou and Donner 2008, on the logarithm),
    at a confidence corrected for the number of pairs of cohorts (Bonferroni). Where one cohort has no error the two
    corrected intervals must not overlap. Where no cohorts differ, one is announced in at most 5 % of evaluations; how
    often that and the opposite happens was simulated (`audit.fairness.simulation`).
    """
    names = [name for name, rate in rates.items() if rate.value is not None]
    pairs = list(itertools.combinations(names, 2))
    if not pairs:
        return []
    corrected = 1 - (1 - confidence) / len(pairs)
    found = []
    for first, second in pairs:
        high, low = sorted((first, second), key=lambda name: -(rates[name].value or 0))
        ratio, at_least = _ratio(rates[high], rates[low], corrected)
        if at_least is not None and at_least > 1:
            found.append(Difference(high, low, ratio, None if ratio is None else at_least))
    return sorted(found, key=lambda item: (-(item.ratio or math.inf), item.high, item.low))


def _ratio(high: Rate, low: Rate, confidence: float) -> tuple[float | None, float | None]:
    """(ratio, lower end of its interval); without an error in `low` the second is a bound over a bound."""
    upper, lower = high.interval_at(confidence), low.interval_at(confidence)
    if upper is None or lower is None or not high.value:
        return None, None
    if not low.value:
        return None, upper.low / lower.high
    log = math.log(high.value / low.value)
    reach = math.hypot(math.log(high.value / upper.low), math.log(lower.high / low.value))
    return high.value / low.value, math.exp(log - reach)
