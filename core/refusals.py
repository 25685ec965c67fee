"""A service's refusal at the command line: its sentence, and what is wrong with each field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from audit.log.journal import LogUnavailable
from core.exceptions import GlasscaseError


@contextmanager
def command_sentences() -> Iterator[None]:
    """Turn refusals of services into CommandError: one line each, exit status 1."""
    try:
        yield
    except GlasscaseError as error:
        fields: dict[str, list[str]] = getattr(error, "field_errors", {})
        details = [f"{name}: {sentence}" for name, sentences in fields.items() for sentence in sentences]
        raise CommandError("\n".join(dict.fromkeys([error.sentence, *details]))) from error
    except LogUnavailable as error:
        raise CommandError(str(error)) from error
