from __future__ import annotations

from typing import Any

import psycopg
import structlog
from django.core.management.base import BaseCommand, CommandError

from audit.log import sequencer
from audit.log.comparison import RUNBOOK
from core import process

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Give every entry of the log its place in the tree, until stopped. Two at once are harmless."

    def handle(self, *args: Any, **options: Any) -> None:
        def step(connection: psycopg.Connection) -> bool:
            sequenced = sequencer.step(connection)
            if waiting := sequencer.loose(connection):
                log.error(
                    "entries wait for their place in the tree longer than they should",
                    entries=waiting,
                    cleared_by_the_signer=sequencer.is_cleared(connection),
                )
            return sequenced == sequencer.STEP_LIMIT

        try:
            fatal = (sequencer.TreeMismatch, sequencer.Frozen)
            process.run("sequencer", step, pause=sequencer.PAUSE_SECONDS, fatal=fatal)
        except sequencer.Frozen as frozen:
            raise CommandError(
                f"{frozen} Nothing is sequenced: go through {RUNBOOK}.", returncode=process.REFUSED
            ) from frozen
        except sequencer.TreeMismatch as problem:
            raise CommandError(
                f"{problem} Nothing more is sequenced. Compare the log with its last export.",
                returncode=process.REFUSED,
            ) from problem
