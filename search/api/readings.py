"""/api/v1/requests/{id}/readings/, receipts/ and /api/v1/readings/."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import Access
from core.api.fields import SignatureIn
from core.api.schema import operation
from core.api.views import Files, Pages, View, binary
from core.person_roles import Permission
from search import measured, readings, selectors
from search.api.outputs import RequestOut
from search.api.requests import OneRequest

_EXAMINERS = Access.having(Permission.REVIEW_CANDIDATES)
RECEIPT_TYPE = "text/plain; charset=utf-8"


class EnrolledOut(serializers.Serializer):
    """What is kept of a candidate beside the template."""

    person = serializers.UUIDField()
    person_ref = serializers.CharField()
    enrolled_at = serializers.DateTimeField()
    attributes = serializers.DictField(child=serializers.CharField())
    has_photo = serializers.BooleanField(help_text="False: the template was imported without a photo.")


class CandidateOut(serializers.Serializer):
    """A candidate: somebody to compare, not an identification. The score is in steps of a thousandth."""

    rank = serializers.IntegerField(allow_null=True, help_text="Null in a blind reading.")
    template = serializers.UUIDField()
    score_milli = serializers.IntegerField(allow_null=True, help_text="Null in a blind reading.")
    photo = EnrolledOut(allow_null=True, help_text="Null when it was expunged since.")


class CohortRateOut(serializers.Serializer):
    """The false-match rate within one cohort, in words."""

    name = serializers.CharField()
    rate = serializers.CharField()
    interval = serializers.CharField()
    counts = serializers.CharField()
    searches = serializers.CharField(
        help_text="Predicted: how often a search of somebody of this cohort who is not enrolled returns somebody."
    )


class MeasuredOut(serializers.Serializer):
    """What the adopted evaluation measured, in words: how often one photo passes for another person's."""

    rate = serializers.CharField()
    interval = serializers.CharField()
    counts = serializers.CharField()
    threshold = serializers.IntegerField(help_text="In millionths.")
    title = serializers.CharField()
    evaluation = serializers.UUIDField()
    searches = serializers.CharField(
        help_text="Predicted for the gallery's size: how often a search of somebody who is not enrolled returns somebody."
    )
    seen = serializers.CharField(
        help_text="The same, measured in the largest gallery of benchmark people; empty where it was not."
    )
    watermark = serializers.CharField(help_text="A warning where the people were generated; empty for real ones.")
    cohorts = CohortRateOut(many=True)


class ReadingOut(serializers.Serializer):
    """A reading, itself an entry of the log; it opens the photos of its candidates for ten minutes."""

    view = serializers.UUIDField()
    blind = serializers.BooleanField(
        help_text="Another examiner read first: the list comes without ranks and scores, in an order of its own."
    )
    candidates = CandidateOut(many=True)
    measured = MeasuredOut(allow_null=True, help_text="Null where it was not measured.")


class ReceiptOut(serializers.Serializer):
    """A receipt: the proof that an entry is in the signed log."""

    kind = serializers.CharField(
        help_text=f"One of {', '.join(readings.RECEIPTS)}; of another server of a spread gallery <server>-intent and so on."
    )
    entry = serializers.UUIDField()


class ReplayOut(serializers.Serializer):
    """How a second run compares with the first."""

    entry = serializers.UUIDField()
    comparison = serializers.ChoiceField(choices=("same", "same_except_expunged", "different"))
    expunged = serializers.IntegerField()
    near_threshold = serializers.IntegerField()
    lost = serializers.IntegerField(
        allow_null=True,
        help_text="Of a search in two stages: candidates that the exact scan finds besides. Null where the first was exact.",
    )


class ResultsToRead(View):
    """What an examiner may read."""

    access = _EXAMINERS
    pagination_class = Pages

    @operation("list_results", "Finished searches whose candidates one may read.", gives=RequestOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(RequestOut, selectors.results_to_read(self.person))


class Readings(OneRequest):
    """Reading candidates."""

    access = _EXAMINERS

    @operation(
        "open_candidates", "Opens the candidates once; the reading is in the log first.", gives=ReadingOut, status=201
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        reading = readings.open_candidates(by=self.person, request=found)
        shown = {
            "view": reading.view,
            "blind": reading.blind,
            "candidates": reading.candidates,
            "measured": measured.of(found, measured.gallery_size(found)),
        }
        return self.answer(ReadingOut, shown, 201)


class CandidatePhoto(Files):
    """The photo of a candidate."""

    access = _EXAMINERS

    @operation("read_candidate_photo", "The enrolled photo of a candidate.", media_type="image/jpeg")
    def get(self, request: Request, view: uuid.UUID, template: uuid.UUID) -> HttpResponse:
        return binary(readings.photo(by=self.person, view=view, template=template), "image/jpeg")


class CandidateCrop(Files):
    """The face of a candidate."""

    access = _EXAMINERS

    @operation("read_candidate_crop", "The aligned crop as the face model saw it.", media_type="image/png")
    def get(self, request: Request, view: uuid.UUID, template: uuid.UUID) -> HttpResponse:
        return binary(readings.crop(by=self.person, view=view, template=template), "image/png")


class Receipts(OneRequest):
    """The receipts of a search."""

    @operation("list_receipts", "The receipts that are there so far.", gives=ReceiptOut(many=True))
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        found = readings.receipts(by=self.person, request=self.found(request_id))
        return self.answer(ReceiptOut, found, many=True)


class Receipt(Files, OneRequest):
    """One receipt."""

    @operation("read_receipt", "A receipt as a file (.tlog-proof).", media_type="text/plain")
    def get(self, request: Request, request_id: uuid.UUID, kind: str) -> HttpResponse:
        file = readings.download_receipt(by=self.person, request=self.found(request_id), kind=kind)
        return binary(file.receipt, RECEIPT_TYPE, file.receipt_name)


class ReceiptEntry(Files, OneRequest):
    """The entry that a receipt proves."""

    @operation("read_receipt_entry", "The entry that a receipt proves, byte for byte.", media_type="application/json")
    def get(self, request: Request, request_id: uuid.UUID, kind: str) -> HttpResponse:
        file = readings.download_receipt(by=self.person, request=self.found(request_id), kind=kind)
        return binary(file.body, "application/json", file.entry_name)


class Replay(OneRequest):
    """A search that is run again."""

    access = Access.of("supervisor", "counsel")

    @operation(
        "replay_request",
        "Runs a search again from its bound embedding and says how the lists compare.",
        takes=SignatureIn,
        gives=ReplayOut,
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        return self.answer(ReplayOut, readings.replay(by=self.person, request=found, **self.given(SignatureIn)))
