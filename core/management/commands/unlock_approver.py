"""`manage.py unlock_approver NAME`. Needs the registrar's password."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import approvers, people
from core.refusals import command_sentences


class Command(BaseCommand):
    help = "Let an approver approve again who was locked after wrong or unanswered approvals."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        with command_sentences():
            user = people.named(options["username"])
            approvers.unlock(user)
        self.stdout.write(f"The approver {user} is unlocked.")
