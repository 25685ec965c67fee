"""`manage.py revoke_passkeys NAME`. Needs the registrar's password."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import passkeys, people
from core.refusals import command_sentences


class Command(BaseCommand):
    help = "Void all passkeys that prove approvals of a person. What they proved before stays proven."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        with command_sentences():
            user = people.named(options["username"])
            passkeys.revoke(user)
        self.stdout.write(f"No passkey proves approvals of {user} any more.")
