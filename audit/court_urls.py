"""Addresses of court links: made and revoked below a search, used below /receipts/ without an account."""

from __future__ import annotations

from django.urls import path

from audit.views import court

urlpatterns = [
    path("searches/<uuid:search_id>/court-links/", court.court_links, name="court_links"),
    path("searches/<uuid:search_id>/court-links/<uuid:link_id>/revoke/", court.link_revoke, name="court_link_revoke"),
    path("receipts/<str:secret>/", court.receipts, name="court_receipts"),
    path("receipts/<str:secret>/receipts.zip", court.receipts_zip, name="court_receipts_zip"),
    path("receipts/<str:secret>/glasscase-verify.pyz", court.verifier, name="court_verifier"),
    path("receipts/<str:secret>/<slug:kind>.tlog-proof", court.receipt, name="court_receipt"),
    path("receipts/<str:secret>/<slug:kind>.entry.json", court.entry, name="court_entry"),
]
