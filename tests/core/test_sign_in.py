"""Signing in and out: what gets in, what is locked, and what the log says about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from axes.models import AccessAttempt, AccessLog
from django.core.cache import cache
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from core import people
from core.models import User
from tests.core.log_entries import entries
from tests.people import PASSWORD, Cast

WRONG = "not the password of anybody"
NEW = "another heron lands by the lake"


@pytest.fixture(autouse=True)
def _no_limits_left_over() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def client(database: Any) -> Client:
    return Client(raise_request_exception=False)


def sign_in(client: Client, username: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post(reverse("account_login"), {"login": username, "password": password, **more})


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session and client.get(reverse("home")).status_code == 200


def test_a_person_signs_in_whatever_the_case_of_the_username(client: Client, cast: Cast) -> None:
    response = sign_in(client, "OLIVIA")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert is_in(client)
    entry = entries("core:user:signed_in")[-1]
    assert (entry["user"], entry["actor"]) == (str(cast.olivia.id), str(cast.olivia.id))


def test_signing_in_gives_the_session_a_new_key(client: Client, cast: Cast) -> None:
    client.get(reverse("account_login"))
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    sign_in(client, "olivia")
    assert client.session.session_key != before


def test_signing_out_ends_the_session_and_is_recorded(client: Client, cast: Cast) -> None:
    sign_in(client, "olivia")
    client.post(reverse("account_logout"))
    assert not is_in(client)
    assert entries("core:user:signed_out")[-1]["user"] == str(cast.olivia.id)


@pytest.mark.parametrize("username", ["olivia", "nobody-here"])
def test_a_failed_sign_in_says_the_same_for_known_and_unknown_names(client: Client, cast: Cast, username: str) -> None:
    response = sign_in(client, username, WRONG)
    assert response.status_code == 200
    assert "Username or password is wrong. Check both and try again." in response.content.decode()
    assert not is_in(client)
    assert entries("core:user:signed_in") == []


def test_a_failed_sign_in_is_an_entry_with_a_commitment_to_what_was_typed(client: Client, cast: Cast) -> None:
    sign_in(client, "Olivia", WRONG)
    sign_in(client, "nobody-here", WRONG)
    known, unknown = entries("core:user:sign_in_failed")
    assert (known["reason"], known["user"]) == ("password", str(cast.olivia.id))
    assert unknown["reason"] == "password"
    assert "user" not in unknown
    for entry in (known, unknown):
        assert entry["c"].keys() == {"username"}
        assert "olivia" not in str(entry).lower()
        assert "nobody" not in str(entry)


def test_a_failure_stays_in_the_log_when_the_request_fails_afterwards(
    client: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the page cannot be drawn")

    monkeypatch.setattr("allauth.account.views.LoginView.form_invalid", break_)
    assert sign_in(client, "olivia", WRONG).status_code == 500
    assert len(entries("core:user:sign_in_failed")) == 1


def test_ten_wrong_passwords_lock_the_account_for_a_quarter_of_an_hour(client: Client, cast: Cast) -> None:
    for number in range(10):
        response = sign_in(Client(HTTP_USER_AGENT=f"browser {number}"), "oLivia" if number % 2 else "olivia", WRONG)
    assert response.status_code == 429
    assert "locked for 15 minutes" in response.content.decode()
    response = sign_in(client, "olivia")
    assert response.status_code == 429
    assert not is_in(client)
    assert entries("core:user:sign_in_failed")[-1]["reason"] == "locked"
    assert sign_in(Client(), "oscar").status_code == 302, "others are not locked"
    # The log refuses entries of another time, so the failures move instead of the clock.
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    sign_in(client, "olivia")
    assert is_in(client)


def test_what_axes_keeps_names_nobody(client: Client, cast: Cast) -> None:
    sign_in(client, "olivia", WRONG)
    sign_in(client, "my secret typed in the wrong field", WRONG)
    kept = str(list(AccessAttempt.objects.values()))
    assert "olivia" not in kept
    assert "secret" not in kept
    assert WRONG not in kept
    assert AccessAttempt.objects.count() == 2
    assert AccessLog.objects.count() == 0


def test_many_failures_from_one_address_are_slowed_down(cast: Cast) -> None:
    answers = [sign_in(Client(), f"guess-{number}", WRONG) for number in range(31)]
    assert "too many failed attempts" in answers[-1].content.decode()
    assert len(entries("core:user:sign_in_failed")) == 30


def test_nobody_signs_in_while_the_log_cannot_be_written(
    client: Client, cast: Cast, as_superuser: psycopg.Connection
) -> None:
    as_superuser.execute("INSERT INTO logwork.frozen (reason) VALUES ('test')")
    response = sign_in(client, "olivia")
    assert response.status_code == 503
    assert "Try again in a minute" in response.content.decode()
    assert "_auth_user_id" not in client.session
    assert sign_in(client, "olivia", WRONG).status_code == 503


def test_a_deactivated_person_is_out_with_the_next_request(client: Client, cast: Cast) -> None:
    sign_in(client, "olivia")
    people.deactivate(by=cast.ada, user=cast.olivia)
    assert client.get(reverse("home")).status_code == 302
    assert sign_in(client, "olivia").status_code == 200
    assert not is_in(client)


def test_an_account_that_is_closed_by_hand_does_not_get_in_either(client: Client, cast: Cast) -> None:
    User.objects.filter(pk=cast.olivia.pk).update(is_active=False)
    response = sign_in(client, "olivia")
    assert "Username or password is wrong" in response.content.decode()
    assert entries("core:user:sign_in_failed")[-1]["reason"] == "closed"
    assert entries("core:user:signed_in") == []


def test_a_new_password_is_recorded_and_ends_every_session(client: Client, cast: Cast) -> None:
    other = Client()
    sign_in(client, "olivia")
    sign_in(other, "olivia")
    change = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert client.post(reverse("account_change_password"), change).status_code == 302
    assert not is_in(client)
    assert not is_in(other)
    entry = entries("core:user:credential_changed")[-1]
    assert (entry["user"], entry["kind"]) == (str(cast.olivia.id), "password")
    sign_in(client, "olivia", NEW)
    assert is_in(client)


@pytest.mark.parametrize("password", ["short", "123456789012", "password1234", "Olivia Orr 12"])
def test_a_weak_new_password_is_refused(client: Client, cast: Cast, password: str) -> None:
    sign_in(client, "olivia")
    change = {"oldpassword": PASSWORD, "password1": password, "password2": password}
    assert client.post(reverse("account_change_password"), change).status_code == 200
    assert User.objects.get(pk=cast.olivia.pk).check_password(PASSWORD)
    assert entries("core:user:credential_changed") == []


def test_the_old_password_is_asked_for_and_a_wrong_one_changes_nothing(client: Client, cast: Cast) -> None:
    sign_in(client, "olivia")
    change = {"oldpassword": WRONG, "password1": NEW, "password2": NEW}
    response = client.post(reverse("account_change_password"), change)
    assert "The password is wrong. Type your current password." in response.content.decode()
    assert User.objects.get(pk=cast.olivia.pk).check_password(PASSWORD)


def test_a_first_password_opens_only_the_page_to_change_it(client: Client, cast: Cast) -> None:
    first = people.reset_sign_in(by=cast.ada, user=cast.olivia)
    sign_in(client, "olivia", first)
    for name in ("home", "my_account", "mfa_index", "token_add"):
        response = client.get(reverse(name))
        assert (response.status_code, response["Location"]) == (302, reverse("account_change_password"))
    change = {"oldpassword": first, "password1": NEW, "password2": NEW}
    client.post(reverse("account_change_password"), change)
    sign_in(client, "olivia", NEW)
    assert is_in(client)


def test_sign_up_mail_and_reset_have_no_address(client: Client) -> None:
    names = ("account_signup", "account_email", "account_reset_password", "account_set_password", "mfa_login_webauthn")
    for name in names:
        with pytest.raises(NoReverseMatch):
            reverse(name)
    for path in ("signup/", "email/", "password/reset/", "password/set/", "confirm-email/", "login/code/"):
        assert client.get(f"/account/{path}").status_code == 404


def test_after_signing_in_one_goes_only_to_our_own_pages(client: Client, cast: Cast) -> None:
    assert sign_in(client, "olivia", next="https://evil.example/")["Location"] == "/"
    client.post(reverse("account_logout"))
    assert sign_in(client, "olivia", next=reverse("my_account"))["Location"] == reverse("my_account")


def test_a_form_without_its_token_is_refused_with_a_sentence(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    response = sign_in(client, "olivia")
    assert response.status_code == 403
    assert "out of date" in response.content.decode()


# One-time codes


def code(secret: str) -> str:
    """The code that an authenticator app shows now."""
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value(secret, counter)))


def confirm(client: Client, password: str = PASSWORD) -> None:
    assert client.post(reverse("account_reauthenticate"), {"password": password}).status_code == 302


@pytest.fixture
def secret(client: Client, cast: Cast) -> str:
    """Olivia, signed in, has set one-time codes up; the secret in her app."""
    sign_in(client, "olivia")
    confirm(client)
    page = client.get(reverse("mfa_activate_totp"))
    assert page.status_code == 200
    text = str(page.context["form"].secret)
    assert client.post(reverse("mfa_activate_totp"), {"code": code(text)}).status_code == 302
    return text


def test_setting_codes_up_is_recorded_with_the_recovery_codes_that_come_along(secret: str, cast: Cast) -> None:
    assert [entry["kind"] for entry in entries("core:user:credential_changed")] == ["recovery_codes", "totp"]
    assert {entry["user"] for entry in entries("core:user:credential_changed")} == {str(cast.olivia.id)}


def test_secrets_of_codes_do_not_lie_in_the_database(secret: str, cast: Cast) -> None:
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored


def test_the_password_alone_is_then_not_enough(secret: str, cast: Cast) -> None:
    client = Client()
    response = sign_in(client, "olivia")
    assert response["Location"] == reverse("mfa_authenticate")
    assert not is_in(client)
    assert len(entries("core:user:signed_in")) == 1, "the one of setting up"
    answer = client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert "The code is wrong or has expired" in answer.content.decode()
    failed = entries("core:user:sign_in_failed")[-1]
    assert (failed["reason"], failed["user"]) == ("code", str(cast.olivia.id))
    cache.clear()  # the code that set codes up counts as used until the next half minute
    client.post(reverse("mfa_authenticate"), {"code": code(secret)})
    assert is_in(client)
    assert len(entries("core:user:signed_in")) == 2


def test_a_person_deactivated_between_the_two_steps_stays_out(secret: str, cast: Cast) -> None:
    client = Client()
    sign_in(client, "olivia")
    User.objects.filter(pk=cast.olivia.pk).update(is_active=False)
    cache.clear()
    assert client.post(reverse("mfa_authenticate"), {"code": code(secret)}).status_code == 403
    assert len(entries("core:user:signed_in")) == 1


def test_removing_codes_is_recorded_and_reset_forgets_them(secret: str, client: Client, cast: Cast) -> None:
    assert client.post(reverse("mfa_deactivate_totp")).status_code == 302
    assert Authenticator.objects.count() == 0
    assert entries("core:user:credential_changed")[-1]["kind"] == "totp"
    Authenticator.objects.create(user=cast.olivia, type="totp", data={"secret": generate_totp_secret()})
    people.reset_sign_in(by=cast.ada, user=cast.olivia)
    assert Authenticator.objects.count() == 0


def test_codes_are_not_set_up_when_the_log_cannot_be_written(
    client: Client, cast: Cast, as_superuser: psycopg.Connection
) -> None:
    sign_in(client, "olivia")
    confirm(client)
    text = str(client.get(reverse("mfa_activate_totp")).context["form"].secret)
    as_superuser.execute("INSERT INTO logwork.frozen (reason) VALUES ('test')")
    assert client.post(reverse("mfa_activate_totp"), {"code": code(text)}).status_code >= 500
    assert Authenticator.objects.count() == 0


def test_new_recovery_codes_are_recorded_and_readable_after_confirmation(secret: str, client: Client) -> None:
    page = client.get(reverse("mfa_view_recovery_codes"))
    assert len(page.context["unused_codes"]) == 10
    assert client.get(reverse("mfa_download_recovery_codes")).status_code == 200
    client.post(reverse("mfa_generate_recovery_codes"))
    assert entries("core:user:credential_changed")[-1]["kind"] == "recovery_codes"
    fresh = client.get(reverse("mfa_view_recovery_codes")).context["unused_codes"]
    other = Client()
    sign_in(other, "olivia")
    other.post(reverse("mfa_authenticate"), {"code": fresh[0]})
    assert is_in(other)


@pytest.mark.parametrize("name", ["mfa_add_webauthn", "mfa_list_webauthn", "mfa_index"])
def test_pages_of_passkeys_answer_after_confirmation(client: Client, cast: Cast, name: str) -> None:
    sign_in(client, "olivia")
    confirm(client)
    assert client.get(reverse(name)).status_code == 200
