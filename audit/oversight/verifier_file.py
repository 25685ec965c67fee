"""`glasscase-verify.pyz`: the verifier as one file for a machine that has Python and nothing of ours.

The same source gives the same bytes, so its SHA-256 can be printed and compared.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Final

import audit

NAME: Final = "glasscase-verify.pyz"
# What `audit.log.verify` needs, and nothing else of the product.
MODULES: Final = (
    "audit/__init__.py",
    "audit/log/__init__.py",
    "audit/log/check.py",
    "audit/log/checkpoint.py",
    "audit/log/ed25519.py",
    "audit/log/events.py",
    "audit/log/merkle.py",
    "audit/log/proof.py",
    "audit/log/sources.py",
    "audit/log/tiles.py",
    "audit/log/verify.py",
)
_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_MAIN: Final = "import sys\n\nfrom audit.log.verify import main\n\nsys.exit(main())\n"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can name


@cache
def build() -> bytes:
    """The file's bytes: run it with Python 3.11 or newer."""
    root = Path(audit.__file__).parent.parent
    content = {name: (root / name).read_bytes() for name in MODULES}
    content["__main__.py"] = _MAIN.encode()
    packed = io.BytesIO()
    packed.write(_SHEBANG)
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in sorted(content.items()):
            member = zipfile.ZipInfo(name, _LONG_AGO)
            member.create_system = 3  # the same on every system
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return packed.getvalue()


def digest() -> str:
    """SHA-256 of the file, 64 hex digits."""
    return hashlib.sha256(build()).hexdigest()


def write(path: Path) -> None:
    """Writes the file, executable."""
    path.write_bytes(build())
    path.chmod(0o755)
