from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError

from audit.log import cosigning, verifier_keys, witness_policy
from core import process


class Command(BaseCommand):
    help = (
        "Show every new checkpoint of the log to the witnesses of the policy, until stopped. Two at once are harmless."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            policy = witness_policy.configured()
        except witness_policy.NoPolicy as problem:
            raise CommandError(str(problem)) from problem
        if policy is None:
            self.stdout.write("GLASSCASE_WITNESS_POLICY names no policy: nobody is asked to cosign.")
            process.run("witness_client", lambda _: False, pause=10.0, fatal=())
            return
        with contextlib.closing(cosigning.Cosigning(policy, verifier_keys.published)) as asking:

            def step(connection: psycopg.Connection) -> bool:
                with contextlib.suppress(verifier_keys.NoVerifierKey):  # the signer has not been started yet
                    return asking.step(connection)
                return False

            try:
                process.run("witness_client", step, pause=cosigning.PAUSE_SECONDS, fatal=(cosigning.WitnessAlarm,))
            except cosigning.WitnessAlarm as alarm:
                raise CommandError(
                    f"{alarm} The log is frozen until somebody has looked at it.", returncode=process.REFUSED
                ) from alarm
