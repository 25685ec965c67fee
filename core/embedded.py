"""The embedded PostgreSQL: started when needed, left running between commands, stopped on demand.

The server listens on a unix socket only. Nobody is ever trusted: before its first start the data directory already
holds rules that demand a SCRAM password from everybody, except that the operating-system user who runs Glasscase (and
root, where that is root) may be the bootstrap superuser `postgres`. This separates database roles, not operating-system
users: whoever runs as the same user can rewrite those rules.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from core import embedded_place
from core.embedded_place import EmbeddedError, Place

SUPERUSER = "postgres"
START_SECONDS = 120
STOP_SECONDS = 60
# pg_ctl may give up on a busy machine while the server still comes up: how long to ask the server itself, per attempt.
PATIENCE_SECONDS = (1.0, 2.0, 30.0)
MEGABYTE = 1024 * 1024


def memory_bytes() -> int:
    """Return the memory this process may use: the machine's, or the limit of its control group when smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(limit.read_text(encoding="ascii")))
    return total


def default_buffers_mb() -> int:
    """Return shared_buffers in MiB: a quarter of the memory, at most 16 GiB, at least PostgreSQL's own 128 MiB.

    Searches are as fast as memory only where the searched editions stay in it: docs/reference/memory.md.
    """
    return max(128, min(memory_bytes() // 4 // MEGABYTE, 16 * 1024))


def worker_processes() -> int:
    """Return max_worker_processes: one for each core and one besides, at least PostgreSQL's own 8."""
    return max(8, (os.cpu_count() or 1) + 1)


@dataclass(frozen=True)
class Server:
    """One embedded server, named by the home directory below which it keeps data and sockets.

    `durable=False` is for throw-away servers: a crash of the machine may lose or damage their data, and their passwords
    are hashed in one round, which makes each connection three times as fast.
    """

    home: Path
    buffers_mb: int = 0
    max_connections: int = 100
    durable: bool = True

    @property
    def socket_directory(self) -> Path:
        """The directory to give to libpq as host."""
        return self.home / "run"

    def is_running(self) -> bool:
        """Tell whether the server accepts connections and has finished starting."""
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            probe.connect(str(self.socket_directory / embedded_place.SOCKET_NAME))
        except OSError:
            return False
        finally:
            probe.close()
        try:
            status = (self.home / "pg" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:  # a process that has dropped root may connect without seeing the data directory
            return True
        return len(status) >= 8 and status[7].strip() == "ready"

    def start(self) -> None:
        """Start the server unless it runs; make its data directory the first time. Several processes may ask at once.

        Raises EmbeddedError with the end of the server's own log when it does not come up.
        """
        embedded_place.refuse_long_path(self.socket_directory)
        if self.is_running():
            return
        place = embedded_place.prepare(self.home)
        with _only_one(self.home / ".pg.lock"):
            if self.is_running():
                return
            if not place.data.exists():
                self._make_cluster(place)
            self._configure(place)
            self._start(place)

    def stop(self, *, immediately: bool = False) -> bool:
        """Stop the server and wait until it is gone; True when there was one. `immediately` skips the checkpoint."""
        place = embedded_place.find(self.home)
        with _only_one(self.home / ".pg.lock"):
            if not (place.data / "postmaster.pid").exists():
                return False
            mode = "immediate" if immediately else "fast"
            done = _run(place, place.data, "pg_ctl", "stop", "-D", place.data, "-m", mode, "-w", "-t", STOP_SECONDS)
            if done.returncode != 0 and self.is_running():
                raise EmbeddedError(f"The embedded PostgreSQL did not stop: {done.stdout.strip()}")
            return True

    def connect(self, dbname: str = "postgres") -> psycopg.Connection:
        """Open an autocommit connection as the bootstrap superuser (by operating-system user, without password)."""
        return psycopg.connect(
            host=str(self.socket_directory),
            user=SUPERUSER,
            dbname=dbname,
            autocommit=True,
            application_name="glasscase superuser",
        )

    def _make_cluster(self, place: Place) -> None:
        """Make the data directory under another name first: an interrupted initdb leaves nothing that looks whole."""
        draft = place.data.with_name(f"pg.{secrets.token_hex(4)}")
        draft.mkdir(mode=0o700)
        _give(place, draft)
        # "peer" and "reject": no moment in which anybody is trusted. The built-in collation sorts alike everywhere.
        options = ["--username", SUPERUSER, "--auth-local=peer", "--auth-host=reject", "--no-instructions"]
        options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += [] if self.durable else ["--no-sync"]
        try:
            made = _run(place, draft, "initdb", "-D", draft, *options)
            if made.returncode != 0:
                raise EmbeddedError(f"The embedded PostgreSQL could not make its data directory: {made.stdout.strip()}")
            draft.rename(place.data)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _configure(self, place: Place) -> None:
        """Write authentication rules and settings: at every start, so that a changed machine or version is followed."""
        users = sorted({place.account.name, embedded_place.my_account().name})
        _write(place, "pg_ident.conf", "".join(f'boot "{name}" {SUPERUSER}\n' for name in users))
        _write(place, "pg_hba.conf", f"local all {SUPERUSER} peer map=boot\nlocal all all scram-sha-256\n")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(place.run),
            "unix_socket_permissions": "0777",
            "max_connections": self.max_connections,
            "shared_buffers": f"{self.buffers_mb or default_buffers_mb()}MB",
            "max_worker_processes": worker_processes(),
            "password_encryption": "scram-sha-256",
            "scram_iterations": 4096 if self.durable else 1,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "on",
            "log_directory": "log",
            "log_filename": "postgresql-%a.log",
            "log_rotation_age": "1d",
            "log_truncate_on_rotation": "on",
            # A log line must never carry what an officer wrote: no statements of clients, no values of parameters.
            "log_statement": "ddl",
            "log_min_error_statement": "panic",
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
            "log_min_duration_statement": "-1",
            "fsync": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
        }
        lines = [f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
        _write(
            place, "glasscase.conf", "# Written at every start of the server; changes here are lost.\n" + "".join(lines)
        )
        _write(place, "postgresql.conf", "include 'glasscase.conf'\n")

    def _start(self, place: Place) -> None:
        log = place.data / "start.log"
        arguments = ["start", "-D", place.data, "-l", log, "-w", "-t", START_SECONDS]
        for patience in PATIENCE_SECONDS:
            _run(place, place.data, "pg_ctl", *arguments)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                with contextlib.suppress(psycopg.OperationalError), self.connect():
                    return
                time.sleep(0.1)
        tail = "\n".join(_tail(log) + _tail(_newest(place.data / "log")))
        raise EmbeddedError(f"The embedded PostgreSQL in {place.data} does not start. Its log ends:\n{tail}")


def _run(place: Place, directory: Path, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a PostgreSQL program as the server's user in `directory`; its output and errors come back as stdout."""
    command = [str(place.programs / "bin" / program), *(str(argument) for argument in arguments)]
    account = place.account
    # A file rather than a pipe: the server inherits it, and a pipe would keep this process waiting for the server's end.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        done = subprocess.run(
            command,
            cwd=directory,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            user=None if account.is_me else account.uid,
            group=None if account.is_me else account.gid,
            extra_groups=None if account.is_me else [],
        )
        output.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, output.read())


def _give(place: Place, item: Path) -> None:
    if not place.account.is_me:
        os.chown(item, place.account.uid, place.account.gid)


def _write(place: Place, name: str, content: str) -> None:
    draft = place.data / f"{name}.new"
    draft.write_text(content, encoding="utf-8")
    draft.chmod(0o600)
    _give(place, draft)
    draft.rename(place.data / name)


def _newest(directory: Path) -> Path | None:
    files = sorted(directory.glob("*.log"), key=lambda file: file.stat().st_mtime) if directory.is_dir() else []
    return files[-1] if files else None


def _tail(file: Path | None, lines: int = 15) -> list[str]:
    if file is None or not file.is_file():
        return []
    return file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold an advisory lock on a file, so that two commands do not start or stop the same server at once."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock.open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
