"""A program of ours as one file for a machine that has Python and nothing of ours (`.pyz`).

The same source gives the same bytes, so its SHA-256 can be printed and compared.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import audit

_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can name


def sources(modules: Sequence[str]) -> dict[str, bytes]:
    """The modules' source, by their path."""
    root = Path(audit.__file__).parent.parent
    return {name: (root / name).read_bytes() for name in modules}


def packed(content: Mapping[str, bytes], *, prefix: bytes = b"") -> bytes:
    """A zip file of the content behind `prefix`, the same bytes every time."""
    file = io.BytesIO()
    file.write(prefix)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in sorted(content.items()):
            member = zipfile.ZipInfo(name, _LONG_AGO)
            member.create_system = 3  # the same on every system
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return file.getvalue()


class OneFile:
    """The program `main` of the module `program` (dotted), with the `modules` (paths below the source) that it needs."""

    def __init__(self, name: str, program: str, modules: Sequence[str]) -> None:
        self.name = name
        self.modules = tuple(modules)
        self._main = f"import sys\n\nfrom {program} import main\n\nsys.exit(main())\n"
        # The file's bytes: run it with Python 3.11 or newer.
        self.build = cache(self._build)

    def _build(self) -> bytes:
        return packed({**sources(self.modules), "__main__.py": self._main.encode()}, prefix=_SHEBANG)

    def digest(self) -> str:
        """SHA-256 of the file, 64 hex digits."""
        return hashlib.sha256(self.build()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes the file, executable."""
        path.write_bytes(self.build())
        path.chmod(0o755)
