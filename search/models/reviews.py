"""What follows a search: readings, the decisions of examiners, leads, their outcomes, and what was disclosed.

Only `Review` ever changes. Everything else is written once: the app role may add such rows and not change or delete one,
so a correction is a further row. What is said about a person is sealed under the key of the request.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from search.models.requests import SearchRequest


class ReviewState(models.TextChoices):
    FIRST = "first", "Waits for an examiner"
    SECOND = "second", "Waits for a second examiner"
    AGREED = "agreed", "Two examiners agree; a supervisor decides"
    DISAGREED = "disagreed", "The examiners do not agree: no lead"
    NO_LEAD = "no_lead", "No lead"
    RELEASED = "released", "Lead released"
    WITHHELD = "withheld", "Lead withheld"
    RECORDED = "recorded", "Outcome recorded"


class CandidateReading(models.Model):
    """One opening of the candidates, as it was shown. `blind`: in another order, without ranks and scores."""

    view = models.UUIDField(primary_key=True, editable=False)
    request = models.ForeignKey(SearchRequest, on_delete=models.RESTRICT, related_name="readings")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    blind = models.BooleanField()
    at = models.DateTimeField()
    sealed = models.BinaryField()

    def __str__(self) -> str:
        return f"reading {self.view}"


class Review(models.Model):
    """How far the review of one search is. `closed_by` is the supervisor who released or withheld."""

    request = models.OneToOneField(SearchRequest, on_delete=models.RESTRICT, primary_key=True, related_name="review")
    state = models.CharField(max_length=10, choices=ReviewState, default=ReviewState.FIRST)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(closed_by=None, closed_at=None) | Q(closed_by__isnull=False, closed_at__isnull=False),
                name="review_closed_by_and_at",
            ),
        ]

    def __str__(self) -> str:
        return f"review of {self.request_id}"


class ReviewDecision(models.Model):
    """What one examiner concluded, independently of the other. Two for a search, by two people.

    `requester` repeats the request's: a foreign key over both columns holds it true, so that the database itself refuses
    a requester who decides on candidates of their own search.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(SearchRequest, on_delete=models.RESTRICT, related_name="decisions")
    seat = models.PositiveSmallIntegerField()
    examiner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    approver = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    reading = models.OneToOneField(CandidateReading, on_delete=models.RESTRICT, related_name="decision")
    sealed = models.BinaryField()
    entry = models.UUIDField()
    decided_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(seat__in=(1, 2)), name="two_examiners_decide"),
            models.UniqueConstraint(fields=["request", "seat"], name="one_decision_per_seat"),
            models.UniqueConstraint(fields=["request", "examiner"], name="one_decision_per_examiner"),
            models.CheckConstraint(condition=~Q(examiner=F("requester")), name="requester_does_not_examine"),
            models.CheckConstraint(
                condition=Q(approver=None) | ~Q(examiner=F("approver")), name="approver_does_not_examine"
            ),
        ]

    def __str__(self) -> str:
        return f"decision {self.seat} on {self.request_id}"


class Lead(models.Model):
    """A candidate that two examiners support and a supervisor released. Never an identification."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(SearchRequest, on_delete=models.RESTRICT, related_name="leads")
    rank = models.PositiveSmallIntegerField()
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    first = models.ForeignKey(ReviewDecision, on_delete=models.RESTRICT, related_name="+")
    second = models.ForeignKey(ReviewDecision, on_delete=models.RESTRICT, related_name="+")
    first_examiner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    second_examiner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    released_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    released_at = models.DateTimeField()
    entry = models.UUIDField()
    sealed = models.BinaryField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["request", "rank"], name="one_lead_per_candidate"),
            models.CheckConstraint(condition=~Q(first_examiner=F("second_examiner")), name="lead_has_two_examiners"),
            models.CheckConstraint(
                condition=~Q(released_by=F("requester"))
                & ~Q(released_by=F("first_examiner"))
                & ~Q(released_by=F("second_examiner")),
                name="lead_is_released_by_another",
            ),
        ]

    def __str__(self) -> str:
        return f"lead {self.id}"


class LeadOutcome(models.Model):
    """What became of a lead, as known on that day. `truth` is about the person, `procedure` about the case.

    The one with the highest number holds; earlier ones stay.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    lead = models.ForeignKey(Lead, on_delete=models.RESTRICT, related_name="outcomes")
    number = models.PositiveSmallIntegerField()
    truth = models.CharField(max_length=20)
    procedure = models.CharField(max_length=30)
    evidence = ArrayField(models.CharField(max_length=40), default=list)
    disclosed_on = models.DateField(null=True)
    sealed = models.BinaryField()
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    recorded_at = models.DateTimeField()
    entry = models.UUIDField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["lead", "number"], name="outcomes_are_numbered"),
            models.CheckConstraint(
                condition=~Q(truth="same_person") | ~Q(evidence=[]), name="same_person_rests_on_evidence"
            ),
        ]

    def __str__(self) -> str:
        return f"outcome {self.number} of {self.lead_id}"


class Disclosure(models.Model):
    """One bundle that was handed out for the defence or a court. Recipient and reasons are sealed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(SearchRequest, on_delete=models.RESTRICT, related_name="disclosures")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    made_at = models.DateTimeField()
    names_examiners = models.BooleanField()
    with_photos = models.BooleanField()
    bundle = models.CharField(max_length=64)
    sealed = models.BinaryField()
    entry = models.UUIDField()

    def __str__(self) -> str:
        return f"disclosure {self.id}"
