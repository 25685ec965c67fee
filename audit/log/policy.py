"""Whom a log's checkpoints have to be cosigned by: a policy file as C2SP tlog-policy writes it down.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]              the url is where the witness takes checkpoints (its submission prefix)
    group <name> all|any|<k> <name> ...        met when so many of its members, witnesses or groups, are
    quorum <name>|none

Names are the file's own and are defined before they are used; every name is a member of one group at most, so no witness
counts on two ways. Lines that begin with # are left out. The same file serves the process that asks witnesses, the
workers that check receipts, and whoever runs `glasscase-verify`. Needs Python alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from audit.log.checkpoint import COSIGNATURE, ED25519, NoteError, VerifierKey

NONE: Final = "none"
MAX_LINES: Final = 1000
MAX_SIZE: Final = 200_000
_ALLOWED: Final = re.compile(rb"[\x09\x0a\x20-\x7e\x80-\xff]*")
_BLANKS: Final = re.compile(r"[ \t]+")
_THRESHOLD: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


class PolicyError(ValueError):
    """The policy file cannot be used."""


@dataclass(frozen=True)
class Witness:
    """One witness of a policy. `url` is empty where nobody has to ask it."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True)
class Group:
    """Met when `needed` of `members` (names of witnesses and groups) are."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """The logs, the witnesses and the quorum: the name of a witness or group, or `none`."""

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[Witness, ...]
    groups: dict[str, Group]
    quorum: str

    @classmethod
    def of(cls, keys: Collection[VerifierKey], needed: int) -> Policy:
        """The policy that any `needed` of these witnesses suffice. Raises PolicyError where one operator may count twice."""
        witnesses = tuple(Witness(key.name, key) for key in keys)
        _refuse_doubles(witnesses)
        if not 1 <= needed <= len(witnesses):
            raise PolicyError(f"a quorum of {needed} cannot be met by {len(witnesses)} witnesses")
        return cls((), witnesses, {"": Group(needed, tuple(one.name for one in witnesses))}, "")

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Raises PolicyError with the number of the line."""
        if len(data) > MAX_SIZE or data.count(b"\n") > MAX_LINES:
            raise PolicyError("the policy is too long")
        if not _ALLOWED.fullmatch(data):
            raise PolicyError("the policy holds a control character")
        reading = _Reading()
        # Octets above 127 are opaque to the format; keys and addresses refuse what they cannot be themselves.
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            words = _BLANKS.split(line.strip(" \t"))
            if words[0] and not words[0].startswith("#"):
                try:
                    reading.take(words)
                except (PolicyError, NoteError) as error:
                    raise PolicyError(f"line {number}: {error}") from None
        if reading.quorum is None:
            raise PolicyError("the policy has no quorum line")
        return cls(tuple(reading.logs), tuple(reading.witnesses.values()), reading.groups, reading.quorum)

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The verifier keys of all witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    def met(self, cosigned: Collection[VerifierKey]) -> bool:
        """Whether cosignatures by these keys are a quorum."""
        if self.quorum == NONE:
            return True
        names = {witness.name for witness in self.witnesses if witness.key in cosigned}
        return self._count(self.quorum, lambda name: name in names)

    def met_since(self, times: Mapping[VerifierKey, int]) -> int | None:
        """The latest time since when these cosignatures (key -> time) are a quorum; None when they are none."""
        cosigned: set[VerifierKey] = set()
        for key, time in sorted(times.items(), key=lambda item: -item[1]):
            cosigned.add(key)
            if self.met(cosigned):
                return time
        return None

    @property
    def fewest(self) -> int:
        """The smallest number of witnesses that can be a quorum; 0 for `quorum none`."""
        return 0 if self.quorum == NONE else self._fewest(self.quorum)

    def _count(self, name: str, has: Callable[[str], bool]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return has(name)
        return sum(self._count(member, has) for member in group.members) >= group.needed

    def _fewest(self, name: str) -> int:
        group = self.groups.get(name)
        if group is None:
            return 1
        return sum(sorted(map(self._fewest, group.members))[: group.needed])


class _Reading:
    """What the lines read so far have defined."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", vkey]:
                self._log(vkey, "")
            case ["log", vkey, url]:
                self._log(vkey, url)
            case ["witness", name, vkey]:
                self._witness(name, vkey, "")
            case ["witness", name, vkey, url]:
                self._witness(name, vkey, url)
            case ["group", name, needed, first, *rest]:
                self._group(name, needed, [first, *rest])
            case ["quorum", name]:
                if self.quorum is not None:
                    raise PolicyError("there is a quorum already")
                if name != NONE and not self._is_defined(name):
                    raise PolicyError(f"{_shown(name)} is not defined above")
                self.quorum = name
            case _:
                raise PolicyError("this is not a line of a policy (log, witness, group or quorum)")

    def _log(self, vkey: str, url: str) -> None:
        key = VerifierKey.parse(vkey)
        if key.algorithm != ED25519:
            raise PolicyError(f"the key of {key.name!r} is not a log's")
        if any(known.public_key == key.public_key for known in self.logs):
            raise PolicyError("this log's key is there already")
        _check_address(url)
        self.logs.append(key)

    def _witness(self, name: str, vkey: str, url: str) -> None:
        self._refuse_known(name)
        key = VerifierKey.parse(vkey)
        if key.algorithm != COSIGNATURE:
            raise PolicyError(f"the key of {key.name!r} is not a witness's")
        _check_address(url)
        self.witnesses[name] = Witness(name, key, url)
        _refuse_doubles(tuple(self.witnesses.values()))

    def _group(self, name: str, needed: str, members: list[str]) -> None:
        self._refuse_known(name)
        if needed not in ("all", "any") and not _THRESHOLD.fullmatch(needed):
            raise PolicyError(f"{_shown(needed)} is neither all nor any nor a number")
        count = {"all": len(members), "any": 1}.get(needed) or int(needed)
        if count > len(members):
            raise PolicyError(f"{count} of {len(members)} members cannot be had")
        for member in members:
            if not self._is_defined(member):
                raise PolicyError(f"{_shown(member)} is not defined above")
            if member in self._members:
                raise PolicyError(f"{_shown(member)} is a member of a group already, and would count twice")
            self._members.add(member)
        self.groups[name] = Group(count, tuple(members))

    def _is_defined(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def _refuse_known(self, name: str) -> None:
        if name == NONE or self._is_defined(name):
            raise PolicyError(f"the name {_shown(name)} is taken")


def _shown(name: str) -> str:
    return ascii(name[:60])


def _refuse_doubles(witnesses: Collection[Witness]) -> None:
    # A cosignature does not bind its witness's name, so one operator could count twice by two names or two keys.
    names, keys = {one.key.name for one in witnesses}, {one.key.public_key for one in witnesses}
    if min(len(names), len(keys)) < len(witnesses):
        raise PolicyError("this names one witness twice")


def _check_address(url: str) -> None:
    if not url:
        return
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        usable = usable and not (parts.username or parts.query or parts.fragment)
        usable = usable and url.isascii() and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise PolicyError(f"{_shown(url)} is not an http address")


def is_policy(data: bytes) -> bool:
    """Whether a file is a policy, and not a plain list of keys: its first line that says something has a keyword."""
    for line in data.split(b"\n"):
        words = line.split()
        if words and not words[0].startswith(b"#"):
            return words[0] in (b"log", b"witness", b"group", b"quorum")
    return False
