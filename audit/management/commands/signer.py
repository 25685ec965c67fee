from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.log import sequencer, signer, verifier_keys
from core import process, state

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Sign the log whenever it has grown, until stopped. Holds the key; no other process does."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            place = settings.GLASSCASE_CHECKPOINT_ARCHIVE
            with signer.open_signer(
                state.directory("signer"), settings.GLASSCASE_LOG_ORIGIN, archive=Path(place) if place else None
            ) as signing:

                def step(connection: psycopg.Connection) -> None:
                    signing.step(connection)
                    verifier_keys.publish(signing.keys)
                    if waiting := sequencer.loose(connection):
                        log.error("entries wait for their place in the tree longer than they should", entries=waiting)

                verifier_keys.publish(signing.keys)

                process.run("signer", step, pause=signer.PAUSE_SECONDS, fatal=(signer.SignerRefusal,))
        except signer.SignerRefusal as refusal:
            raise CommandError(
                f"{refusal} Nothing is signed until somebody has looked at the log.", returncode=process.REFUSED
            ) from refusal
