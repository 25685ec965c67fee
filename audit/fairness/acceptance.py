"""Acceptance policies: what an evaluation must show before a face model may be searched with. Data, not code.

A verdict is "met", "not met" or "cannot be shown". Too little data is never a pass and never called a failure.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from audit.fairness.cohorts import UNKNOWN
from audit.fairness.evaluation import Result
from audit.fairness.evidence import EVERYBODY
from audit.fairness.identification import SearchRates
from audit.fairness.rates import CohortRates, Rate
from audit.fairness.wording import counted, one_in

_T = TypeVar("_T")
Outcome = Literal["met", "not met", "cannot be shown"]
MET: Outcome = "met"
NOT_MET: Outcome = "not met"
NOT_SHOWN: Outcome = "cannot be shown"

STATISTICS = {
    "fmr": "false-match rate",
    "fnmr": "false-non-match rate",
    "tpr": "true-positive rate",
    "fte": "rate of failures to extract",
    "fpir": "false-positive identification rate",
}
SCOPES = ("cohorts", "overall")
EVIDENCE = ("point", "bound")
ZERO_ERRORS = ("people", "pairs")
FOLDER = Path(__file__).parent / "acceptance"


class PolicyError(ValueError):
    """An acceptance policy is not well formed; the message says where."""


@dataclass(frozen=True)
class Rule:
    """One limit. `evidence` "point": the rate itself; "bound": its whole 95 % interval must be on the right side.
    `zero_errors` says which bound counts where there is no error: "people" (conservative) or "pairs".
    `templates`: of an "fpir" rule, the size of gallery that it must hold in; measured at the evaluation's threshold in
    the smallest evaluation edition that has as many."""

    statistic: str
    scope: str  # each of the "cohorts", or "overall"
    evidence: str
    limit: float  # at most; for tpr at least
    zero_errors: str
    templates: int = 0


@dataclass(frozen=True)
class Policy:
    """An acceptance policy as read from TOML. `sha256` is of the file's bytes."""

    code: str
    title: str
    version: int
    demonstration: bool
    minimum_people: int
    maximum_age_days: int
    maximum_unknown: float
    rules: tuple[Rule, ...]
    sha256: str

    def is_current(self, age_days: int) -> bool:
        """Whether an evaluation of this age may still be relied on."""
        return 0 <= age_days <= self.maximum_age_days


@dataclass(frozen=True)
class Verdict:
    """The outcome and one sentence for everything that decided it."""

    outcome: Outcome
    reasons: tuple[str, ...]


