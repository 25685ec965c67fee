"""What a request still owes: approvals, documents, in an emergency the deadline for both, and after it telling the defence.

Pure functions of facts and law pack, like the rules in policies.py, which use them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from search.facts import Facts
from search.law import asked_authority
from search.law_pack import AuthorityRule, DisclosureRule, LawPack, Source


@dataclass(frozen=True)
class Approvals:
    """`count` approvals by people other than the requester, each holding one of `roles`: before the search runs, or in
    an emergency by `deadline`."""

    count: int
    roles: frozenset[str]
    deadline: datetime | None
    source: Source


def approvals_needed(facts: Facts, pack: LawPack) -> Approvals:
    """What the law pack or `gate.policy` asks for, whichever is more."""
    rule = pack.approval
    return Approvals(max(rule.count, facts.gate_approvals), rule.roles, emergency_deadline(facts, pack), rule.source)


def may_run_without_approval(facts: Facts, pack: LawPack) -> bool:
    """Whether the search may run before anybody approves: only in an emergency that the law pack accepts, for an
    officer who owes nothing from an earlier one."""
    return facts.emergency and facts.purpose in pack.emergency.purposes and not facts.overdue_emergencies


def emergency_deadline(facts: Facts, pack: LawPack) -> datetime | None:
    """Until when an emergency that is asked for now must be approved and documented; None when it is none."""
    if not may_run_without_approval(facts, pack):
        return None
    return facts.now + timedelta(hours=pack.emergency.deadline_hours)


def authority_owed(facts: Facts, pack: LawPack) -> list[AuthorityRule]:
    """The rules whose document is not attached, now or by the deadline."""
    asked = asked_authority(pack, facts.purpose, facts.legal_basis)
    return [rule for rule in asked if not rule.any_of & facts.attachments]


def authority_lacking(facts: Facts, pack: LawPack) -> list[AuthorityRule]:
    """The rules whose document must be attached before the search runs and is not."""
    later = may_run_without_approval(facts, pack)
    return [rule for rule in authority_owed(facts, pack) if not (later and rule.later_in_emergency)]


def disclosures_due(pack: LawPack, procedures: Collection[str], *, disclosed: bool) -> list[DisclosureRule]:
    """The duties to tell that the steps taken so far have made due; none once the defence was told."""
    return [] if disclosed else [rule for rule in pack.disclosure if rule.after & set(procedures)]
