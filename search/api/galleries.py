"""/api/v1/galleries/: galleries, their editions, enrolments, removal.

An enrolment is started where its photos lie, with `manage.py enroll`; its progress and its report are read here.
"""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import database
from core.access import SIGNED_IN, Access, having
from core.api.fields import LARGEST_INTEGER, JobOut, SignatureIn
from core.api.schema import operation
from core.api.views import Pages, View
from core.exceptions import Invalid, NotFound
from core.person_roles import Permission
from search import enrolment, face_models, galleries, reembedding, removal, selectors, sub_galleries
from search.api.signatures import SignaturesIn, signatures_of
from search.gate import client
from search.gate.client import Edition
from search.models import Enrolment, FaceModel, Gallery
from search.vocabulary import GALLERY_BASES

READERS = Access.of("officer", "supervisor", "examiner", "counsel", "custodian", "board")
CUSTODIANS = Access.having(Permission.KEEP_GALLERIES)
_MOST_TEMPLATES = 1000


class GalleryOut(serializers.Serializer):
    """A gallery: why it may exist, and how long its photos are kept."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    agency = serializers.CharField(source="agency_id")
    legal_basis = serializers.CharField()
    retention_days = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class EditionOut(serializers.Serializer):
    """A gallery under one face model: what is searched, versioned and switched."""

    edition = serializers.IntegerField()
    face_model = serializers.CharField(source="model")
    dimension = serializers.IntegerField()
    version = serializers.IntegerField(help_text="0 until a first enrolment was sealed.")
    templates = serializers.IntegerField()
    is_current = serializers.BooleanField(help_text="Whether this is the one that is searched.")
    people_missing = serializers.SerializerMethodField(
        help_text="How many people of the edition that is searched are not in this one."
    )

    def get_people_missing(self, edition: Edition) -> int:
        if edition.is_current:
            return 0
        return client.people_missing(database.session(), gallery=edition.gallery, edition=edition.edition)


class SubGalleryOut(serializers.Serializer):
    """A named part of a gallery in one edition. It holds who was enrolled after it was defined."""

    edition = serializers.IntegerField()
    name = serializers.CharField()
    matches = serializers.ListField(
        child=serializers.CharField(), help_text="column:value; one value of every column that is named is the photo's."
    )
    templates = serializers.IntegerField()


class GalleryDetailOut(GalleryOut):
    """A gallery with its editions."""

    editions = serializers.SerializerMethodField()
    sub_galleries = serializers.SerializerMethodField(
        help_text="Of a gallery over several servers with the photos of all; none while one of them does not answer."
    )

    @extend_schema_field(SubGalleryOut(many=True))
    def get_sub_galleries(self, gallery: Gallery) -> Any:
        found = [part for one in galleries.editions(gallery) for part in sub_galleries.shown(gallery, one.edition)]
        return SubGalleryOut(found, many=True).data

    @extend_schema_field(EditionOut(many=True))
    def get_editions(self, gallery: Gallery) -> Any:
        return EditionOut(galleries.editions(gallery), many=True).data


class GalleryIn(serializers.Serializer):
    """A new gallery."""

    name = serializers.CharField(max_length=80)
    legal_basis = serializers.ChoiceField(choices=list(GALLERY_BASES))
    retention_days = serializers.IntegerField(min_value=1, max_value=galleries.LONGEST_RETENTION_DAYS)
    description = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class EditionIn(SignatureIn):
    """A new edition, approved by somebody else."""

    face_model = serializers.RegexField(r"^[0-9a-f]{64}$", help_text="The hash of a registered face model.")


class SwitchIn(SignatureIn):
    """Another edition to be searched, approved by somebody else."""

    missing = serializers.IntegerField(
        min_value=0,
        max_value=LARGEST_INTEGER,
        default=0,
        help_text="How many people will not be found any more: `people_missing` of the edition.",
    )


class RemovalIn(SignatureIn):
    """Photos to be taken out, approved by somebody else."""

    templates = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=_MOST_TEMPLATES)


class RemovedOut(serializers.Serializer):
    """How many templates are gone."""

    removed = serializers.IntegerField()


class LeftOutOut(serializers.Serializer):
    """A photo that was not enrolled, and why."""

    row = serializers.IntegerField()
    person_ref = serializers.CharField()
    file = serializers.CharField()
    reason = serializers.CharField()
    sentence = serializers.CharField()


class ReportOut(serializers.Serializer):
    """What became of a manifest so far."""

    photos = serializers.IntegerField()
    enrolled = serializers.IntegerField()
    waiting = serializers.IntegerField()
    version = serializers.IntegerField(allow_null=True)
    reasons = serializers.DictField(child=serializers.IntegerField())
    left_out = LeftOutOut(many=True)


class EnrolmentOut(serializers.Serializer):
    """One run of filling an edition, from a manifest of photos or a file of templates."""

    id = serializers.UUIDField()
    gallery = serializers.UUIDField(source="gallery_id")
    edition = serializers.IntegerField()
    face_model = serializers.CharField(source="face_model_id")
    kind = serializers.ChoiceField(
        source="source",
        choices=Enrolment.Source.choices,
        help_text="templates: imported; that they come from the face model is the importer's word.",
    )
    manifest_sha256 = serializers.CharField()
    started_at = serializers.DateTimeField()
    sealed_at = serializers.DateTimeField(allow_null=True)
    discarded_at = serializers.DateTimeField(allow_null=True)
    version = serializers.IntegerField(allow_null=True)


class EnrolmentDetailOut(EnrolmentOut):
    """One run with its progress and its report."""

    job = serializers.SerializerMethodField()
    report = serializers.SerializerMethodField()

    @extend_schema_field(JobOut)
    def get_job(self, run: Enrolment) -> Any:
        return JobOut(enrolment.job_of(run)).data

    @extend_schema_field(ReportOut)
    def get_report(self, run: Enrolment) -> Any:
        return ReportOut(enrolment.report(run)).data


class FaceModelOut(serializers.Serializer):
    """A face model that this installation has used."""

    hash = serializers.CharField()
    name = serializers.CharField()
    dimension = serializers.IntegerField()
    licence_status = serializers.CharField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    identity = serializers.DictField(help_text="What it is made of, with the SHA-256 of every file.")


class Galleries(View):
    """The galleries of one's agency."""

    access = READERS
    pagination_class = Pages

    @operation("list_galleries", "The galleries of one's agency.", gives=GalleryOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(GalleryOut, selectors.galleries(self.person))

    @operation("create_gallery", "Creates a gallery without photos.", takes=GalleryIn, gives=GalleryOut, status=201)
    @having(Permission.KEEP_GALLERIES)
    def post(self, request: Request) -> Response:
        agency = self.person.agency
        if agency is None:
            raise Invalid("You belong to no agency yet. Ask your administrator to enter it.")
        return self.answer(GalleryOut, galleries.create(by=self.person, agency=agency, **self.given(GalleryIn)), 201)


class OneGallery(View):
    """A view of one gallery that the person may see."""

    access = CUSTODIANS

    def found(self, gallery_id: uuid.UUID) -> Gallery:
        gallery = selectors.galleries(self.person).filter(pk=gallery_id).first()
        if gallery is None:
            raise NotFound("There is no such gallery for you.")
        return gallery

    def enrolment(self, enrolment_id: uuid.UUID) -> Enrolment:
        run = enrolment.find(enrolment_id)
        self.found(run.gallery_id)
        return run


class GalleryDetail(OneGallery):
    """One gallery."""

    access = READERS

    @operation("read_gallery", "One gallery with its editions.", gives=GalleryDetailOut)
    def get(self, request: Request, gallery_id: uuid.UUID) -> Response:
        return self.answer(GalleryDetailOut, self.found(gallery_id))


class Editions(OneGallery):
    """The editions of a gallery."""

    @operation(
        "register_edition",
        "Makes an edition under a face model; the first one is searched from then on.",
        takes=EditionIn,
        gives=GalleryDetailOut,
        status=201,
    )
    def post(self, request: Request, gallery_id: uuid.UUID) -> Response:
        gallery = self.found(gallery_id)
        given = self.given(EditionIn)
        model = face_models.by_hash(given.pop("face_model"))
        galleries.register_edition(by=self.person, gallery=gallery, face_model=model, **given)
        return self.answer(GalleryDetailOut, gallery, 201)


class CurrentEdition(OneGallery):
    """The edition that is searched."""

    @operation(
        "switch_edition", "Makes another edition the one that is searched.", takes=SwitchIn, gives=GalleryDetailOut
    )
    def post(self, request: Request, gallery_id: uuid.UUID, edition: int) -> Response:
        gallery = self.found(gallery_id)
        galleries.switch_edition(by=self.person, gallery=gallery, edition=edition, **self.given(SwitchIn))
        return self.answer(GalleryDetailOut, gallery)


class Reembedding(OneGallery):
    """The photos of the searched edition, read again for another one."""

    @operation(
        "reembed_edition",
        "Reads the photos of the searched edition again by the face model of this one, approved by two people.",
        takes=SignaturesIn,
        gives=EnrolmentOut,
        status=201,
    )
    def post(self, request: Request, gallery_id: uuid.UUID, edition: int) -> Response:
        gallery = self.found(gallery_id)
        target = next((one for one in galleries.editions(gallery) if one.edition == edition), None)
        if target is None:
            raise NotFound("This gallery has no such edition.")
        run = reembedding.start(
            by=self.person,
            gallery=gallery,
            face_model=face_models.by_hash(target.model),
            signatures=signatures_of(self.given(SignaturesIn)),
        )
        return self.answer(EnrolmentOut, run, 201)


class Removals(OneGallery):
    """Photos that are taken out."""

    @operation("remove_photos", "Takes photos out of every further search.", takes=RemovalIn, gives=RemovedOut)
    def post(self, request: Request, gallery_id: uuid.UUID) -> Response:
        gallery = self.found(gallery_id)
        removed = removal.remove(by=self.person, gallery=gallery, **self.given(RemovalIn))
        return self.answer(RemovedOut, {"removed": removed})


class Expungement(OneGallery):
    """A person who is erased."""

    @operation("expunge_person", "Erases a person: templates, files and keys.", takes=SignatureIn, gives=RemovedOut)
    def post(self, request: Request, gallery_id: uuid.UUID, enrolled_id: uuid.UUID) -> Response:
        gallery = self.found(gallery_id)
        if not gallery.photos.filter(person=enrolled_id).exists():
            raise NotFound("Nobody with this id is enrolled in this gallery.")
        removed = removal.expunge(by=self.person, person=enrolled_id, **self.given(SignatureIn))
        return self.answer(RemovedOut, {"removed": removed})


class Enrolments(OneGallery):
    """The enrolments into a gallery."""

    pagination_class = Pages

    @operation("list_enrolments", "The enrolments into a gallery, newest first.", gives=EnrolmentOut(many=True))
    def get(self, request: Request, gallery_id: uuid.UUID) -> Response:
        return self.pages(EnrolmentOut, self.found(gallery_id).enrolments.order_by("-started_at"))


class EnrolmentDetail(OneGallery):
    """One enrolment."""

    @operation("read_enrolment", "Progress and report of an enrolment.", gives=EnrolmentDetailOut)
    def get(self, request: Request, enrolment_id: uuid.UUID) -> Response:
        return self.answer(EnrolmentDetailOut, self.enrolment(enrolment_id))


class EnrolmentPause(OneGallery):
    """An enrolment that stops for a while."""

    @operation("pause_enrolment", "Stops an enrolment that runs.", gives=EnrolmentOut)
    def post(self, request: Request, enrolment_id: uuid.UUID) -> Response:
        run = self.enrolment(enrolment_id)
        enrolment.pause(by=self.person, enrolment=run)
        return self.answer(EnrolmentOut, run)


class EnrolmentResume(OneGallery):
    """An enrolment that is gone on with."""

    @operation("resume_enrolment", "Goes on with an enrolment that was paused or failed.", gives=EnrolmentOut)
    def post(self, request: Request, enrolment_id: uuid.UUID) -> Response:
        run = self.enrolment(enrolment_id)
        enrolment.resume(by=self.person, enrolment=run)
        return self.answer(EnrolmentOut, run)


class EnrolmentDiscard(OneGallery):
    """An enrolment that is given up."""

    @operation("discard_enrolment", "Gives up an unfinished enrolment with all it stored.", gives=EnrolmentOut)
    def post(self, request: Request, enrolment_id: uuid.UUID) -> Response:
        run = self.enrolment(enrolment_id)
        enrolment.discard(by=self.person, enrolment=run)
        run.refresh_from_db()
        return self.answer(EnrolmentOut, run)


class FaceModels(View):
    """The face models of this installation."""

    access = SIGNED_IN
    pagination_class = Pages

    @operation("list_face_models", "The face models that were used here.", gives=FaceModelOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(FaceModelOut, FaceModel.objects.order_by("name", "hash"))


class FaceModelLicence(View):
    """The licence of a face model."""

    access = CUSTODIANS

    @operation("acknowledge_licence", "Answers for a licence that is not permissive.", gives=FaceModelOut)
    def post(self, request: Request, model_hash: str) -> Response:
        model = face_models.by_hash(model_hash)
        return self.answer(FaceModelOut, face_models.acknowledge(by=self.person, face_model=model))
