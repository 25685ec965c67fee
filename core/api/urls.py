"""Addresses below /api/v1/."""

from __future__ import annotations

from django.urls import include, path

from core.api import people, tokens
from core.api.schema import SchemaView

app_name = "api"
urlpatterns = [
    path("schema/", SchemaView.as_view(), name="schema"),
    path("me/", people.Me.as_view(), name="me"),
    path("roles/", people.Roles.as_view(), name="roles"),
    path("people/", people.People.as_view(), name="people"),
    path("people/<uuid:person_id>/", people.Person.as_view(), name="person"),
    path("people/<uuid:person_id>/roles/", people.PersonRoles.as_view(), name="person_roles"),
    path("people/<uuid:person_id>/training/", people.PersonTraining.as_view(), name="person_training"),
    path("people/<uuid:person_id>/reset/", people.PersonReset.as_view(), name="person_reset"),
    path("people/<uuid:person_id>/deactivate/", people.PersonDeactivate.as_view(), name="person_deactivate"),
    path("tokens/", tokens.Tokens.as_view(), name="tokens"),
    path("tokens/<uuid:token_id>/", tokens.Token.as_view(), name="token"),
    path("", include("search.api.urls")),
    path("", include("audit.api.urls")),
]