def load_policy(name: str | Path) -> Policy:
    """A policy by the name of one that comes with the product ("demo", "statutory") or from a TOML file."""
    path = name if isinstance(name, Path) else FOLDER / f"{name}.toml"
    if isinstance(name, str) and (not name.isidentifier() or not path.is_file()):
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml")))
        raise PolicyError(f'There is no acceptance policy "{name}"; there are: {known}.')
    try:
        data = path.read_bytes()
        table = tomllib.loads(data.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"The acceptance policy {path.name} cannot be read: {error}.") from error
    fields = _Fields(table, path.name)
    rules = tuple(_rule(_Fields(rule, f"a rule of {path.name}")) for rule in fields.get("rule", list))
    if not rules:
        raise PolicyError(f"{path.name} has no rule.")
    policy = Policy(
        code=fields.get("code", str),
        title=fields.get("title", str),
        version=fields.get("version", int),
        demonstration=fields.get("demonstration", bool),
        minimum_people=fields.get("minimum_people", int),
        maximum_age_days=fields.get("maximum_age_days", int),
        maximum_unknown=fields.get("maximum_unknown", float),
        rules=rules,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    fields.finish()
    return policy


class _Fields:
    """Takes fields out of a TOML table one by one, so that a misspelt one is noticed."""

    def __init__(self, table: Any, where: str) -> None:
        if not isinstance(table, dict):
            raise PolicyError(f"{where} must be a table.")
        self.rest, self.where = dict(table), where

    def get(self, name: str, kind: type[_T]) -> _T:
        value = self.rest.pop(name, None)
        if type(value) is not kind:
            raise PolicyError(f'{self.where} needs "{name}" ({kind.__name__}).')
        return value

    def finish(self) -> None:
        if self.rest:
            raise PolicyError(f"{self.where} has fields that mean nothing: {', '.join(sorted(self.rest))}.")


def _rule(fields: _Fields) -> Rule:
    statistic = fields.get("statistic", str)
    limit = fields.get("at_least" if statistic == "tpr" else "at_most", float)
    scope, evidence = fields.get("scope", str), fields.get("evidence", str)
    zero_errors = fields.get("zero_errors", str) if "zero_errors" in fields.rest else "people"
    templates = fields.get("templates", int) if statistic == "fpir" else 0
    fields.finish()
    if statistic not in STATISTICS or not 0 < limit < 1:
        raise PolicyError(f"{fields.where}: unknown statistic, or a limit that is not between 0 and 1.")
    for value, allowed in ((scope, SCOPES), (evidence, EVIDENCE), (zero_errors, ZERO_ERRORS)):
        if value not in allowed:
            raise PolicyError(f'{fields.where}: "{value}" is none of: {", ".join(allowed)}.')
    if statistic == "fpir" and templates < 1:
        raise PolicyError(f"{fields.where}: a gallery has at least one template.")
    return Rule(statistic, scope, evidence, limit, zero_errors, templates)


def judge(result: Result, policy: Policy, age_days: int = 0) -> Verdict:
    """Hold a result against a policy. Every rule is looked at, so that all reasons are known at once."""
    findings: list[tuple[Outcome, str]] = []
    if not policy.is_current(age_days):
        findings.append(
            (NOT_SHOWN, f"The evaluation is {age_days} days old; at most {policy.maximum_age_days} are accepted.")
        )
    for rule in policy.rules:
        findings += _apply(rule, result, policy)
    for outcome in (NOT_MET, NOT_SHOWN):
        reasons = tuple(sentence for found, sentence in findings if found == outcome)
        if reasons:
            return Verdict(outcome, tuple(dict.fromkeys(reasons)))
    return Verdict(MET, tuple(sentence for _, sentence in findings))


def _apply(rule: Rule, result: Result, policy: Policy) -> Iterator[tuple[Outcome, str]]:
    edition: _Edition = {}
    if rule.statistic == "fpir":
        edition = _edition(rule, result)
        if not edition:
            yield NOT_SHOWN, _no_edition(rule, result)
            return
    if rule.scope == "overall":
        yield _hold(rule, "All people together", _statistic(rule, result.overall, edition), policy.minimum_people)
        return
    if not any(len(division.known) > 1 for division in result.divisions):
        yield NOT_SHOWN, "The benchmark set does not divide people into at least two known cohorts."
    for division in result.divisions:
        counts = dict(zip(division.rates.cohorts, division.rates.people, strict=True))
        if counts.get(UNKNOWN, 0) > policy.maximum_unknown * sum(counts.values()):
            yield (
                NOT_SHOWN,
                f"{counts[UNKNOWN]} of {sum(counts.values())} people have no known cohort ({division.axis}).",
            )
        for name in division.known:
            rate = _statistic(rule, division.rates, edition, division.axis, name)
            yield _hold(rule, name, rate, policy.minimum_people)


_Edition = dict[tuple[str, str], SearchRates]  # (division, cohort) -> what its searches of one edition returned


def _edition(rule: Rule, result: Result) -> _Edition:
    """The searches of the smallest edition that is as large as the rule asks; empty when none is."""
    large = [one for one in result.searches if one.templates >= rule.templates]
    if not large:
        return {}
    name = min(large, key=lambda one: one.templates).edition
    return {(one.division, one.cohort): one for one in large if one.edition == name}


def _no_edition(rule: Rule, result: Result) -> str:
    needed = f"the {STATISTICS[rule.statistic]} must be measured with {counted(rule.templates, 'template')} enrolled"
    if not result.searches:
        return f"No gallery was searched, because pairs or scores were given; {needed}."
    largest = max(one.templates for one in result.searches)
    return f"The largest gallery that was searched had {counted(largest, 'template')}; {needed}."


def _statistic(rule: Rule, rates: CohortRates, edition: _Edition, division: str = "", cohort: str = "") -> Rate:
    """The rate that a rule limits, of a cohort of a division or of everybody."""
    if rule.statistic == "fpir":
        return edition[division, cohort or EVERYBODY].fpir[0].rate
    if rule.statistic == "fmr":
        return rates.within(cohort) if cohort else rates.all_fmr
    if rule.statistic == "fte":
        return rates.fte[cohort] if cohort else rates.all_fte
    return rates.fnmr[cohort] if cohort else rates.all_fnmr


def _hold(rule: Rule, who: str, rate: Rate, minimum_people: int) -> tuple[Outcome, str]:
    """Errors are held against a limit; a true-positive rate of at least x is a miss rate of at most 1 - x."""
    name = STATISTICS[rule.statistic]
    limit = 1 - rule.limit if rule.statistic == "tpr" else rule.limit
    value = rate.value
    if value is None:
        return NOT_SHOWN, f"{who}: the {name} is not measurable, because there was nothing to compare."
    if rate.people < minimum_people:
        return NOT_SHOWN, (
            f"{who}: the {name} rests on {counted(rate.people, 'person', 'people')}; {minimum_people} are needed."
        )
    seen = f"{counted(rate.errors, 'error')} in {rate.trials:,}"
    if rule.evidence == "point":
        needed = f"the {name} must be {_limit(rule)}"
        if rate.trials * limit < 1:
            return NOT_SHOWN, f"{who}: {seen}, too few to tell; {needed}."
        return (MET if value <= limit else NOT_MET), f"{who}: {seen}; {needed}."
    needed = f"the {name} must be {_limit(rule)} with 95 % confidence"
    interval = rate.interval
    if interval is None:
        return NOT_SHOWN, f"{who}: {seen}, from too few people for an interval; {needed}."
    high = interval.by_pairs if rule.zero_errors == "pairs" and interval.by_pairs and not rate.errors else interval.high
    sentence = f"{who}: {seen}, so between {one_in(interval.low)} and {one_in(high)}; {needed}."
    if high <= limit:
        return MET, sentence
    return (NOT_MET if interval.low > limit else NOT_SHOWN), sentence


def _limit(rule: Rule) -> str:
    if rule.statistic == "tpr":
        return f"at least {100 * rule.limit:g} %"
    gallery = f" in a gallery of {rule.templates:,} templates" if rule.templates else ""
    return f"at most {one_in(rule.limit)}{gallery}"
