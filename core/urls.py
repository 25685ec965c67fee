"""Addresses of the product."""

from __future__ import annotations

from django.urls import include, path

from core import access
from core.health import health
from core.views import account, home, people, registration

urlpatterns = [
    path("", home.home, name="home"),
    path("healthz", access.public(health), name="health"),
    path("account/", include("core.account_urls")),
    path("account/", account.my_account, name="my_account"),
    path("account/register/", registration.register, name="register"),
    path("account/tokens/add/", account.token_add, name="token_add"),
    path("account/tokens/<uuid:token_id>/revoke/", account.token_revoke, name="token_revoke"),
    path("api/v1/", include("core.api.urls")),
    path("log/", include("audit.urls")),
    path("", include("audit.report_urls")),
    path("", include("audit.court_urls")),
    path("evaluations/", include("audit.evaluation_urls")),
    path("", include("search.urls")),
    path("people/", people.people_list, name="people"),
    path("people/add/", people.person_add, name="person_add"),
    path("people/<uuid:person_id>/", people.person_detail, name="person"),
    path("people/<uuid:person_id>/roles/", people.person_roles, name="person_roles"),
    path("people/<uuid:person_id>/training/", people.person_training, name="person_training"),
    path("people/<uuid:person_id>/reset/", people.person_reset, name="person_reset"),
    path("people/<uuid:person_id>/deactivate/", people.person_deactivate, name="person_deactivate"),
]

handler400 = "core.views.errors.bad_request"
handler403 = "core.views.errors.not_allowed"
handler404 = "core.views.errors.not_found"
handler429 = "core.views.errors.too_many"
handler500 = "core.views.errors.failed"
