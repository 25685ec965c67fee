"""People, their roles and their training: what the services change, refuse and record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import combinations
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from core import agencies, people, person_roles
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.models import Agency, ApiToken, User
from core.person_roles import CODES
from tests.core.log_entries import entries
from tests.people import PASSWORD, Cast

DAY = date(2027, 5, 31)
DAY_MS = int(datetime(2027, 5, 31, tzinfo=UTC).timestamp() * 1000)


def add(by: User | None, agency: Agency | None, **changes: Any) -> User:
    fields: dict[str, Any] = {"username": "nina", "full_name": "Nina Noor", "agency": agency, "roles": ["officer"]}
    return people.add(by=by, **(fields | changes))


def test_an_administrator_adds_a_person_and_the_log_says_so_without_names(cast: Cast) -> None:
    nina = add(cast.ada, cast.agency, username=" Nina ", badge_number="77", training_until=DAY, password=PASSWORD)
    assert (nina.username, nina.roles, nina.training_until) == ("nina", ["officer"], DAY)
    assert User.objects.get(pk=nina.pk).check_password(PASSWORD)
    entry = entries("core:user:added")[-1]
    assert entry["user"] == str(nina.id)
    assert entry["actor"] == str(cast.ada.id)
    assert entry["role"] == "administrator"
    assert entry["training_until"] == DAY_MS
    assert entry["c"].keys() == {"username", "full_name", "badge_number", "agency"}
    assert "nina" not in str(entry).lower()


def test_the_operator_adds_the_first_people(cast: Cast) -> None:
    entry = entries("core:user:added")[0]
    assert entry["role"] == "operator"
    assert "actor" not in entry


def test_without_a_password_nobody_signs_in(cast: Cast) -> None:
    assert not add(None, cast.agency).has_usable_password()


WRONG_PEOPLE: list[tuple[dict[str, Any], str]] = [
    ({"username": "has space"}, "username"),
    ({"username": ""}, "username"),
    ({"username": "nïna"}, "username"),
    ({"full_name": " "}, "full_name"),
    ({"roles": ["officer", "administrator"]}, "roles"),
    ({"roles": ["wizard"]}, "roles"),
    ({"badge_number": "7" * 51}, "badge_number"),
    ({"password": "short"}, "password"),
    ({"password": "123456789012"}, "password"),
    ({"password": "nina noor 12"}, "password"),
]


def test_what_is_wrong_with_a_new_person_is_said_by_field(cast: Cast) -> None:
    before = User.objects.count(), len(entries("core:user:added"))
    for changes, field in WRONG_PEOPLE:
        with pytest.raises(Invalid) as refused:
            add(None, cast.agency, **changes)
        assert refused.value.field_errors.keys() == {field}, changes
    assert (User.objects.count(), len(entries("core:user:added"))) == before


def test_a_username_is_taken_whatever_its_case(cast: Cast) -> None:
    with pytest.raises(Conflict, match="taken"):
        add(None, cast.agency, username="OLIVIA")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=cast.oscar.pk).update(username="Olivia")


def test_nobody_else_adds_people(cast: Cast) -> None:
    for role, user in cast.by_role.items():
        if role != "administrator":
            with pytest.raises(NotAllowed):
                add(user, cast.agency)
    assert not User.objects.filter(username="nina").exists()


def test_an_administrator_stays_inside_the_agency_and_gives_no_oversight_role(cast: Cast) -> None:
    for agency, roles in ((cast.other_agency, ["officer"]), (None, ["officer"]), (cast.agency, ["board"])):
        with pytest.raises(NotAllowed):
            add(cast.ada, agency, roles=roles)
    assert not User.objects.filter(username="nina").exists()


def test_roles_are_changed_and_recorded_with_what_they_were(cast: Cast) -> None:
    people.change_roles(by=cast.ada, user=cast.olivia, roles=["supervisor", "officer"])
    assert User.objects.get(pk=cast.olivia.pk).roles == ["officer", "supervisor"]
    entry = entries("core:user:roles_changed")[-1]
    assert (entry["previous"], entry["roles"]) == (["officer"], ["officer", "supervisor"])
    people.change_roles(by=cast.ada, user=cast.olivia, roles=["officer", "supervisor"])
    assert len(entries("core:user:roles_changed")) == 1


def test_roles_are_not_changed_by_or_for_the_wrong_people(cast: Cast) -> None:
    with pytest.raises(NotFound):
        people.change_roles(by=cast.ada, user=cast.xavier, roles=[])
    with pytest.raises(NotFound):
        people.change_roles(by=cast.ada, user=cast.bea, roles=[])
    with pytest.raises(NotAllowed):
        people.change_roles(by=cast.ada, user=cast.ada, roles=["officer"])
    with pytest.raises(NotAllowed):
        people.change_roles(by=cast.sam, user=cast.olivia, roles=["supervisor"])
    with pytest.raises(NotAllowed):
        people.change_roles(by=cast.ada, user=cast.olivia, roles=["auditor"])
    with pytest.raises(Invalid):
        people.change_roles(by=cast.ada, user=cast.olivia, roles=["officer", "administrator"])
    assert entries("core:user:roles_changed") == []
    assert User.objects.get(pk=cast.olivia.pk).roles == ["officer"]


def test_the_database_refuses_the_same_combinations_as_the_service(
    cast: Cast, as_role: Callable[..., psycopg.Connection]
) -> None:
    app = as_role("app")

    def accepts(roles: list[str | None]) -> bool:
        try:
            app.execute("UPDATE core_user SET roles = %s::varchar[] WHERE id = %s", [roles, cast.olivia.id])
        except psycopg.errors.CheckViolation:
            return False
        return True

    for size in (0, 1, 2, 3):
        for roles in combinations(CODES, size):
            assert accepts(list(roles)) is (person_roles.problem(roles) is None), roles
    assert not accepts(["wizard"])
    assert not accepts([None])
    assert not accepts(["board", "board"])
    assert not accepts(list(CODES))


def test_training_is_recorded_up_to_and_including_a_day(cast: Cast) -> None:
    people.record_training(by=cast.ada, user=cast.olivia, until=DAY)
    olivia = User.objects.get(pk=cast.olivia.pk)
    assert people.training_is_current(olivia, DAY)
    assert not people.training_is_current(olivia, date(2027, 6, 1))
    assert not people.training_is_current(User())
    assert entries("core:user:training_recorded")[-1]["training_until"] == DAY_MS


def test_an_absurd_training_date_is_refused(cast: Cast) -> None:
    for until in (date(1999, 12, 31), date(2099, 1, 1)):
        with pytest.raises(Invalid):
            people.record_training(by=cast.ada, user=cast.olivia, until=until)
    assert entries("core:user:training_recorded") == []


def test_nobody_records_their_own_training(cast: Cast) -> None:
    for by in (cast.ada, cast.olivia):
        with pytest.raises(NotAllowed):
            people.record_training(by=by, user=by, until=DAY)


def test_a_closed_account_has_no_password_and_no_token_and_stays_closed(cast: Cast) -> None:
    from core import tokens

    token, text = tokens.issue(by=cast.olivia, name="laptop")
    people.deactivate(by=cast.ada, user=cast.olivia)
    olivia = User.objects.get(pk=cast.olivia.pk)
    assert not olivia.is_active
    assert not olivia.has_usable_password()
    assert ApiToken.objects.get(pk=token.pk).revoked_at is not None
    assert tokens.find(text) is None
    assert entries("core:user:deactivated")[-1]["user"] == str(olivia.id)
    with pytest.raises(Conflict, match="closed"):
        people.deactivate(by=cast.ada, user=olivia)
    with pytest.raises(Conflict, match="closed"):
        people.reset_sign_in(by=cast.ada, user=olivia)
    assert len(entries("core:user:deactivated")) == 1


def test_reset_gives_a_new_password_that_has_to_be_changed(cast: Cast) -> None:
    from core import tokens

    _, text = tokens.issue(by=cast.olivia, name="laptop")
    password = people.reset_sign_in(by=cast.ada, user=cast.olivia)
    olivia = User.objects.get(pk=cast.olivia.pk)
    assert olivia.check_password(password)
    assert not olivia.check_password(PASSWORD)
    assert olivia.must_change_password
    assert tokens.find(text) is None
    entry = entries("core:user:credential_changed")[-1]
    assert (entry["kind"], entry["actor"]) == ("reset", str(cast.ada.id))


def test_an_administrator_sees_the_people_of_the_agency(cast: Cast) -> None:
    seen = set(people.visible_to(cast.ada))
    assert cast.olivia in seen
    assert not {cast.xavier, cast.bea, cast.axel} & seen
    everywhere = people.add(by=None, username="root", full_name="R", agency=None, roles=["administrator"])
    assert {cast.xavier, cast.bea, cast.olivia} <= set(people.visible_to(everywhere))
    assert people.visible(cast.ada, cast.olivia.pk) == cast.olivia
    for identity in (cast.xavier.pk, "nonsense"):
        with pytest.raises(NotFound):
            people.visible(cast.ada, identity)
    with pytest.raises(NotAllowed):
        people.visible_to(cast.sam)


def test_people_are_found_by_username_whatever_its_case(cast: Cast) -> None:
    assert people.named("OLIVIA") == cast.olivia
    with pytest.raises(NotFound, match="nobody"):
        people.named("nobody-here")


def test_the_act_is_undone_when_its_entry_cannot_be_written(cast: Cast, as_superuser: psycopg.Connection) -> None:
    as_superuser.execute("INSERT INTO logwork.frozen (reason) VALUES ('test')")
    with pytest.raises(Exception, match="frozen"):
        people.change_roles(by=cast.ada, user=cast.olivia, roles=[])
    connection.close()
    assert User.objects.get(pk=cast.olivia.pk).roles == ["officer"]


def test_an_agency_is_added_once_and_recorded(cast: Cast) -> None:
    entry = entries("core:agency:added")[0]
    assert (entry["agency"], entry["law_pack"], entry["role"]) == ("riverton-pd", "default", "operator")
    with pytest.raises(Conflict, match="already"):
        agencies.add(by=None, code="riverton-pd", name="Again")
    with pytest.raises(NotAllowed):
        agencies.add(by=cast.ada, code="new", name="New")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": "Riverton PD"}, "code"),
        ({"name": ""}, "name"),
        ({"case_number_pattern": "["}, "case_number_pattern"),
        ({"case_number_pattern": "[0-9]{4}", "case_number_example": "12"}, "case_number_example"),
    ],
)
def test_what_is_wrong_with_a_new_agency_is_said_by_field(database: Any, changes: dict[str, str], field: str) -> None:
    fields = {"code": "new-pd", "name": "New"} | changes
    with pytest.raises(Invalid) as refused:
        agencies.add(by=None, **fields)
    assert refused.value.field_errors.keys() == {field}
    assert Agency.objects.count() == 0
