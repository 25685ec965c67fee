"""The log browser: entries newest first, one entry with its proof, what it seals, the state of the log, how to check it.

Each page that shows entries is itself an entry, committed before the answer leaves: without it nothing is shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from audit.log import events, journal, verifier_keys
from audit.oversight import entries, evidence, exports, health, opened, selections, verifier_file
from audit.oversight.entries import LogEntry
from audit.oversight.sentences import Names, sentence, value, when, who
from audit.permissions import can_open_sealed
from audit.views.files import ENTRY_TYPE, PROGRAM_TYPE, RECEIPT_TYPE, file, streamed
from audit.views.forms import FilterForm
from core import access, shards
from core.exceptions import NotFound
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from core.views.requests import person

_LONGEST_INDEX = 19  # digits


@access.having(Permission.READ_LOG)
@require_safe
@never_cache
def entry_list(request: HttpRequest) -> HttpResponse:
    """One page of entries that fit the filter."""
    by = person(request)
    form = FilterForm(request.GET, by=by)
    if not form.is_valid():
        context = {"form": form, "health": health.state(), "filtered": True}
        return render(request, "audit/entries.html", context, status=422)
    before = request.GET.get("before", "")
    found = entries.page(form.chosen(), before=int(before) if _is_index(before) else None)
    entries.record_view(by, found.entries)
    names = entries.names(by, found.entries)
    context = {
        "form": form,
        "health": health.state(),
        "rows": [_row(entry, names) for entry in found.entries],
        "filtered": any(form.cleaned_data.values()),
        "older": None if found.before is None else _query(request.GET, found.before),
        "newest": _query(request.GET, None) if before else None,
        "chosen": [(name, text) for name, text in request.GET.items() if text and name in form.fields],
        "most": selections.MOST,
        "may_open": can_open_sealed(by),
    }
    return render(request, "audit/entries.html", context)


@access.having(Permission.READ_LOG)
@require_POST
@never_cache
def selection(request: HttpRequest) -> HttpResponseBase:
    """The entries that fit the filter as a file, each with its proof."""
    by = person(request)
    form = FilterForm(request.POST, by=by)
    if not form.is_valid():
        context = {"form": form, "health": health.state(), "filtered": True}
        return render(request, "audit/entries.html", context, status=422)
    made, pieces = selections.export(by=by, which=form.chosen())
    return streamed(pieces, f"glasscase-selection-{str(made)[:8]}.zip")


@access.having(Permission.READ_LOG)
@require_POST
@never_cache
def whole_log(request: HttpRequest) -> HttpResponseBase:
    """The whole signed log as a file, with the program that checks it."""
    return streamed(exports.download(by=person(request)), "glasscase-log.zip")


@access.having(Permission.READ_LOG)
@require_safe
@never_cache
def entry_page(request: HttpRequest, entry_id: uuid.UUID) -> HttpResponse:
    """One entry: its sentence, its fields, its commitments, its proof."""
    by = person(request)
    entry = entries.one(entry_id)
    entries.record_view(by, [entry], about=entry.fields.get("request"))
    return render(request, "audit/entry.html", _entry(by, entry))


@access.having(Permission.SAMPLE_SEARCHES)
@require_POST
@never_cache
def entry_open(request: HttpRequest, entry_id: uuid.UUID) -> HttpResponse:
    """The same page with what the entry seals, after the reading has its place in the log."""
    by = person(request)
    entry = entries.one(entry_id)
    view, values = opened.open_sealed(by, entry)
    return render(request, "audit/entry.html", {**_entry(by, entry), "opened": values, "view": view})


@access.having(Permission.SAMPLE_SEARCHES)
@require_POST
@never_cache
def opening_file(request: HttpRequest, entry_id: uuid.UUID, field: str) -> HttpResponse:
    """One opened value with its salt as a file, for `glasscase-verify --opening`."""
    by = person(request)
    _, values = opened.open_sealed(by, entries.one(entry_id))
    for one in values:
        if one.field == field and one.opening is not None:
            return file(one.opening.encode(), ENTRY_TYPE, f"{entry_id}.{field}.opening.json")
    raise NotFound("There is no such value to open: it is erased, or it was never kept in the vault.")


@access.having(Permission.READ_LOG)
@require_safe
@never_cache
def entry_file(request: HttpRequest, entry_id: uuid.UUID) -> HttpResponse:
    """The entry byte for byte."""
    entry = entries.one(entry_id)
    entries.record_view(person(request), [entry])
    return file(entry.body, ENTRY_TYPE, f"{entry_id}.entry.json")


@access.having(Permission.READ_LOG)
@require_safe
@never_cache
def receipt_file(request: HttpRequest, entry_id: uuid.UUID) -> HttpResponse:
    """The entry's receipt under the last checkpoint."""
    by = person(request)
    entry = entries.one(entry_id)
    found = evidence.of(entry)
    if found.receipt is None:
        raise NotFound(found.problem)
    if "request" in entry.fields:
        journal.record_now(
            "search:receipt:downloaded",
            request=entry.fields["request"],
            entry=entry.id,
            **signature(by, Permission.READ_LOG),
        )
    else:
        entries.record_view(by, [entry])
    return file(found.receipt.encode(), RECEIPT_TYPE, f"{entry_id}.tlog-proof")


