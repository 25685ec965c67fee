from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit.log import verifier_keys
from audit.oversight import evidence, verifier_file, verifier_package


class Command(BaseCommand):
    help = (
        "Write glasscase-verify as one file, for a machine that has Python and nothing else, and as a package for pip beside "
        "it; print what belongs on paper: the SHA-256 of both, and the log's keys with their fingerprints."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", default=Path(verifier_file.NAME))

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        file.parent.mkdir(parents=True, exist_ok=True)
        package = file.with_name(verifier_package.NAME)
        verifier_file.write(file)
        verifier_package.write(package)
        self.stdout.write(f"{verifier_file.digest()}  {file}\n{verifier_package.digest()}  {package}")
        try:
            keys = verifier_keys.published()
        except verifier_keys.NoVerifierKey as problem:
            self.stdout.write(str(problem))
            return
        for key in keys:
            self.stdout.write(f"{key}\n  fingerprint {evidence.fingerprint(key)}")
