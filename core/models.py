"""People: the accounts that sign in."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.contrib.postgres.fields import ArrayField
from django.db import models


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
    agency = models.CharField(max_length=200, blank=True)
    badge_number = models.CharField(max_length=50, blank=True)
    roles = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    training_until = models.DateField(null=True, blank=True)
    is_active = models.BooleanField(default=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.full_name or self.username
