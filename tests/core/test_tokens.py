"""API tokens: issued once, kept as a digest, void in time; and what the API answers to people without the right role."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path, reverse
from django.utils import timezone
from rest_framework.decorators import api_view
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from core import access, people, tokens, urls
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.models import ApiToken
from tests.core.log_entries import entries
from tests.people import PASSWORD, Cast


@pytest.fixture(autouse=True)
def _no_limits_left_over() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def test_a_token_is_kept_as_a_digest_and_its_making_is_recorded(cast: Cast) -> None:
    token, text = tokens.issue(by=cast.olivia, name=" report script ", days=30)
    stored = ApiToken.objects.get()
    assert text.startswith("gct_")
    assert stored.digest == hashlib.sha256(text.encode()).hexdigest()
    assert text not in str(ApiToken.objects.values())
    assert stored.name == "report script"
    assert timedelta(days=29) < stored.expires_at - timezone.now() <= timedelta(days=30)
    entry = entries("core:token:issued")[-1]
    assert (entry["user"], entry["token"]) == (str(cast.olivia.id), str(token.id))
    assert tokens.find(text) == token


@pytest.mark.parametrize(
    ("name", "days", "field"), [("", 1, "name"), ("x" * 81, 1, "name"), ("x", 0, "days"), ("x", 366, "days")]
)
def test_a_token_needs_a_name_and_an_end(cast: Cast, name: str, days: int, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        tokens.issue(by=cast.olivia, name=name, days=days)
    assert refused.value.field_errors.keys() == {field}
    assert ApiToken.objects.count() == 0


def test_a_closed_account_gets_no_token_and_nobody_gets_too_many(cast: Cast) -> None:
    people.deactivate(by=None, user=cast.oscar)
    with pytest.raises(NotAllowed):
        tokens.issue(by=cast.oscar, name="late")
    for number in range(tokens.MOST_LIVE):
        tokens.issue(by=cast.olivia, name=str(number))
    with pytest.raises(Conflict, match="Revoke one"):
        tokens.issue(by=cast.olivia, name="one more")


def test_a_revoked_or_expired_token_is_void_and_its_use_is_a_failed_sign_in(cast: Cast) -> None:
    first, revoked = tokens.issue(by=cast.olivia, name="a")
    second, expired = tokens.issue(by=cast.olivia, name="b")
    tokens.revoke(by=cast.olivia, token=first)
    ApiToken.objects.filter(pk=second.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert tokens.find(revoked) is None
    assert tokens.find(expired) is None
    assert [(entry["reason"], entry["user"]) for entry in entries("core:user:sign_in_failed")] == [
        ("token", str(cast.olivia.id))
    ] * 2
    assert list(tokens.live(cast.olivia)) == []


@pytest.mark.parametrize("text", ["", "gct_", "gct_" + "A" * 43, "x" * 5000, "gct_" + "ä" * 43])
def test_a_made_up_token_finds_nobody_and_leaves_no_entry(cast: Cast, text: str) -> None:
    assert tokens.find(text) is None
    assert entries("core:user:sign_in_failed") == []


def test_a_token_is_revoked_once_by_its_owner_or_the_agencys_administrator(cast: Cast) -> None:
    token, _ = tokens.issue(by=cast.olivia, name="a")
    for stranger in (cast.oscar, cast.sam, cast.bea):
        with pytest.raises(NotFound):
            tokens.revoke(by=stranger, token=token)
    assert entries("core:token:revoked") == []
    tokens.revoke(by=cast.ada, token=token)
    assert entries("core:token:revoked")[-1]["actor"] == str(cast.ada.id)
    with pytest.raises(Conflict):
        tokens.revoke(by=cast.olivia, token=token)


def test_the_last_use_of_a_token_is_noted(cast: Cast) -> None:
    token, text = tokens.issue(by=cast.olivia, name="a")
    assert token.last_used_at is None
    tokens.find(text)
    assert ApiToken.objects.get().last_used_at is not None


# The pages


def test_the_page_asks_for_the_password_again_and_shows_the_token_once(cast: Cast) -> None:
    client = Client()
    client.post(reverse("account_login"), {"login": "olivia", "password": PASSWORD})
    assert client.get(reverse("token_add")).status_code == 302
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert client.post(reverse("token_add"), {"name": "", "days": "7"}).status_code == 422
    response = client.post(reverse("token_add"), {"name": "laptop", "days": "7"})
    assert response.status_code == 201
    text = response.context["text"]
    assert text in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    page = client.get(reverse("my_account")).content.decode()
    assert "laptop" in page
    assert text not in page
    assert client.post(reverse("token_revoke", args=[ApiToken.objects.get().pk])).status_code == 302
    assert tokens.find(text) is None


# The API and the middleware, on addresses of the test's own


@access.roles("officer")
class Whole(APIView):
    def get(self, request: Request) -> Response:
        return Response({"who": request.user.username})

    @access.roles("supervisor")
    def post(self, request: Request) -> Response:
        return Response({"posted": True}, status=201)


class Forgotten(APIView):
    def get(self, request: Request) -> Response:
        return Response({"leaked": True})


@access.public
class Opened(APIView):
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response({"leaked": True})


class Several(ViewSet):
    @access.roles("board")
    def list(self, request: Request) -> Response:
        return Response([])

    @access.roles("administrator")
    def create(self, request: Request) -> Response:
        raise Invalid("Something is missing.", {"name": ["Write a name."]})


class HalfDeclared(ViewSet):
    @access.roles("board")
    def list(self, request: Request) -> Response:
        return Response([])

    def create(self, request: Request) -> Response:
        return Response({"leaked": True})


@access.everyone_signed_in
@api_view(["GET"])
def function(request: Request) -> Response:
    return Response({"who": request.user.username})


def undeclared(request: HttpRequest) -> HttpResponse:
    return HttpResponse("leaked")


@access.roles("officer")
def officers(request: HttpRequest) -> HttpResponse:
    raise NotFound("There is no such case.")


@pytest.fixture
def addresses(database: Any, settings: Any) -> None:
    module: Any = ModuleType("test_addresses")
    several: dict[str, Any] = {"get": "list", "post": "create"}
    module.urlpatterns = [
        path("api/whole/", Whole.as_view()),
        path("api/forgotten/", Forgotten.as_view()),
        path("api/opened/", Opened.as_view()),
        path("api/several/", Several.as_view(several)),
        path("api/half/", HalfDeclared.as_view(several)),
        path("api/function/", function),
        path("undeclared/", undeclared),
        path("officers/", officers),
        path("", include("core.urls")),
    ]
    module.handler404 = urls.handler404
    settings.ROOT_URLCONF = module


def call(method: str, url: str, text: str | None = None, scheme: str = "Bearer") -> Any:
    headers = {"Authorization": f"{scheme} {text}"} if text else {}
    return Client(headers=headers, raise_request_exception=False).generic(method, url)


def token_of(user: Any) -> str:
    return tokens.issue(by=user, name="test")[1]


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer"])
def test_a_token_signs_in_in_either_spelling(addresses: None, cast: Cast, scheme: str) -> None:
    text = token_of(cast.olivia)
    assert call("GET", "/api/whole/", text, scheme).json() == {"who": "olivia"}
    assert call("GET", "/api/function/", text, scheme).json() == {"who": "olivia"}


def test_the_api_answers_401_without_and_403_with_the_wrong_role(addresses: None, cast: Cast) -> None:
    nobody = call("GET", "/api/whole/")
    assert nobody.status_code == 401
    assert nobody["WWW-Authenticate"].startswith("Bearer")
    assert nobody.json()["code"] == "not_signed_in"
    made_up = call("GET", "/api/whole/", "gct_" + "A" * 43)
    assert made_up.status_code == 401
    assert "Make a new one" in made_up.json()["sentence"]
    wrong = call("GET", "/api/whole/", token_of(cast.sam))
    assert (wrong.status_code, wrong.json()["code"]) == (403, "not_allowed")


def test_a_handlers_own_declaration_goes_before_the_views(addresses: None, cast: Cast) -> None:
    assert call("POST", "/api/whole/", token_of(cast.sam)).status_code == 201
    assert call("POST", "/api/whole/", token_of(cast.olivia)).status_code == 403
    assert call("GET", "/api/several/", token_of(cast.bea)).status_code == 200
    assert call("GET", "/api/several/", token_of(cast.ada)).status_code == 403
    assert call("POST", "/api/several/", token_of(cast.bea)).status_code == 403
    assert call("DELETE", "/api/several/", token_of(cast.bea)).status_code == 405
    assert call("DELETE", "/api/several/", token_of(cast.sam)).status_code == 403


def test_a_services_refusal_is_one_shape_with_the_fields(addresses: None, cast: Cast) -> None:
    refused = call("POST", "/api/several/", token_of(cast.ada))
    assert refused.status_code == 422
    assert refused.json()["sentence"] == "Something is missing."
    assert refused.json()["fields"] == {"name": ["Write a name."]}


@pytest.mark.parametrize("url", ["/api/forgotten/", "/api/opened/", "/api/half/", "/undeclared/"])
def test_what_declares_nothing_is_closed_to_everybody(addresses: None, cast: Cast, url: str) -> None:
    for method in ("GET", "POST"):
        assert call(method, url).status_code == 403
    for user in cast.by_role.values():
        client = Client()
        client.force_login(user)
        response = client.get(url)
        assert response.status_code == 403
        assert "leaked" not in response.content.decode()


def test_a_page_sends_strangers_to_sign_in_and_explains_refusals(addresses: None, cast: Cast) -> None:
    client = Client()
    assert client.get("/officers/?a=1")["Location"] == "/account/login/?next=/officers/%3Fa%3D1"
    assert client.post("/officers/")["Location"] == "/account/login/?next=/"
    assert client.get("/officers/", headers={"HX-Request": "true"})["HX-Redirect"] == "/account/login/"
    client.force_login(cast.sam)
    assert client.get("/officers/").status_code == 403
    client.force_login(cast.olivia)
    response = client.get("/officers/")
    assert response.status_code == 404
    assert "There is no such case." in response.content.decode()


def test_a_token_opens_no_page(addresses: None, cast: Cast) -> None:
    assert call("GET", "/people/", token_of(cast.ada)).status_code == 302


def test_a_token_is_void_while_a_first_password_waits_to_be_changed(addresses: None, cast: Cast) -> None:
    text = token_of(cast.olivia)
    type(cast.olivia).objects.filter(pk=cast.olivia.pk).update(must_change_password=True)
    assert call("GET", "/api/whole/", text).status_code == 401


def test_an_unknown_address_below_api_answers_in_the_apis_shape(addresses: None) -> None:
    response = call("GET", "/api/nothing/")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_role_that_does_not_exist_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="wizard"):
        access.roles("wizard")
    with pytest.raises(ValueError, match="no roles"):
        access.roles()
