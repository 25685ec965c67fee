"""Addresses of the product."""

from __future__ import annotations

from django.urls import include, path

from core.health import health

urlpatterns = [
    path("healthz", health, name="health"),
    path("account/", include("allauth.account.urls")),
    path("account/mfa/", include("allauth.mfa.urls")),
]
