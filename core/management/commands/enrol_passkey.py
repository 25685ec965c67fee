"""`manage.py enrol_passkey NAME --fingerprint F`: a passkey that proves approvals. Needs the registrar's password."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import passkeys, people
from core.refusals import command_sentences


class Command(BaseCommand):
    help = "Enrol one of an approver's passkeys: what it signs from then on proves an approval."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--fingerprint", required=True, help="read out by the approver, from My account on their own screen"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with command_sentences():
            user = people.named(options["username"])
            passkey = passkeys.enrol(user, options["fingerprint"])
        self.stdout.write(f"The passkey {passkey.name} proves approvals of {user}.")
