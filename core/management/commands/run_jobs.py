"""`manage.py run_jobs`: work the job table without Celery."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from core import jobs

RECONCILE_SECONDS = 5.0
POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Run queued jobs in this process, and take over those of workers that have died."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when nothing is queued")
        parser.add_argument(
            "--queue",
            action="append",
            choices=settings.GLASSCASE_QUEUES,
            help="only jobs of this queue (may be repeated); without it all, in this order: "
            + ", ".join(settings.GLASSCASE_QUEUES),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        queues = tuple(options["queue"] or settings.GLASSCASE_QUEUES)
        ran = 0
        reconciled = float("-inf")
        while True:
            if time.monotonic() - reconciled >= RECONCILE_SECONDS:
                jobs.reconcile(send=False)
                reconciled = time.monotonic()
            found = jobs.next_queued(queues)
            if found is not None:
                ran += jobs.run(found) is not None
            elif options["once"]:
                break
            else:
                time.sleep(POLL_SECONDS)
        self.stdout.write(f"Ran {ran} job{'' if ran == 1 else 's'}.")
