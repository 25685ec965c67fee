from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.log import verifier_keys
from audit.log.signer import Signer, SignerRefusal
from core import state


class Command(BaseCommand):
    help = "Print the verifier key of this log: give it to the board and the courts on paper."

    def handle(self, *args: Any, **options: Any) -> None:
        if not verifier_keys.path().exists():
            try:
                Signer(state.directory("signer"), settings.GLASSCASE_LOG_ORIGIN).close()
            except SignerRefusal as refusal:
                raise CommandError(str(refusal)) from refusal
        for key in verifier_keys.published():
            self.stdout.write(str(key))
