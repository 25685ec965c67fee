from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.log import signer, verifier_keys
from core import process, state


class Command(BaseCommand):
    help = "Sign the log whenever it has grown, until stopped. Holds the key; no other process does."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with signer.open_signer(state.directory("signer"), settings.GLASSCASE_LOG_ORIGIN) as signing:
                verifier_keys.publish(signing.key)

                def step(connection: psycopg.Connection) -> None:
                    signing.step(connection)

                process.run("signer", step, pause=signer.PAUSE_SECONDS, fatal=(signer.SignerRefusal,))
        except signer.SignerRefusal as refusal:
            raise CommandError(
                f"{refusal} Nothing is signed until somebody has looked at the log.", returncode=process.REFUSED
            ) from refusal
