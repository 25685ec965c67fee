"""/api/v1/log/: the state of the log, its entries with their receipts. The log itself is at /log/checkpoint and /log/tile/."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.log import absence, events
from audit.oversight import absences, entries, evidence, exports, health, opened, selections
from audit.views.files import ENTRY_TYPE, streamed
from core.access import SIGNED_IN, Access
from core.api.schema import operation
from core.api.views import Files, View, binary
from core.exceptions import NotFound
from core.person_roles import Permission

_READERS = Access.having(Permission.READ_LOG)
_LARGEST_INDEX = 2**63 - 1


class WitnessOut(serializers.Serializer):
    """One witness: its last cosignature, and whether it keeps up with what is signed."""

    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    at = serializers.DateTimeField(allow_null=True)
    keeps_up = serializers.BooleanField()


class HealthOut(serializers.Serializer):
    """Whether the log is healthy. `size` counts entries in the tree, `signed` those under the last checkpoint."""

    state = serializers.ChoiceField(choices=("good", "warn", "bad"))
    problems = serializers.ListField(child=serializers.CharField())
    size = serializers.IntegerField()
    signed = serializers.IntegerField(allow_null=True)
    signed_at = serializers.DateTimeField(allow_null=True)
    waiting = serializers.IntegerField()
    witnesses = WitnessOut(many=True, help_text="Those of the witness policy; none without one.")
    quorum_met = serializers.BooleanField(allow_null=True, help_text="Whether enough of them keep up.")
    cosigned_at = serializers.DateTimeField(allow_null=True)


class EntryOut(serializers.Serializer):
    """One entry: its number in the log and what it says."""

    index = serializers.IntegerField()
    id = serializers.UUIDField()
    type = serializers.CharField()
    at = serializers.DateTimeField()
    sentence = serializers.SerializerMethodField()
    body = serializers.DictField(source="fields", help_text="The entry itself.")
    leaf = serializers.SerializerMethodField(help_text="Its hash in the tree.")

    def get_sentence(self, entry: entries.LogEntry) -> str:
        return events.REGISTRY[entry.type].sentence

    def get_leaf(self, entry: entries.LogEntry) -> str:
        return entry.leaf.hex()


class EntriesChosen(serializers.Serializer):
    """Which entries. `type` may be the beginning of several, such as `search:request`."""

    type = serializers.CharField(required=False, allow_blank=True, max_length=80, default="")
    case = serializers.UUIDField(required=False)
    request = serializers.UUIDField(required=False, help_text="A search: its whole life.")
    person = serializers.UUIDField(required=False)
    first = serializers.IntegerField(required=False, min_value=0, max_value=_LARGEST_INDEX, help_text="Entry number.")
    last = serializers.IntegerField(required=False, min_value=0, max_value=_LARGEST_INDEX, help_text="Entry number.")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    without_readings = serializers.BooleanField(required=False, default=False)


class EntriesAsked(EntriesChosen):
    """Which entries to list."""

    before = serializers.IntegerField(
        required=False, min_value=0, max_value=_LARGEST_INDEX, help_text="The `before` of the page before."
    )


class EntriesOut(serializers.Serializer):
    """Entries, newest first; ask again with `before` for older ones, until it is null."""

    entries = EntryOut(many=True)
    before = serializers.IntegerField(allow_null=True)


class OpenedOut(serializers.Serializer):
    """One sealed value: `fits` where value and salt give the commitment, else why not."""

    field = serializers.CharField()
    commitment = serializers.CharField()
    state = serializers.ChoiceField(choices=("fits", "differs", "erased", "elsewhere"))
    opening = serializers.SerializerMethodField(help_text="For `glasscase-verify --opening`.")

    def get_opening(self, one: opened.Opened) -> str | None:
        return None if one.opening is None else one.opening.encode().decode()


class OpenedValuesOut(serializers.Serializer):
    """What an entry seals; the reading `view` is an entry itself."""

    view = serializers.UUIDField()
    values = OpenedOut(many=True)


class Health(View):
    """The state of the log."""

    access = SIGNED_IN

    @operation("read_log_health", "Whether the log is healthy.", gives=HealthOut)
    def get(self, request: Request) -> Response:
        return self.answer(HealthOut, health.state())


class Entries(View):
    """The entries of the log."""

    access = _READERS

    @operation(
        "list_entries",
        "Entries in the tree, newest first. The reading is in the log first.",
        query=EntriesAsked,
        gives=EntriesOut,
    )
    def get(self, request: Request) -> Response:
        given: dict[str, Any] = self.asked(EntriesAsked)
        before = given.pop("before", None)
        found = entries.page(entries.Filter(**given), before=before)
        entries.record_view(self.person, found.entries)
        return self.answer(EntriesOut, found)


class Selection(Files):
    """A selection of the log, to be checked elsewhere."""

    access = _READERS

    @operation(
        "export_selection",
        "The signed entries that fit, as CSV and JSON with their proofs, in a zip file. The export is in the log first.",
        takes=EntriesChosen,
        media_type="application/zip",
    )
    def post(self, request: Request) -> HttpResponseBase:
        made, pieces = selections.export(by=self.person, which=entries.Filter(**self.given(EntriesChosen)))
        return streamed(pieces, f"glasscase-selection-{str(made)[:8]}.zip")


class AbsenceAsked(serializers.Serializer):
    """A case number, and the entries among which its searches are looked for: all signed ones when left out."""

    number = serializers.CharField(max_length=absence.LONGEST_NUMBER)
    first = serializers.IntegerField(required=False, min_value=0, max_value=_LARGEST_INDEX, help_text="Entry number.")
    last = serializers.IntegerField(required=False, min_value=0, max_value=_LARGEST_INDEX, help_text="Entry number.")


class Absence(Files):
    """Which entries are for a case, and that no other is."""

    access = Access.having(Permission.SAMPLE_SEARCHES)

    @operation(
        "state_absence",
        "A statement for one case number, for `glasscase-verify --absence`. That it was made is in the log.",
        takes=AbsenceAsked,
        media_type="application/json",
    )
    def post(self, request: Request) -> HttpResponse:
        stated = absences.state(by=self.person, most=absences.MOST_AT_ONCE, **self.given(AbsenceAsked))
        return binary(stated.encode(), ENTRY_TYPE, absences.file_name(stated))


class WholeLog(Files):
    """The whole log, to be checked elsewhere."""

    access = _READERS

    @operation(
        "export_log",
        "The whole signed log as a zip file (C2SP tlog-tiles) with its verifier. The export is in the log first.",
        media_type="application/zip",
    )
    def post(self, request: Request) -> HttpResponseBase:
        return streamed(exports.download(by=self.person), "glasscase-log.zip")


class Entry(View):
    """One entry."""

    access = _READERS

    @operation("read_entry", "One entry.", gives=EntryOut)
    def get(self, request: Request, entry_id: uuid.UUID) -> Response:
        entry = entries.one(entry_id)
        entries.record_view(self.person, [entry])
        return self.answer(EntryOut, entry)


class EntryOpen(View):
    """What an entry seals."""

    access = Access.having(Permission.SAMPLE_SEARCHES)

    @operation("open_entry", "Opens what an entry seals; the reading is in the log first.", gives=OpenedValuesOut)
    def post(self, request: Request, entry_id: uuid.UUID) -> Response:
        view, values = opened.open_sealed(self.person, entries.one(entry_id))
        return self.answer(OpenedValuesOut, {"view": view, "values": values})


class EntryFile(Files):
    """An entry as a file."""

    access = _READERS

    @operation("read_entry_file", "The entry byte for byte.", media_type="application/json")
    def get(self, request: Request, entry_id: uuid.UUID) -> HttpResponse:
        entry = entries.one(entry_id)
        entries.record_view(self.person, [entry])
        return binary(entry.body, "application/json", f"{entry_id}.entry.json")


class EntryReceipt(Files):
    """The receipt of an entry."""

    access = _READERS

    @operation("read_entry_receipt", "The receipt of an entry (.tlog-proof).", media_type="text/plain")
    def get(self, request: Request, entry_id: uuid.UUID) -> HttpResponse:
        entry = entries.one(entry_id)
        found = evidence.of(entry)
        if found.receipt is None:
            raise NotFound(found.problem)
        entries.record_view(self.person, [entry])
        return binary(found.receipt.encode(), "text/plain; charset=utf-8", f"{entry_id}.tlog-proof")
