"""/api/v1/requests/{id}/probe/, faces/ and attachments/."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import having
from core.api.fields import LARGEST_INTEGER, PersonOut
from core.api.parsers import Form, JPEGPhoto, PNGPhoto, WebPPhoto
from core.api.schema import BINARY, operation
from core.api.views import Files, binary
from core.exceptions import NotFound
from core.person_roles import Permission
from search import intake, permissions, photo_views, requests, sealed
from search.api.outputs import RequestOut
from search.api.requests import REQUESTERS, OneRequest
from search.vocabulary import ATTACHMENT_KINDS


class ProbeIn(serializers.Serializer):
    """A photo in a form."""

    probe = serializers.FileField()


class ShortfallOut(serializers.Serializer):
    """One quality limit that a face misses."""

    code = serializers.CharField()
    measure = serializers.CharField()
    measured = serializers.FloatField()
    limit = serializers.FloatField()
    sentence = serializers.CharField()
    overridable = serializers.BooleanField(help_text="Whether a supervisor may accept it.")


class FaceOut(serializers.Serializer):
    """One face of a photo, numbered from 1 from left to right; `box` is x0, y0, x1, y1 in pixels."""

    number = serializers.IntegerField()
    box = serializers.ListField(child=serializers.IntegerField(), min_length=4, max_length=4)
    measures = serializers.DictField()
    shortfalls = ShortfallOut(many=True)


class FacesOut(serializers.Serializer):
    """The faces of a photo. `checked` is false while a worker still looks for them."""

    checked = serializers.BooleanField()
    chosen = serializers.IntegerField(allow_null=True)
    faces = FaceOut(many=True)


class ChoiceIn(serializers.Serializer):
    """The face to search for."""

    face = serializers.IntegerField(min_value=-LARGEST_INTEGER, max_value=LARGEST_INTEGER)


class AttachmentIn(serializers.Serializer):
    """A document in a form: PDF, JPEG or PNG."""

    kind = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=80, help_text=", ".join(ATTACHMENT_KINDS)
    )


class AttachmentFormIn(AttachmentIn):
    """The form with its file, for the schema."""

    file = serializers.FileField()


class AttachmentOut(serializers.Serializer):
    """A document that gives authority."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    name = serializers.CharField()
    size = serializers.IntegerField()
    filed_by = PersonOut()
    filed_at = serializers.DateTimeField()


class Probe(Files, OneRequest):
    """The photo that is searched for."""

    parser_classes = (Form, JPEGPhoto, PNGPhoto, WebPPhoto)

    @operation("read_probe", "The photo as it is kept: re-encoded, without metadata.", media_type="image/jpeg")
    def get(self, request: Request, request_id: uuid.UUID) -> HttpResponse:
        found = self.found(request_id)
        permissions.check_can_see_justification(self.person, found)
        shown = intake.probe_image(found)
        photo_views.record(self.person, found)
        return binary(shown, "image/jpeg")

    @operation(
        "send_probe",
        "Takes the photo for a draft: in a form, or as the body itself. A worker then looks for faces.",
        takes={
            "multipart/form-data": ProbeIn,
            **dict.fromkeys(("image/jpeg", "image/png", "image/webp"), BINARY),
        },
        gives=RequestOut,
        status=202,
    )
    @having(Permission.REQUEST_SEARCHES)
    def put(self, request: Request, request_id: uuid.UUID) -> Response:
        draft = self.found(request_id)
        data, _ = self.uploaded("probe")
        return self.answer(RequestOut, intake.receive(by=self.person, data=data, request=draft), 202)


class ProbeCrop(Files, OneRequest):
    """The chosen face."""

    @operation("read_probe_crop", "The chosen face as the face model saw it.", media_type="image/png")
    def get(self, request: Request, request_id: uuid.UUID) -> HttpResponse:
        found = self.found(request_id)
        permissions.check_can_see_justification(self.person, found)
        shown = sealed.read_file(found, sealed.crop_path(found))
        photo_views.record(self.person, found)
        return binary(shown, "image/png")


class Faces(OneRequest):
    """The faces of the photo."""

    @operation("list_faces", "The faces that were found, and what is wrong with each.", gives=FacesOut)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        permissions.check_can_see_justification(self.person, found)
        faces: dict[str, Any] = {
            "checked": found.probe_checked_at is not None,
            "chosen": found.chosen_face,
            "faces": intake.faces(found),
        }
        return self.answer(FacesOut, faces)


class ChosenFace(OneRequest):
    """The chosen face."""

    access = REQUESTERS

    @operation("choose_face", "Chooses the one face to search for.", takes=ChoiceIn, gives=RequestOut)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        draft = self.found(request_id)
        return self.answer(RequestOut, intake.choose_face(by=self.person, request=draft, **self.given(ChoiceIn)))


class Attachments(OneRequest):
    """The documents of a request."""

    parser_classes = (Form,)

    @operation("list_attachments", "The documents of a request.", gives=AttachmentOut(many=True))
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        permissions.check_can_see_justification(self.person, found)
        rows = found.attachments.select_related("filed_by").order_by("filed_at")
        return self.answer(AttachmentOut, rows, many=True)

    @operation(
        "file_attachment",
        "Files a document: PDF, JPEG or PNG.",
        takes={"multipart/form-data": AttachmentFormIn},
        gives=AttachmentOut,
        status=201,
    )
    @having(Permission.REQUEST_SEARCHES)
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        found = self.found(request_id)
        kind = self.given(AttachmentIn)["kind"]
        data, name = self.uploaded("file")
        filed = requests.attach(by=self.person, request=found, kind=kind, name=name, data=data)
        return self.answer(AttachmentOut, filed, 201)


class AttachmentFile(Files, OneRequest):
    """One document."""

    @operation("read_attachment", "One document, as it was filed.", media_type="application/octet-stream")
    def get(self, request: Request, request_id: uuid.UUID, attachment_id: uuid.UUID) -> HttpResponse:
        found = self.found(request_id)
        permissions.check_can_see_justification(self.person, found)
        attachment = found.attachments.filter(pk=attachment_id).first()
        if attachment is None:
            raise NotFound("This request has no such document.")
        return binary(requests.document(attachment), "application/octet-stream", str(attachment.id))
