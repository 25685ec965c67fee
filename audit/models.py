"""Evaluations of face models. The log has no models: it is read through `audit.log.storage`."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class Evaluation(models.Model):
    """One measurement of one face model on one benchmark set, and what became of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    face_model = models.CharField(max_length=64)
    face_model_name = models.CharField(max_length=80)
    title = models.CharField(max_length=200)
    manifest = models.CharField(max_length=1000)
    cohorts = models.CharField(max_length=200)
    acceptance_policy = models.CharField(max_length=40)
    target_fmr = models.FloatField()
    seed = models.BigIntegerField()
    generated_people = models.BooleanField(default=False)
    label_source = models.CharField(max_length=40, default="not stated")
    folder = models.CharField(max_length=1000)
    set_hash = models.CharField(max_length=64, blank=True)
    report_sha256 = models.CharField(max_length=64, blank=True)
    verdict = models.CharField(max_length=20, blank=True)
    threshold = models.IntegerField(null=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    started_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    adopted_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(published_at=None) | (~Q(report_sha256="") & ~Q(verdict="") & Q(threshold__isnull=False)),
                name="published_has_a_report",
            ),
        ]

    def __str__(self) -> str:
        return self.title
