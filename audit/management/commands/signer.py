from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.log import outside, sequencer, signer, succession, verifier_keys, witness_policy
from audit.log.check import Earlier
from audit.log.checkpoint import VerifierKey
from core import process, state

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Sign the log whenever it has grown, until stopped. Holds the key; no other process does."

    def handle(self, *args: Any, **options: Any) -> None:
        archive = settings.GLASSCASE_CHECKPOINT_ARCHIVE
        with contextlib.ExitStack() as opened:
            signing: signer.Signer | None = None

            def known_to_witnesses(keys: Sequence[VerifierKey]) -> list[Earlier]:
                policy = witness_policy.configured()
                return [] if policy is None else outside.asking(policy)(keys)

            def step(connection: psycopg.Connection) -> None:
                nonlocal signing
                if signing is None:
                    signing = opened.enter_context(
                        succession.open_signer(
                            connection,
                            state.directory("signer"),
                            settings.GLASSCASE_LOG_ORIGIN,
                            archive=Path(archive) if archive else None,
                            outside=known_to_witnesses,
                        )
                    )
                verifier_keys.publish(signing.keys)
                signing.step(connection)
                if waiting := sequencer.loose(connection):
                    log.error("entries wait for their place in the tree longer than they should", entries=waiting)

            try:
                process.run("signer", step, pause=signer.PAUSE_SECONDS, fatal=(signer.SignerRefusal,))
            except signer.SignerRefusal as refusal:
                raise CommandError(
                    f"{refusal} Nothing is signed until somebody has looked at the log.", returncode=process.REFUSED
                ) from refusal
