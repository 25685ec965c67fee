"""`manage.py serve`: the whole product on this machine, with one command and one Ctrl-C."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from core import database, shards, state
from core.demo.people import sign_ins
from core.supervisor import Program, Supervisor

HOST = "127.0.0.1"
WEB_WORKERS = "2"
WEB_THREADS = "4"  # some answers wait for the log
# Blocks of photos go back to the system when they are freed, instead of staying with each thread (glibc, mallopt(3)).
_RETURN_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
SEARCH_WORKERS = "4"  # a search waits for the log most of the time


class Command(BaseCommand):
    help = "Start web, workers, schedules, sequencer, signer and notifier on this machine, and look after them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help=f"of the web server on {HOST} (8000)")

    def handle(self, *args: Any, **options: Any) -> None:
        port: int = options["port"]
        _refuse_busy(port)
        self._prepare()
        known = sign_ins(Path(settings.GLASSCASE_HOME) / "demo")
        logs = state.directory("logs")
        if os.geteuid() == 0:
            self._say("You are root, and so are the web server and the workers: start it as a normal user instead.")
        self._say("Starting …")

        def announce() -> None:
            self._say(f"Glasscase is at http://{HOST}:{port}/ (Ctrl-C stops it; what the processes say is in {logs}).")
            for person in known:
                self._say(f"  {person['role']:<16} {person['username']:<10} {person['password']}")

        Supervisor(programs(port, demo=bool(known)), logs, self._say).run(lambda: _answers(port), announce)
        self._say("Stopped." + (" The database keeps running: `make stop` stops it." if database.is_embedded() else ""))

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()

    def _prepare(self) -> None:
        """Set the embedded database up when it is new; a real server is its administrator's."""
        if database.is_embedded():
            database.server().start()
            if not database.password_file("app").exists():
                call_command("init_database", stdout=self.stdout)
        executor = MigrationExecutor(connections["default"])
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        connections.close_all()
        if pending and not database.is_embedded():
            raise CommandError("The database is not up to date: run `manage.py migrate` first.")
        if pending:
            self._say("Setting the database up …")
            call_command("migrate", verbosity=0, interactive=False)
            connections.close_all()


def programs(port: int, *, demo: bool) -> list[Program]:
    """What runs. The log's processes are stopped last, so that what the others did is still signed."""
    common = {"GLASSCASE_HTTPS": "false", **({"GLASSCASE_DEMO": "true"} if demo else {})}
    manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
    celery = [sys.executable, "-m", "celery", "-A", "core.celery"]
    worker = [*celery, "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]

    def program(name: str, command: list[str], stage: int, extra: Mapping[str, str] | None = None) -> Program:
        return Program(name, command, {**common, **(extra or {})}, stage)

    web = [sys.executable, "-m", "gunicorn", "core.wsgi:application", "--bind", f"{HOST}:{port}"]
    web += ["--workers", WEB_WORKERS, "--threads", WEB_THREADS, "--graceful-timeout", "10", "--no-control-socket"]
    return [
        program("web", web, 0, _RETURN_MEMORY),
        program("worker", [*worker, "-n", "worker@%h", "-c", SEARCH_WORKERS, "-Q", "search,default"], 0),
        program("enrolment-worker", [*worker, "-n", "enrolment@%h", "-c", "1", "-Q", "enrolment"], 0),
        program("evaluation-worker", [*worker, "-n", "evaluation@%h", "-c", "1", "-Q", "evaluation"], 0),
        program("beat", [*celery, "beat", "--pidfile=", "--loglevel", "INFO"], 0),
        *(
            program(role, [*manage, role], stage, {"GLASSCASE_DB_ROLE": role})
            for role, stage in (("notifier", 1), ("sequencer", 2), ("signer", 2), ("witness_client", 3))
            if role != "witness_client" or settings.GLASSCASE_WITNESS_POLICY
        ),
        *(
            program(f"{name}-{role}", [*manage, role], 2, {"GLASSCASE_DB_ROLE": role, "GLASSCASE_SHARD": name})
            for name in shards.configured()
            for role in ("notifier", "sequencer", "signer")
        ),
    ]


def _refuse_busy(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as problem:
            raise CommandError(
                f"Port {port} on {HOST} cannot be used ({problem}). Stop what listens there, or choose another: "
                "manage.py serve --port 8001"
            ) from problem


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
