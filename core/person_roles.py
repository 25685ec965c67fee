"""The roles of people, as classes: what each may do, in code and in words, and which roles one person may not combine.

The database enforces the same exclusions with CHECK constraints on `core_user.roles`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final


class Permission(StrEnum):
    """What a role may allow. Whether it may be done *now*, and to *this* thing, is decided beside the thing."""

    READ_CASES = "read_cases"
    OPEN_CASES = "open_cases"
    CONFIRM_CASES = "confirm_cases"
    REQUEST_SEARCHES = "request_searches"
    APPROVE_SEARCHES = "approve_searches"
    OVERRIDE_QUALITY = "override_quality"
    RELEASE_LEADS = "release_leads"
    REVIEW_CANDIDATES = "review_candidates"
    DECIDE_HOLDS = "decide_holds"
    KEEP_GALLERIES = "keep_galleries"
    RUN_EVALUATIONS = "run_evaluations"
    READ_EVALUATIONS = "read_evaluations"
    PROPOSE_POLICY = "propose_policy"
    MANAGE_PEOPLE = "manage_people"
    READ_LOG = "read_log"
    SAMPLE_SEARCHES = "sample_searches"
    FILE_FINDINGS = "file_findings"
    TEST_MODELS = "test_models"
    HOLD_APPROVAL_SECRET = "hold_approval_secret"  # noqa: S105 - the name of a permission


class Role:
    """One role. Subclasses are listed in ROLES by their code."""

    code: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    permissions: ClassVar[frozenset[Permission]]
    excludes: ClassVar[frozenset[str]] = frozenset()
    # Independent of the agencies: an agency's administrator cannot give such a role.
    oversight: ClassVar[bool] = False

    @classmethod
    def excluded_codes(cls) -> list[str]:
        """The excluded roles in alphabetical order: migrations compare lists."""
        return sorted(cls.excludes)


class Officer(Role):
    code = "officer"
    label = "Officer"
    description = "Opens cases for confirmation, requests justified searches in assigned cases, and sees their status."
    permissions = frozenset(
        {Permission.READ_CASES, Permission.OPEN_CASES, Permission.REQUEST_SEARCHES, Permission.READ_EVALUATIONS}
    )


class Supervisor(Role):
    code = "supervisor"
    label = "Supervisor"
    description = (
        "Opens, confirms and closes cases, approves or turns down the searches of other people, accepts a probe below "
        "the quality limits, and releases leads."
    )
    permissions = frozenset(
        {
            Permission.READ_CASES,
            Permission.OPEN_CASES,
            Permission.CONFIRM_CASES,
            Permission.APPROVE_SEARCHES,
            Permission.OVERRIDE_QUALITY,
            Permission.RELEASE_LEADS,
            Permission.READ_EVALUATIONS,
            Permission.HOLD_APPROVAL_SECRET,
        }
    )


class Examiner(Role):
    code = "examiner"
    label = "Examiner"
    description = (
        "Compares the candidates of a search with the probe and records a decision. Cannot request or release."
    )
    permissions = frozenset({Permission.REVIEW_CANDIDATES, Permission.READ_EVALUATIONS})


class Counsel(Role):
    code = "counsel"
    label = "Counsel"
    description = "Decides searches that were held because of their purpose, places legal holds and helps to lift them."
    permissions = frozenset({Permission.DECIDE_HOLDS, Permission.READ_EVALUATIONS, Permission.HOLD_APPROVAL_SECRET})


class Custodian(Role):
    code = "custodian"
    label = "Custodian"
    description = "Creates galleries, enrols and removes photos, expunges people and runs evaluations of face models."
    permissions = frozenset(
        {
            Permission.KEEP_GALLERIES,
            Permission.RUN_EVALUATIONS,
            Permission.READ_EVALUATIONS,
            Permission.HOLD_APPROVAL_SECRET,
        }
    )


class Board(Role):
    code = "board"
    label = "Oversight board"
    description = "Reads and checks the whole log, samples searches and files findings. Has no other role."
    permissions = frozenset(
        {Permission.READ_LOG, Permission.SAMPLE_SEARCHES, Permission.FILE_FINDINGS, Permission.READ_EVALUATIONS}
    )
    excludes = frozenset(
        {
            "officer",
            "supervisor",
            "examiner",
            "counsel",
            "custodian",
            "auditor",
            "registered_auditor",
            "tester",
            "administrator",
        }
    )
    oversight = True


class Auditor(Role):
    code = "auditor"
    label = "Auditor"
    description = "Downloads reports on error rates and runs them again, and checks the log. Has no other role."
    permissions = frozenset({Permission.READ_LOG, Permission.READ_EVALUATIONS})
    excludes = frozenset(
        {
            "officer",
            "supervisor",
            "examiner",
            "counsel",
            "custodian",
            "board",
            "registered_auditor",
            "tester",
            "administrator",
        }
    )
    oversight = True


class RegisteredAuditor(Role):
    code = "registered_auditor"
    label = "Registered auditor"
    description = (
        "Made the account alone, where that is allowed, to download reports on error rates. Has no other role."
    )
    permissions = frozenset({Permission.READ_EVALUATIONS})
    excludes = frozenset(
        {"officer", "supervisor", "examiner", "counsel", "custodian", "board", "auditor", "tester", "administrator"}
    )
    oversight = True


class Tester(Role):
    code = "tester"
    label = "Accredited tester"
    description = (
        "Tests face models on photos of their own where the installation opens that (RCW 43.386). Sees no gallery, case or "
        "search. Has no other role."
    )
    permissions = frozenset({Permission.TEST_MODELS, Permission.READ_EVALUATIONS})
    excludes = frozenset(
        {
            "officer",
            "supervisor",
            "examiner",
            "counsel",
            "custodian",
            "board",
            "auditor",
            "registered_auditor",
            "administrator",
        }
    )
    oversight = True


class Administrator(Role):
    code = "administrator"
    label = "Administrator"
    description = "Adds people, their roles and their training dates, and proposes limits. Can search nothing."
    permissions = frozenset({Permission.MANAGE_PEOPLE, Permission.PROPOSE_POLICY, Permission.READ_EVALUATIONS})
    excludes = frozenset({"officer", "supervisor", "examiner", "counsel", "custodian"})


ROLES: Final[dict[str, type[Role]]] = {
    role.code: role
    for role in (
        Officer,
        Supervisor,
        Examiner,
        Counsel,
        Custodian,
        Board,
        Auditor,
        RegisteredAuditor,
        Tester,
        Administrator,
    )
}
CODES: Final[tuple[str, ...]] = tuple(ROLES)


def problem(codes: Iterable[str]) -> str | None:
    """What is wrong with a person's roles taken together, as a sentence; None when nothing is."""
    given = list(codes)
    for code in given:
        if code not in ROLES:
            return f"There is no role “{code}”. Choose from: {', '.join(CODES)}."
    if len(set(given)) != len(given):
        return "A role is given twice. Name each role once."
    for code in given:
        clash = [ROLES[other].label for other in given if other in ROLES[code].excludes]
        if clash:
            return (
                f"{ROLES[code].label} cannot be combined with {' or '.join(clash)}: the two watch or limit each other. "
                "Give them to different people."
            )
    return None
