"""`manage.py enrol_approver NAME --contact MAIL`: a new approval secret, printed once. Needs the registrar's password."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import approvers, people
from core.refusals import command_sentences


class Command(BaseCommand):
    help = "Give an approver a new approval secret, printed once in the last line. An older one is void."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--contact", required=True, help="where the approver is told of every approval")

    def handle(self, *args: Any, **options: Any) -> None:
        with command_sentences():
            user = people.named(options["username"])
            secret = approvers.enrol(user, options["contact"])
        self.stderr.write(f"The approval secret of {user}. It is not shown again; hand it over in person.")
        self.stdout.write(secret)
