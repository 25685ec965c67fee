from __future__ import annotations

from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError

from audit import notifier
from core import process, state


class Command(BaseCommand):
    help = "Tell approvers by e-mail what was done in their name, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        state.directory("outbox")  # private from the start: messages name their recipients
        try:
            with notifier.open_notifier(state.directory("notifier")) as telling:

                def step(connection: psycopg.Connection) -> bool:
                    return telling.step(connection)

                process.run("notifier", step, pause=notifier.PAUSE_SECONDS, fatal=(notifier.NotifierRefusal,))
        except notifier.NotifierRefusal as refusal:
            raise CommandError(
                f"{refusal} Nobody is told anything until somebody has looked at the log.", returncode=process.REFUSED
            ) from refusal
