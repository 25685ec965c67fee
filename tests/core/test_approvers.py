"""Approval secrets: enrolled by the registrar, compared as they were hashed, and the commands for all that."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from core import approvers, people
from core.exceptions import Conflict, Invalid, NotAllowed
from core.models import Agency, User
from search.gate import client
from tests.core.log_entries import entries
from tests.people import Cast

PARAMS = bytes(32)


def propose(app: psycopg.Connection, user: User, typed: str) -> bool:
    """Approve something in two steps with what was typed; whether the secret was right."""
    proposal = client.propose(
        app, act="search:request", params=PARAMS, approver=user.id, secret=approvers.normalise(typed), subject=user.id
    )
    return client.approve(app, proposal)


def test_a_secret_is_80_bits_in_four_groups_and_never_the_same(cast: Cast) -> None:
    assert all(re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", text) for text in cast.secrets.values())
    assert len(set(cast.secrets.values())) == 4
    entry = entries("gate:approver:enrolled")[0]
    assert (entry["approver"], entry["replaced"]) == (str(cast.sam.id), False)


@pytest.mark.parametrize(
    "change",
    [
        str,
        str.lower,
        lambda text: text.replace("-", " "),
        lambda text: f"  {text} \n",
        lambda text: text.replace("-", "–"),
    ],
)
def test_a_secret_is_right_however_it_is_typed(
    cast: Cast, mallory: psycopg.Connection, change: Callable[[str], str]
) -> None:
    assert propose(mallory, cast.sam, change(cast.secrets[cast.sam.id]))


def test_somebody_elses_secret_is_wrong(cast: Cast, mallory: psycopg.Connection) -> None:
    assert not propose(mallory, cast.sam, cast.secrets[cast.sue.id])
    assert len(entries("gate:proposal:failed")) == 1


@pytest.mark.parametrize("typed", ["", "ABCD", "ABCD-EFGH-IJKL-MNO1", "ABCD-EFGH-IJKL-MNOPQ", "ÄBCD-EFGH-IJKL-MNOP"])
def test_what_cannot_be_a_secret_is_refused_before_it_counts(typed: str) -> None:
    with pytest.raises(Invalid, match="four groups") as refused:
        approvers.normalise(typed)
    assert refused.value.field_errors.keys() == {"secret"}
    assert not typed or typed not in refused.value.sentence.replace("ABCD-EF23-GHIJ-K456", "")


def test_only_people_who_approve_get_a_secret(cast: Cast) -> None:
    for user in (cast.olivia, cast.erin, cast.bea, cast.axel, cast.ada):
        with pytest.raises(NotAllowed):
            approvers.enrol(user, "x@example.org")
        assert approvers.state(user) == "none"
    with pytest.raises(Invalid):
        approvers.enrol(cast.sam, "  ")


def test_enrolling_again_voids_the_older_secret(cast: Cast, mallory: psycopg.Connection) -> None:
    fresh = approvers.enrol(cast.sam, "sam@example.org")
    assert not propose(mallory, cast.sam, cast.secrets[cast.sam.id])
    assert propose(mallory, cast.sam, fresh)
    assert entries("gate:approver:enrolled")[-1]["replaced"] is True


def test_a_revoked_approver_cannot_propose(cast: Cast, mallory: psycopg.Connection) -> None:
    approvers.revoke(cast.sam)
    assert approvers.state(cast.sam) == "revoked"
    with pytest.raises(client.GateRefused, match="no approval secret"):
        propose(mallory, cast.sam, cast.secrets[cast.sam.id])
    with pytest.raises(Conflict, match="to revoke"):
        approvers.revoke(cast.sam)


def test_a_locked_approver_is_unlocked_by_the_registrar(cast: Cast, mallory: psycopg.Connection) -> None:
    for _ in range(5):
        assert not propose(mallory, cast.sam, cast.secrets[cast.sue.id])
    with pytest.raises(client.GateRefused, match="locked"):
        propose(mallory, cast.sam, cast.secrets[cast.sam.id])
    assert approvers.state(cast.sam) == "locked"
    approvers.unlock(cast.sam)
    assert propose(mallory, cast.sam, cast.secrets[cast.sam.id])
    with pytest.raises(Conflict, match="not locked"):
        approvers.unlock(cast.sam)


# Commands


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_people_and_approvers_are_set_up_from_the_command_line(
    database: Any, mallory: psycopg.Connection, tmp_path: Path
) -> None:
    agency = json.loads(
        run("add_agency", "new-pd", "--name", "New", "--case-numbers", "[0-9]{6}", "--law-pack", "default")
    )
    assert agency["agency"] == "new-pd"
    assert Agency.objects.get().case_number_pattern == "[0-9]{6}"
    added = json.loads(
        run("add_user", "Vera", "--role", "supervisor", "--agency", "new-pd", "--training-until", "2027-05-31")
    )
    vera = people.named("vera")
    assert added["user"] == str(vera.id)
    assert vera.check_password(added["first_password"])
    assert vera.must_change_password
    secret = run("enrol_approver", "VERA", "--contact", "vera@example.org")
    assert propose(mallory, vera, secret)
    assert "revoked" in run("revoke_approver", "vera")
    with pytest.raises(CommandError, match="not locked"):
        run("unlock_approver", "vera")
    password = tmp_path / "password"
    password.write_text("a lapwing over the moor\n")
    answer = json.loads(run("add_user", "bob", "--role", "auditor", "--password-file", str(password)))
    assert "first_password" not in answer
    assert people.named("bob").check_password("a lapwing over the moor")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add_user", "x", "--agency", "nowhere"], "add_agency"),
        (["add_user", "x", "--role", "board", "--role", "auditor"], "cannot be combined"),
        (["add_user", "a b"], "username"),
        (["add_user", "x", "--training-until", "soon"], "2027-05-31"),
        (["add_user", "x", "--password-file", "/nonexistent/file"], "cannot be read"),
        (["add_agency", "A B", "--name", "x"], "small letters"),
        (["enrol_approver", "nobody", "--contact", "x@example.org"], "nobody with the username"),
        (["revoke_approver", "nobody"], "nobody with the username"),
    ],
)
def test_a_command_says_what_is_wrong(database: Any, arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*arguments)
    assert User.objects.count() == 0