@access.everyone_signed_in
@require_safe
@never_cache
def health_page(request: HttpRequest) -> HttpResponse:
    """Whether the log is healthy, and if not, what to do."""
    others = [(shard.name, health.of_shard(shard)) for shard in shards.configured().values()]
    return render(request, "audit/health.html", {"health": health.state(), "shards": others})


@access.everyone_signed_in
@require_safe
def check_page(request: HttpRequest) -> HttpResponse:
    """How to check the log without the people who run it."""
    try:
        keys = [(str(key), evidence.fingerprint(key)) for key in verifier_keys.published()]
    except verifier_keys.NoVerifierKey:
        keys = []
    context = {
        "keys": keys,
        "origin": settings.GLASSCASE_LOG_ORIGIN,
        "address": request.build_absolute_uri("/log"),
        "open": settings.GLASSCASE_LOG_OPEN,
        "verifier_digest": verifier_file.digest(),
        "verifier_name": verifier_file.NAME,
    }
    return render(request, "audit/check.html", context)


@access.everyone_signed_in
@require_safe
def verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks the log, as one file."""
    return file(verifier_file.build(), PROGRAM_TYPE, verifier_file.NAME)


def _row(entry: LogEntry, names: Names) -> dict[str, Any]:
    return {
        "entry": entry,
        "when": when(entry.fields["at"]),
        "sentence": sentence(entry.fields, names),
        "who": who(entry.fields, names),
    }


def _entry(by: User, entry: LogEntry) -> dict[str, Any]:
    life = entries.life(uuid.UUID(entry.fields["request"])) if "request" in entry.fields else []
    names = entries.names(by, [entry, *life])
    event = events.REGISTRY[entry.type]
    shown = [name for name in entry.fields if name not in ("c", "v")]
    proof = evidence.of(entry)
    return {
        **_row(entry, names),
        "event": event,
        "fields": [(name, _raw(entry.fields[name]), value(name, entry.fields[name], names)) for name in shown],
        "body": entry.body.decode("ascii"),
        "leaf": entry.leaf.hex(),
        "evidence": proof,
        "life": [_row(one, names) for one in life],
        "may_open": can_open_sealed(by),
        "health": health.state(),
    }


def _raw(content: Any) -> str:
    if isinstance(content, bool):
        return "true" if content else "false"  # as the entry has it
    return ", ".join(map(str, content)) if isinstance(content, list) else str(content)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _LONGEST_INDEX


def _query(given: Mapping[str, Any], before: int | None) -> str:
    """The query string of the same filter, from the newest entry on or from below an index."""
    query = QueryDict(mutable=True)
    query.update({name: text for name, text in given.items() if text and name != "before"})
    if before is not None:
        query["before"] = str(before)
    return f"?{query.urlencode()}"
