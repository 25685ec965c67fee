"""Court links: the page on which they are made and revoked, and what is behind one, for whoever has it.

What is behind a link needs no account. Each visit and each download is an entry, committed before the answer leaves.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.log import verifier_keys
from audit.oversight import court_links as service
from audit.oversight import evidence, verifier_file
from audit.permissions import can_revoke_court_link, check_can_make_court_link
from audit.views.files import ENTRY_TYPE, PROGRAM_TYPE, RECEIPT_TYPE, file, streamed
from audit.views.forms import CourtLinkForm
from core import access, limits
from core.exceptions import Invalid, NotFound, TooMany
from core.views.requests import person
from search import selectors

_MAKERS = access.roles("officer", "supervisor", "board")
_A_MINUTE: Final = 60  # uses from one address

View = Callable[..., HttpResponseBase]


@_MAKERS
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def court_links(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The links of one search, and a new one, which is shown once, on the page that answers."""
    by = person(request)
    found = selectors.request(by, search_id)
    check_can_make_court_link(by, found)
    form = CourtLinkForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            link, secret = service.make(by=by, request=found, **form.cleaned_data)
        except Invalid as error:
            form.refuse(error)
        else:
            address = request.build_absolute_uri(reverse("court_receipts", args=[secret]))
            context = {"search": found, "link": link, "address": address}
            return render(request, "audit/court_link_made.html", context, status=201)
    context = {
        "search": found,
        "form": form,
        "links": [_link(by, link) for link in service.links(found)],
        "ready": bool(service.receipts(found.pk)),
    }
    return render(request, "audit/court_links.html", context, status=422 if form.is_bound else 200)


@_MAKERS
@require_POST
def link_revoke(request: HttpRequest, search_id: uuid.UUID, link_id: uuid.UUID) -> HttpResponse:
    """End a link at once."""
    by = person(request)
    link = service.links(selectors.request(by, search_id)).filter(pk=link_id).first()
    if link is None:
        raise NotFound("There is no such link.")
    service.revoke(by=by, link=link)
    messages.success(request, "The link is revoked. Whoever has it sees nothing any more.")
    return redirect("court_links", search_id)


def _behind_the_link(view: View) -> View:
    """Open to everybody, within limits, seen by no cache and by no other site that is gone to from there."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        where = get_adapter(request).get_client_ip(request)
        if not limits.within("court", str(where), most=_A_MINUTE, seconds=60):
            raise TooMany("There were too many visits from your address. Wait a minute, then try again.")
        response = view(request, *args, **kwargs)
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return access.public(never_cache(require_safe(inner)))


@_behind_the_link
def receipts(request: HttpRequest, secret: str) -> HttpResponse:
    """What the receipts prove, in plain words, with everything to check it elsewhere."""
    link, found = service.use(secret, "page")
    context = {
        "link": link,
        "secret": secret,
        "found": found,
        "keys": [(str(key), evidence.fingerprint(key)) for key in verifier_keys.published()],
        "verifier_name": verifier_file.NAME,
        "verifier_digest": verifier_file.digest(),
    }
    return render(request, "audit/court.html", context)


@_behind_the_link
def receipts_zip(request: HttpRequest, secret: str) -> HttpResponseBase:
    """Everything in one file."""
    _, found = service.use(secret, "all")
    return streamed(service.archive(found), "receipts.zip")


@_behind_the_link
def receipt(request: HttpRequest, secret: str, kind: str) -> HttpResponse:
    """One receipt."""
    _, (found,) = service.use(secret, "receipt", kind)
    return file(found.receipt.encode(), RECEIPT_TYPE, f"{kind}.tlog-proof")


@_behind_the_link
def entry(request: HttpRequest, secret: str, kind: str) -> HttpResponse:
    """The entry that a receipt proves, byte for byte."""
    _, (found,) = service.use(secret, "entry", kind)
    return file(found.entry.body, ENTRY_TYPE, f"{kind}.entry.json")


@_behind_the_link
def verifier(request: HttpRequest, secret: str) -> HttpResponse:
    """The program that checks receipts, as one file."""
    service.use(secret, "verifier")
    return file(verifier_file.build(), PROGRAM_TYPE, verifier_file.NAME)


def _link(by: Any, link: Any) -> dict[str, Any]:
    ended = link.revoked_at is not None or link.expires_at <= timezone.now()
    return {
        "link": link,
        "recipient": service.RECIPIENTS.get(link.recipient, link.recipient),
        "live": not ended,
        "may_revoke": not ended and can_revoke_court_link(by, link),
    }
