"""Cases: nothing is searched outside one."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.models import Agency


class CaseStatus(models.TextChoices):
    UNCONFIRMED = "unconfirmed", "Waiting for confirmation"
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"


class Case(models.Model):
    """An investigation with an agency case number in its canonical form (upper case, no spaces)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.RESTRICT, related_name="cases")
    number = models.CharField(max_length=60)
    offence = models.CharField(max_length=80)
    status = models.CharField(max_length=12, choices=CaseStatus)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    opened_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)
    officers = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="CaseAssignment", through_fields=("case", "officer"), related_name="cases"
    )

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["agency", "number"], name="one_case_number_per_agency"),
            models.CheckConstraint(
                condition=Q(closed_by=None, closed_at=None) | Q(closed_by__isnull=False, closed_at__isnull=False),
                name="closed_by_and_at",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by=None, confirmed_at=None)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False),
                name="confirmed_by_and_at",
            ),
            models.CheckConstraint(
                condition=Q(status=CaseStatus.CLOSED, closed_at__isnull=False)
                | (~Q(status=CaseStatus.CLOSED) & Q(closed_at=None)),
                name="closed_has_a_date",
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CaseAssignment(models.Model):
    """An officer who works on a case and may therefore search in it."""

    case = models.ForeignKey(Case, on_delete=models.RESTRICT)
    officer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT)
    assigned_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    assigned_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["case", "officer"], name="assigned_once"),
        ]

    def __str__(self) -> str:
        return f"{self.officer} on {self.case}"
