"""Agencies, the people who sign in, their API tokens, and the jobs that workers do."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from core.person_roles import CODES, Administrator


class Agency(models.Model):
    """A police agency (or an oversight body): whose case numbers look how, and which jurisdiction's rules hold."""

    code = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=200)
    # A regular expression for canonical case numbers (upper case, no spaces); the whole number has to fit.
    case_number_pattern = models.CharField(max_length=200, default=r"[A-Z0-9][A-Z0-9-]{2,39}")
    case_number_example = models.CharField(max_length=60, blank=True)
    law_pack = models.SlugField(max_length=40, default="default")

    class Meta:
        verbose_name_plural = "agencies"

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Makes accounts; usernames are compared without regard to case."""

    def create_user(self, username: str, password: str | None = None, **fields: Any) -> User:
        """Make an account. Without a password it cannot sign in."""
        user = self.model(username=self.model.normalize_username(username), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username__iexact=username)


class User(AbstractBaseUser):
    """A person with the roles an agency or a board gave them. Roles are ours; Django's groups are not used."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = models.CharField(max_length=150, unique=True, validators=[ASCIIUsernameValidator()])
    full_name = models.CharField(max_length=200, blank=True)
    agency = models.ForeignKey(Agency, on_delete=models.RESTRICT, null=True, blank=True, related_name="people")
    badge_number = models.CharField(max_length=50, blank=True)
    roles = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    training_until = models.DateField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    # Somebody else knows the password: nothing else is open until the person has chosen another.
    must_change_password = models.BooleanField(default=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(Lower("username"), name="username_once_in_any_case"),
            # The same exclusions as in core.person_roles, for whoever writes past the services.
            models.CheckConstraint(condition=Q(roles__contained_by=list(CODES)), name="roles_are_known"),
            models.CheckConstraint(
                condition=~Q(roles__contains=["board"]) | Q(roles__len=1), name="board_has_no_other_role"
            ),
            models.CheckConstraint(
                condition=~Q(roles__contains=["auditor"]) | Q(roles__len=1), name="auditor_has_no_other_role"
            ),
            models.CheckConstraint(
                condition=~Q(roles__overlap=["registered_auditor", "tester"]) | Q(roles__len=1),
                name="outsider_has_no_other_role",
            ),
            models.CheckConstraint(
                condition=~Q(roles__contains=["administrator"]) | ~Q(roles__overlap=Administrator.excluded_codes()),
                name="administrator_searches_nothing",
            ),
        ]

    def __str__(self) -> str:
        return self.full_name or self.username


class ApiToken(models.Model):
    """A bearer token of a person; only its SHA-256 is kept, it is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.RESTRICT, related_name="api_tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


class JobState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Job(models.Model):
    """One piece of work for a worker: this row is the truth, the message broker only carries its id.

    A running job writes `heartbeat_at`; one that has stopped doing so is queued again by the reconciler.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=60)
    subject = models.UUIDField()
    queue = models.CharField(max_length=20, default="default")
    state = models.CharField(max_length=12, choices=JobState, default=JobState.QUEUED)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True)
    stage = models.CharField(max_length=80, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # One live job of a kind for a subject: asking twice is harmless.
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(state__in=["queued", "running"]), name="one_live_job"
            ),
            models.CheckConstraint(condition=Q(total=None) | Q(done__lte=F("total")), name="done_within_total"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
