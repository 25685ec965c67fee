"""Acting in a person's name from the command line: only where it is enabled, and never without an entry in the log."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from audit.log import journal
from core.models import User


def user_from_option(username: str, command: str) -> User:
    """The person whom `--as USERNAME` names, after the use of `command` in their name was logged.

    `command` is a code of the log (the command's name). Allowed where the setting GLASSCASE_ALLOW_AS is on: by default
    with the embedded database, where whoever runs commands holds every key anyway, and not with a real server.
    Raises CommandError when it is off, when nobody active has this name, and when the log cannot be written.
    """
    if not settings.GLASSCASE_ALLOW_AS:
        raise CommandError(
            "Acting in somebody's name with --as is switched off here. Use the pages or the API, or set "
            "GLASSCASE_ALLOW_AS=true for this command."
        )
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise CommandError(f"There is no active person {username!r}. Add one with `manage.py add_user`.")
    try:
        journal.record_now("core:command:used", user=user.id, command=command, role="operator")
    except journal.LogUnavailable as problem:
        raise CommandError(str(problem)) from problem
    return user


def secret_from_file(path: str) -> str:
    """The approval secret in the file that `--secret-file` names. Raises CommandError when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not a text file"
        raise CommandError(f"The secret file {path} cannot be read ({reason}).") from problem


def in_full(problem: Exception) -> str:
    """What a service refused, in sentences: its own, then those about what was typed."""
    lines = [str(problem)]
    for sentences in getattr(problem, "field_errors", {}).values():
        lines += [sentence for sentence in sentences if sentence not in lines]
    return "\n".join(lines)
