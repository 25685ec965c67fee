"""The list of shards: further PostgreSQL servers over which a gallery may be spread. One TOML file below GLASSCASE_HOME.

    [north]                   # the shard's name; it stands in intents and in the name of the shard's log
    host = "north.internal"   # left out: an embedded server in its home
    port = 5432
    sslmode = "verify-full"   # or verify-ca or require; only a host on this machine may leave it out
    database = "glasscase"    # left out: the name that the main one has

The home of a shard is GLASSCASE_HOME/shards/<name>, laid out as any home: `secrets/db_<role>` has the passwords that this
machine's processes may know, `signer/vkey` the public keys of the shard's log. Read before the settings are made, so no Django.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from core.environment import SettingError

MAIN: Final = "main"
"""The server that holds everything else, as a part of a spread gallery."""
MOST: Final = 32  # the names of all, with their results, have to fit into one entry of the log
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_KEYS: Final = frozenset({"host", "port", "sslmode", "database"})
_ENCRYPTED: Final = ("verify-full", "verify-ca", "require")
_FOLDER: Final = "shards"


@dataclass(frozen=True)
class Shard:
    """One further server. Without `host` it is an embedded one, whose data and sockets are below `home`."""

    name: str
    home: Path
    host: str = ""
    port: int = 5432
    sslmode: str = ""
    database: str = ""

    def origin(self, main: str) -> str:
        """The name of the shard's log; `main` is the name of the main server's."""
        return f"{main}/shard/{self.name}"


def place(home: Path) -> Path:
    """Where the list is."""
    return home / _FOLDER / "shards.toml"


def check_name(name: str) -> str:
    """The name, if a shard may have it. Raises SettingError."""
    if _NAME.fullmatch(name) is None or name == MAIN:
        raise SettingError(
            f"{name!r} is no name for a shard: small letters, digits and underscores, at most 31, and not {MAIN!r}."
        )
    return name


def check_transport(name: str, host: str, sslmode: str) -> None:
    """Faces travel to a shard, and approval secrets: encrypted, unless it is on this machine. Raises SettingError.

    Without a mode libpq would take `prefer`, which falls back to clear text.
    """
    if host and not _on_this_machine(host) and sslmode not in _ENCRYPTED:
        raise SettingError(
            f"The shard {name} is on {host}: say how the way there is encrypted, sslmode = {', '.join(_ENCRYPTED)}."
        )


def _on_this_machine(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read(home: Path) -> dict[str, Shard]:
    """Every shard by name; none without a list. Raises SettingError for a list that cannot be read."""
    file = place(home)
    try:
        listed = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise SettingError(f"The list of shards {file} cannot be read: {problem}") from None
    if len(listed) >= MOST:
        raise SettingError(f"A gallery can be spread over {MOST} servers at most; {file} names more.")
    return {name: _shard(home, check_name(name), values, file) for name, values in sorted(listed.items())}


def _shard(home: Path, name: str, values: Any, file: Path) -> Shard:
    if not isinstance(values, dict) or not set(values) <= _KEYS:
        raise SettingError(f"[{name}] in {file} may say {', '.join(sorted(_KEYS))} and nothing else.")
    shard = Shard(name, home / _FOLDER / name, **values)
    if type(shard.port) is not int or any(
        type(text) is not str for text in (shard.host, shard.sslmode, shard.database)
    ):
        raise SettingError(f"[{name}] in {file}: the port is a number, everything else is text in quotation marks.")
    check_transport(name, shard.host, shard.sslmode)
    return shard
