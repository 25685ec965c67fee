"""The pages of people and accounts: what is typed reaches the services, and what they refuse reaches the reader."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from core import people
from core.models import User
from core.person_roles import ROLES
from tests.core.log_entries import entries
from tests.people import Cast

NEW = {
    "username": "Nina",
    "full_name": "Nina Noor",
    "agency": "riverton-pd",
    "badge_number": "77",
    "roles": ["officer"],
    "training_until": "2027-05-31",
}


@pytest.fixture
def as_person(cast: Cast) -> Callable[[User], Client]:
    """`as_person(cast.ada)`: a browser in which that person is signed in."""
    cache.clear()

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


def test_a_person_is_added_and_the_first_password_is_shown_once(
    as_person: Callable[[User], Client], cast: Cast
) -> None:
    response = as_person(cast.ada).post(reverse("person_add"), NEW)
    assert response.status_code == 201
    assert "no-store" in response["Cache-Control"]
    nina = people.named("nina")
    assert response.context["password"] in response.content.decode()
    assert nina.check_password(response.context["password"])
    assert (nina.agency, nina.roles, nina.must_change_password) == (cast.agency, ["officer"], True)


def test_what_is_wrong_stands_beside_its_field(as_person: Callable[[User], Client], cast: Cast) -> None:
    ada = as_person(cast.ada)
    for changes, field, sentence in (
        ({"username": "olivia"}, "username", "is taken"),
        ({"roles": ["officer", "administrator"]}, "roles", "cannot be combined"),
        ({"training_until": "soon"}, "training_until", "valid date"),
        ({"agency": "lakeside-so"}, "agency", "Select a valid choice"),
    ):
        response = ada.post(reverse("person_add"), NEW | changes)
        assert response.status_code == 422
        assert sentence in " ".join(response.context["form"].errors[field])
        assert sentence in response.content.decode()
    assert not User.objects.filter(full_name="Nina Noor").exists()


def test_roles_and_training_are_changed_on_the_persons_page(as_person: Callable[[User], Client], cast: Cast) -> None:
    ada = as_person(cast.ada)
    page = reverse("person", args=[cast.olivia.pk])
    assert ada.post(reverse("person_roles", args=[cast.olivia.pk]), {"roles": ["examiner"]})["Location"] == page
    assert (
        ada.post(reverse("person_training", args=[cast.olivia.pk]), {"training_until": "2027-05-31"})["Location"]
        == page
    )
    olivia = User.objects.get(pk=cast.olivia.pk)
    assert (olivia.roles, str(olivia.training_until)) == (["examiner"], "2027-05-31")
    refused = ada.post(reverse("person_roles", args=[cast.olivia.pk]), {"roles": ["board"]})
    assert refused.status_code == 403, "a role of oversight is not the agency's to give"
    clash = ada.post(reverse("person_roles", args=[cast.olivia.pk]), {"roles": ["officer", "administrator"]})
    assert clash.status_code == 422
    assert "cannot be combined" in clash.content.decode()
    assert len(entries("core:user:roles_changed")) == 1


def test_one_cannot_change_oneself_and_is_told_why(as_person: Callable[[User], Client], cast: Cast) -> None:
    ada = as_person(cast.ada)
    for name in ("person_roles", "person_training", "person_reset", "person_deactivate"):
        response = ada.post(reverse(name, args=[cast.ada.pk]), {"roles": ["officer"], "training_until": "2027-05-31"})
        assert response.status_code == 403
        assert "Ask another administrator" in response.content.decode()
    assert User.objects.get(pk=cast.ada.pk).roles == ["administrator"]


def test_the_list_shows_the_agencys_people_and_nobody_else(as_person: Callable[[User], Client], cast: Cast) -> None:
    page = as_person(cast.ada).get(reverse("people")).content.decode()
    for seen in (cast.olivia, cast.sam, cast.erin):
        assert str(seen) in page
    for hidden in (cast.xavier, cast.bea, cast.axel):
        assert str(hidden) not in page


def test_a_closed_account_with_an_approval_secret_says_what_is_left_to_do(
    as_person: Callable[[User], Client], cast: Cast
) -> None:
    ada = as_person(cast.ada)
    ada.post(reverse("person_deactivate", args=[cast.sam.pk]))
    page = ada.get(reverse("person", args=[cast.sam.pk])).content.decode()
    assert "manage.py revoke_approver sam" in page
    assert ada.post(reverse("person_deactivate", args=[cast.sam.pk])).status_code == 409


def test_the_start_page_leads_everybody_only_to_what_is_open_to_them(
    as_person: Callable[[User], Client], cast: Cast
) -> None:
    for code, user in cast.by_role.items():
        client = as_person(user)
        page = client.get(reverse("home"))
        assert page.status_code == 200
        links = [link.url for link in page.context["navigation"]()]
        assert (reverse("people") in links) is (code == "administrator")
        assert reverse("my_account") in links
        for url in links:
            assert client.get(url).status_code == 200, (code, url)
        assert ROLES[code].label in page.content.decode()


def test_my_account_shows_the_state_of_the_approval_secret(as_person: Callable[[User], Client], cast: Cast) -> None:
    assert "Enrolled" in as_person(cast.sam).get(reverse("my_account")).content.decode()
    assert "Approval secret" not in as_person(cast.olivia).get(reverse("my_account")).content.decode()
