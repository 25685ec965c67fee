from __future__ import annotations

from typing import Any

import psycopg
import structlog
from django.core.management.base import BaseCommand, CommandError

from audit.log import sequencer
from core import process

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Give every entry of the log its place in the tree, until stopped. Two at once are harmless."

    def handle(self, *args: Any, **options: Any) -> None:
        def step(connection: psycopg.Connection) -> bool:
            sequenced = sequencer.step(connection)
            if waiting := sequencer.loose(connection):
                log.error("entries wait for the sequencer longer than they should", entries=waiting)
            return sequenced == sequencer.STEP_LIMIT

        try:
            process.run("sequencer", step, pause=sequencer.PAUSE_SECONDS, fatal=(sequencer.TreeMismatch,))
        except sequencer.TreeMismatch as problem:
            raise CommandError(
                f"{problem} Nothing more is sequenced. Compare the log with its last export.",
                returncode=process.REFUSED,
            ) from problem
