"""`manage.py doctor`: look at everything that has to be right, and say what to do about what is not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import diagnosis


class Command(BaseCommand):
    help = "Check the installation and print a table of what is fine and what to do."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="print only what needs attention")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = diagnosis.examine()
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            if options["quiet"] and finding.fine:
                continue
            mark = "fine" if finding.fine else "LOOK"
            self.stdout.write(f"{mark}  {finding.subject:<{width}}  {finding.sentence}")
        ailing = sum(not finding.fine for finding in findings)
        self.stdout.write(f"{ailing} of {len(findings)} need attention." if ailing else "Everything is fine.")
        if ailing:
            raise SystemExit(1)
