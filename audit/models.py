"""Evaluations of face models, findings about them and about searches, sessions of testers. The log has no models: it is read through `audit.log.storage`."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class BenchmarkSet(models.Model):
    """A frozen benchmark set: what it holds, where it lies, whose labels and under which licence. Never changed."""

    class Kind(models.TextChoices):
        PHOTOS = "photos", "Photos"
        EMBEDDINGS = "embeddings", "Embeddings"
        SCORES = "scores", "Scores of pairs"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    layout = models.CharField(max_length=20)
    kind = models.CharField(max_length=12, choices=Kind)
    source = models.CharField(max_length=1000)
    folder = models.CharField(max_length=1000)  # the frozen list, in the state directory
    sha256 = models.CharField(max_length=64)
    columns = models.JSONField(default=list)
    people = models.PositiveIntegerField()
    items = models.PositiveBigIntegerField()  # photos, embeddings or scores
    pairs = models.PositiveIntegerField(default=0)  # of a protocol with fixed pairs
    left_out = models.PositiveIntegerField()
    notes = models.JSONField(default=list)
    label_source = models.CharField(max_length=40)
    licence = models.CharField(max_length=300)
    citation = models.CharField(max_length=500)
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    added_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Evaluation(models.Model):
    """One measurement of one face model on one benchmark set, and what became of it."""

    Kind = BenchmarkSet.Kind

    class Stopped(models.TextChoices):
        PAUSED = "paused", "Paused"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    face_model = models.CharField(max_length=64)
    face_model_name = models.CharField(max_length=80)
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.PHOTOS)
    manifest = models.CharField(max_length=1000)  # or the file of embeddings or scores; of a frozen set its folder
    benchmark_set = models.ForeignKey(BenchmarkSet, on_delete=models.RESTRICT, null=True, related_name="evaluations")
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
    resumed_at = models.DateTimeField(null=True)
    stopped_as = models.CharField(max_length=12, choices=Stopped, blank=True)
    problem = models.CharField(max_length=500, blank=True)
    published_at = models.DateTimeField(null=True)
    adopted_at = models.DateTimeField(null=True)
    # [[person, person], …] whose labels a review found wrong: the report has rates with and without these pairs.
    excluded = models.JSONField(default=list)
    # The evaluation that this one does again, on the same set with the same threshold.
    repeats = models.ForeignKey("self", on_delete=models.RESTRICT, null=True, related_name="repetitions")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(published_at=None) | (~Q(report_sha256="") & ~Q(verdict="") & Q(threshold__isnull=False)),
                name="published_has_a_report",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def state(self) -> str:
        """Published, running, or how it was stopped."""
        return "published" if self.published_at is not None else self.stopped_as or "running"


class EvaluationChunk(models.Model):
    """A part of one stage of an evaluation, done once by whichever worker takes its job."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="chunks")
    stage = models.CharField(max_length=20)
    number = models.PositiveIntegerField()
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()  # exclusive
    items = models.PositiveBigIntegerField()
    runs = models.PositiveIntegerField(default=0)  # how often a worker began it
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["evaluation", "stage", "number"], name="one_chunk_of_a_number"),
        ]

    def __str__(self) -> str:
        return f"{self.stage} {self.number} of {self.evaluation}"


class LabelVerdict(models.TextChoices):
    DIFFERENT = "different", "Different people"
    SAME = "same", "Same person: the label is wrong"
    UNCLEAR = "unclear", "Cannot tell"


class LabelReview(models.Model):
    """What a reviewer saw in two photos that an evaluation took for the same person. Only added to: the last one holds."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    evaluation = models.ForeignKey(Evaluation, on_delete=models.RESTRICT, related_name="label_reviews")
    # Rows of the set, from 0, the lower one first.
    first_image = models.PositiveIntegerField()
    second_image = models.PositiveIntegerField()
    verdict = models.CharField(max_length=12, choices=LabelVerdict)
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    reviewed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(first_image__lt=models.F("second_image")), name="two_images_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.first_image} and {self.second_image}: {self.get_verdict_display()}"


class FindingKind(models.TextChoices):
    SHIFT = "shift", "Error rates have shifted"
    NOT_REPEATED = "not_repeated", "An evaluation could not be repeated"
    BOARD = "board", "Filed by the oversight board"


class Finding(models.Model):
    """Something that somebody has to answer: filed by the board, or by a repeated evaluation. It is closed, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=FindingKind)
    # Text and resolution may name people: sealed under the key of this record in the key store.
    sealed_text = models.BinaryField()
    evaluation = models.ForeignKey(Evaluation, on_delete=models.RESTRICT, null=True, related_name="findings")
    # Id of the log entry that it is about.
    entry = models.UUIDField(null=True)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    opened_at = models.DateTimeField()
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)
    sealed_resolution = models.BinaryField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None, sealed_resolution=None)
                | Q(closed_at__isnull=False, closed_by__isnull=False, sealed_resolution__isnull=False),
                name="closed_with_a_resolution",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.opened_at:%Y-%m-%d}"


class TestingSession(models.Model):
    """A tester's session: who tests which face model for what. Holds nothing of what is tested."""

    # Not a class of tests.
    __test__ = False

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    face_model = models.CharField(max_length=64)
    face_model_name = models.CharField(max_length=80)
    purpose = models.CharField(max_length=400)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    sets = models.PositiveIntegerField(default=0)
    photos = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.face_model_name}: {self.purpose}"


class CourtLink(models.Model):
    """A link with which somebody without an account reads the receipts of one search; only its SHA-256 is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey("search.SearchRequest", on_delete=models.RESTRICT, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    recipient = models.CharField(max_length=40)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.RESTRICT, related_name="+")
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=models.F("made_at")), name="court_link_ends_after_it_was_made"
            ),
        ]

    def __str__(self) -> str:
        return f"court link {self.id}"
