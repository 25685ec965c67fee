from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.demo.processes import StepFailed
from core.demo.story import Story, summary_line
from core.exceptions import GlasscaseError


class Command(BaseCommand):
    help = "Show the main job end to end on generated people. Safe to run again."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        def say(line: str) -> None:
            self.stdout.write(line)
            self.stdout.flush()

        try:
            summary = Story(say).tell()
        except StepFailed as failed:
            raise CommandError(f"The demonstration stopped: {failed}") from failed
        except GlasscaseError as problem:
            raise CommandError(f"The demonstration stopped: {problem.sentence}") from problem
        say("           Look at it: make serve")
        say(summary_line(summary))
