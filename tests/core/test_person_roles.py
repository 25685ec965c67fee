"""Roles and permissions without a database: truth tables, and exclusions that hold both ways."""

from __future__ import annotations

import uuid
from itertools import combinations

import pytest
from django.contrib.auth.models import AnonymousUser

from core import permissions, person_roles
from core.exceptions import NotAllowed, NotFound
from core.models import User
from core.person_roles import CODES, ROLES, Permission

# Permission -> the roles that give it, written down a second time on purpose.
TRUTH = {
    Permission.READ_CASES: {"officer", "supervisor"},
    Permission.OPEN_CASES: {"officer", "supervisor"},
    Permission.CONFIRM_CASES: {"supervisor"},
    Permission.REQUEST_SEARCHES: {"officer"},
    Permission.APPROVE_SEARCHES: {"supervisor"},
    Permission.OVERRIDE_QUALITY: {"supervisor"},
    Permission.RELEASE_LEADS: {"supervisor"},
    Permission.REVIEW_CANDIDATES: {"examiner"},
    Permission.DECIDE_HOLDS: {"counsel"},
    Permission.KEEP_GALLERIES: {"custodian"},
    Permission.RUN_EVALUATIONS: {"custodian"},
    Permission.READ_EVALUATIONS: set(CODES),
    Permission.PROPOSE_POLICY: {"administrator"},
    Permission.MANAGE_PEOPLE: {"administrator"},
    Permission.READ_LOG: {"board", "auditor"},
    Permission.SAMPLE_SEARCHES: {"board"},
    Permission.FILE_FINDINGS: {"board"},
    Permission.TEST_MODELS: {"tester"},
    Permission.HOLD_APPROVAL_SECRET: {"supervisor", "counsel", "custodian"},
}
OUTSIDE = {"board", "auditor", "registered_auditor", "tester"}
SEARCHING = {"officer", "supervisor", "examiner", "counsel", "custodian"}


def person(*roles: str, agency: str | None = "here", active: bool = True) -> User:
    return User(id=uuid.uuid4(), username="x", roles=list(roles), agency_id=agency, is_active=active)


def test_every_permission_is_given_by_exactly_the_roles_of_the_table() -> None:
    assert TRUTH.keys() == set(Permission)
    for permission, roles in TRUTH.items():
        assert {code for code in CODES if permissions.has(person(code), permission)} == roles, permission


@pytest.mark.parametrize("permission", Permission)
def test_nobody_without_a_role_has_a_permission(permission: Permission) -> None:
    assert not permissions.has(None, permission)
    assert not permissions.has(AnonymousUser(), permission)
    assert not permissions.has(person(), permission)
    assert not permissions.has(person("no-such-role"), permission)
    assert not any(permissions.has(person(code, active=False), permission) for code in CODES)


def test_every_role_says_in_words_what_it_allows() -> None:
    for code, role in ROLES.items():
        assert role.code == code
        assert role.label
        assert role.description.endswith(".")
        assert role.permissions


def test_exclusions_name_real_roles_and_never_the_role_itself() -> None:
    for role in ROLES.values():
        assert role.excludes <= set(CODES) - {role.code}


def test_pairs_of_roles_are_refused_exactly_where_one_watches_the_other() -> None:
    for first, second in combinations(CODES, 2):
        forbidden = first in OUTSIDE or second in OUTSIDE or (second == "administrator" and first in SEARCHING)
        for pair in ([first, second], [second, first]):
            assert (person_roles.problem(pair) is not None) is forbidden, pair


@pytest.mark.parametrize("code", CODES)
def test_one_role_alone_is_always_possible(code: str) -> None:
    assert person_roles.problem([code]) is None


def test_unknown_and_doubled_roles_are_refused() -> None:
    assert "There is no role" in str(person_roles.problem(["wizard"]))
    assert "twice" in str(person_roles.problem(["officer", "officer"]))
    assert person_roles.problem([]) is None


@pytest.mark.parametrize("code", CODES)
def test_only_administrators_and_the_operator_manage_people(code: str) -> None:
    assert permissions.can_manage_people(person(code)) is (code == "administrator")
    assert permissions.can_manage_people(None)
    if code != "administrator":
        with pytest.raises(NotAllowed, match="administrator"):
            permissions.check_can_manage_people(person(code))


def test_an_administrator_manages_the_own_agency_and_one_without_agency_everybody() -> None:
    own, far = person("administrator"), person("administrator", agency=None)
    assert permissions.can_manage_agency(own, "here")
    assert not permissions.can_manage_agency(own, "there")
    assert not permissions.can_manage_agency(own, None)
    assert permissions.can_manage_agency(far, "there")
    assert permissions.can_manage_agency(far, None)
    assert permissions.can_manage_agency(None, "there")


def test_a_person_of_another_agency_is_not_found_and_oneself_is_not_allowed() -> None:
    ada = person("administrator")
    permissions.check_can_manage(ada, person("officer"))
    with pytest.raises(NotFound):
        permissions.check_can_manage(ada, person("officer", agency="there"))
    with pytest.raises(NotAllowed, match="your own"):
        permissions.check_can_manage(ada, ada)
    with pytest.raises(NotAllowed, match="administrator"):
        permissions.check_can_manage(person("supervisor"), person("officer"))


@pytest.mark.parametrize("code", CODES)
def test_an_agencys_administrator_gives_no_oversight_role(code: str) -> None:
    oversight = code in OUTSIDE
    assert permissions.can_give_roles(person("administrator"), [code]) is not oversight
    assert permissions.can_give_roles(person("administrator", agency=None), [code])
    assert permissions.can_give_roles(None, [code])
    assert not permissions.can_give_roles(person("supervisor"), [code])


@pytest.mark.parametrize("code", CODES)
def test_supervisors_counsel_and_custodians_may_have_an_approval_secret(code: str) -> None:
    expected = code in TRUTH[Permission.HOLD_APPROVAL_SECRET]
    assert permissions.can_hold_approval_secret(person(code)) is expected
    assert not permissions.can_hold_approval_secret(person(code, active=False))


def test_tokens_are_revoked_by_their_owner_or_by_who_manages_the_owner() -> None:
    olivia = person("officer")
    assert permissions.can_revoke_token(olivia, olivia)
    assert permissions.can_revoke_token(person("administrator"), olivia)
    assert permissions.can_revoke_token(None, olivia)
    assert not permissions.can_revoke_token(person("officer"), olivia)
    assert not permissions.can_revoke_token(person("administrator", agency="there"), olivia)


def test_an_entry_names_the_role_that_allows_the_act() -> None:
    both = person("officer", "supervisor")
    assert permissions.signature(both, Permission.CONFIRM_CASES) == {"actor": both.id, "role": "supervisor"}
    assert permissions.signature(both, Permission.MANAGE_PEOPLE) == {"actor": both.id, "role": None}
    assert permissions.signature(None, Permission.MANAGE_PEOPLE) == {"role": "operator"}
