"""Search requests: one justified wish to search, and how far it has come."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from search.models.cases import Case
from search.models.galleries import Gallery


class RequestState(models.TextChoices):
    DRAFT = "draft", "Draft"
    HELD = "held", "Held for counsel"
    AWAITING_APPROVAL = "awaiting_approval", "Waiting for approval"
    READY = "ready", "Ready to run"
    RUNNING = "running", "Running"
    INCOMPLETE = "incomplete", "Incomplete: a server is missing"
    DONE = "done", "Result logged"
    REFUSED = "refused", "Refused"
    REJECTED = "rejected", "Turned down"
    WITHDRAWN = "withdrawn", "Withdrawn"
    EXPIRED = "expired", "Expired"
    FAILED = "failed", "Failed"


class SearchRequest(models.Model):
    """One search request.

    Everything personal (justification, photo, faces) is sealed under the key of this record in the key store: `sealed` is
    canonical JSON, the probe a file. What remains here are codes, ids, commitments and times.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="search_requests")
    case = models.ForeignKey(Case, on_delete=models.RESTRICT, null=True, related_name="search_requests")
    gallery = models.ForeignKey(Gallery, on_delete=models.RESTRICT, null=True, related_name="+")
    state = models.CharField(max_length=20, choices=RequestState, default=RequestState.DRAFT)
    purpose = models.CharField(max_length=80, blank=True)
    offence = models.CharField(max_length=80, blank=True)
    legal_basis = models.CharField(max_length=80, blank=True)
    law_pack = models.CharField(max_length=80, blank=True)
    emergency = models.BooleanField(default=False)
    probe_kind = models.CharField(max_length=80, blank=True)

    # The probe check: what was found before anything was embedded.
    faces_found = models.PositiveIntegerField(default=0)
    chosen_face = models.PositiveIntegerField(null=True)
    shortfalls = ArrayField(models.CharField(max_length=40), default=list)
    quality_overridden_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+"
    )
    quality_overridden_at = models.DateTimeField(null=True)
    sealed = models.BinaryField(default=bytes)
    # When the photo was last checked for faces, and under which face model; a new photo empties both.
    probe_checked_at = models.DateTimeField(null=True)
    probe_model = models.CharField(max_length=64, blank=True)
    # Keyed hashes of the justification's word pairs: tells that a text was used before without keeping the text.
    fingerprint = ArrayField(models.BigIntegerField(), default=list)

    # What the intent will say, fixed when the request is submitted, because an approval is given for exactly this.
    edition = models.IntegerField(null=True)
    # The sub-gallery's name; empty: everybody in the gallery.
    sub_gallery = models.CharField(max_length=60, blank=True, default="")
    face_model = models.CharField(max_length=64, blank=True)
    threshold = models.IntegerField(null=True)
    k = models.IntegerField(null=True)
    claim = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField(null=True)
    params = models.CharField(max_length=64, blank=True)
    # Of a gallery that is spread over several servers: each as name:edition, in the order of names. Else empty.
    shards = ArrayField(models.CharField(max_length=80), default=list)
    intent = models.UUIDField(null=True)
    # Of an emergency that ran without approval: until when approval has to follow.
    deadline_at = models.DateTimeField(null=True)

    held_reasons = ArrayField(models.CharField(max_length=80), default=list)
    cleared_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    cleared_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(quality_overridden_by=None, quality_overridden_at=None)
                | Q(quality_overridden_by__isnull=False, quality_overridden_at__isnull=False),
                name="quality_overridden_by_and_at",
            ),
            models.CheckConstraint(
                condition=Q(cleared_by=None, cleared_at=None) | Q(cleared_by__isnull=False, cleared_at__isnull=False),
                name="cleared_by_and_at",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None, decided_at=None) | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="decided_by_and_at",
            ),
            models.CheckConstraint(condition=~Q(decided_by=models.F("requester")), name="nobody_decides_their_own"),
            # For the rows that repeat the requester under a foreign key over both columns.
            models.UniqueConstraint(fields=["id", "requester"], name="request_with_its_requester"),
        ]
        indexes: ClassVar[list[models.Index]] = [GinIndex(fields=["fingerprint"], name="request_fingerprint")]

    def __str__(self) -> str:
        return f"search request {self.id}"


class Attachment(models.Model):
    """A document that gives authority: its file is sealed under the key of its request."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(SearchRequest, on_delete=models.RESTRICT, related_name="attachments")
    kind = models.CharField(max_length=80)
    name = models.CharField(max_length=200)
    size = models.PositiveIntegerField()
    filed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    filed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} of {self.request}"
