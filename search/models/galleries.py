"""Galleries as people see them. The templates themselves are in the schema `gallery`, out of the application's reach."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from core.models import Agency


class FaceModel(models.Model):
    """A face model that this installation has used: what it is made of, and whether its licence was acknowledged."""

    hash = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=80)
    dimension = models.PositiveIntegerField()
    identity = models.JSONField()
    licence_status = models.CharField(max_length=20)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(acknowledged_by=None, acknowledged_at=None)
                | Q(acknowledged_by__isnull=False, acknowledged_at__isnull=False),
                name="acknowledged_by_and_at",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Gallery(models.Model):
    """A set of enrolled people: why it may exist, and how long its photos are kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.RESTRICT, related_name="galleries")
    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=500, blank=True)
    legal_basis = models.CharField(max_length=80)
    retention_days = models.PositiveIntegerField()
    # Over which servers it is spread, "main" among them; empty: it is on the main one alone. The gates know it as well.
    shards = ArrayField(models.CharField(max_length=31), default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "galleries"

    def __str__(self) -> str:
        return self.name


class Enrolment(models.Model):
    """One run of filling one edition: from a manifest of photos, a file of templates, or the photos of another edition.

    Its job does the work; its items say what became of each photo, or which templates were left out.
    """

    class Source(models.TextChoices):
        PHOTOS = "photos", "Photos"
        TEMPLATES = "templates", "Imported templates"
        REEMBEDDED = "reembedded", "Photos of another edition"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gallery = models.ForeignKey(Gallery, on_delete=models.RESTRICT, related_name="enrolments")
    edition = models.IntegerField()
    # The server that has this edition: a shard's name, or empty for the main one. Editions are numbered by each server.
    shard = models.CharField(max_length=31, blank=True)
    batch = models.IntegerField(null=True)
    face_model = models.ForeignKey(FaceModel, on_delete=models.RESTRICT)
    source = models.CharField(max_length=10, choices=Source, default=Source.PHOTOS)
    # Of photos that are read again: whose they are.
    from_edition = models.IntegerField(null=True)
    # Photos are read from here while the run lasts; nothing outside this folder is ever opened. Of templates: the file.
    folder = models.CharField(max_length=1000)
    manifest_sha256 = models.CharField(max_length=64)
    # None: the operator, at the command line.
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    started_at = models.DateTimeField()
    # Of templates: how many rows the file has, and how many of them the sealed batch holds. Their items are what was left out.
    rows = models.PositiveIntegerField(null=True)
    imported = models.PositiveIntegerField(null=True)
    # Of templates: people who were expunged while the run lasted, so that it does not bring them back.
    expunged = models.JSONField(default=list)
    # How often the batch had to be given up because it held rows that were not ours.
    reruns = models.PositiveSmallIntegerField(default=0)
    sealed_at = models.DateTimeField(null=True)
    version = models.IntegerField(null=True)
    # Ended without a sealed batch: given up, or nothing could be enrolled.
    discarded_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"enrolment into {self.gallery}"


class EnrolmentItem(models.Model):
    """One row of a manifest: waiting, enrolled as `template`, or left out for `reason`."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        ENROLLED = "enrolled", "Enrolled"
        LEFT_OUT = "left_out", "Left out"

    enrolment = models.ForeignKey(Enrolment, on_delete=models.RESTRICT, related_name="items")
    row = models.PositiveIntegerField()
    person_ref = models.CharField(max_length=200)
    file = models.CharField(max_length=1000)
    attributes = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=40, blank=True)
    sentence = models.CharField(max_length=300, blank=True)
    template = models.UUIDField(null=True)
    # Of a photo that is read again: its template in the other edition, and the entry under which its key was given.
    origin = models.UUIDField(null=True, db_index=True)
    slice = models.UUIDField(null=True)
    # SHA-256 of template, person and embedding as the database will hold them: what the batch's digest is made of.
    digest = models.BinaryField(max_length=32, null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["row"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["enrolment", "row"], name="one_item_per_row"),
        ]

    def __str__(self) -> str:
        return f"row {self.row}: {self.file}"


class EnrolledPhoto(models.Model):
    """What is kept of an enrolled photo beside its template: whose it is and where its encrypted file lies."""

    template = models.UUIDField(primary_key=True, editable=False)
    gallery = models.ForeignKey(Gallery, on_delete=models.RESTRICT, related_name="photos")
    edition = models.IntegerField()
    shard = models.CharField(max_length=31, blank=True)
    enrolment = models.ForeignKey(Enrolment, on_delete=models.RESTRICT, related_name="photos")
    person = models.UUIDField(db_index=True)
    person_ref = models.CharField(max_length=200)
    # Of a template without a photo: by what the same template is known again, a keyed digest (search/template_file.py).
    photo_sha256 = models.CharField(max_length=64, db_index=True)
    # False: the template was imported, and there is nothing to look at.
    has_photo = models.BooleanField(default=True, db_default=True)
    attributes = models.JSONField(default=dict)
    enrolled_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.person_ref} in {self.gallery}"
