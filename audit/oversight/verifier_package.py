"""The verifier as a package for pip, for those who check often: it brings the command `glasscase-verify` and needs no other package.

The same source gives the same bytes, so its SHA-256 can be printed and compared.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from audit.oversight import one_file, verifier_file

VERSION: Final = "0.1.0"  # of pyproject.toml
NAME: Final = f"glasscase_verify-{VERSION}-py3-none-any.whl"
_INFO: Final = f"glasscase_verify-{VERSION}.dist-info"
# `quick`: without `cryptography` each signature is checked in plain Python, in some dozens of milliseconds.
_METADATA: Final = f"""Metadata-Version: 2.1
Name: glasscase-verify
Version: {VERSION}
Summary: Checks a published Glasscase log, and receipts from it
Requires-Python: >=3.11
Provides-Extra: quick
Requires-Dist: cryptography ; extra == 'quick'
"""


@cache
def build() -> bytes:
    """The file's bytes."""
    content = {
        **one_file.sources(verifier_file.MODULES),
        f"{_INFO}/METADATA": _METADATA.encode(),
        f"{_INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: glasscase\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{_INFO}/entry_points.txt": b"[console_scripts]\nglasscase-verify = audit.log.verify:main\n",
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in sorted(content.items()))
    return one_file.packed({**content, f"{_INFO}/RECORD": f"{record}{_INFO}/RECORD,,\n".encode()})


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode("ascii").rstrip("=")


def digest() -> str:
    """SHA-256 of the file, 64 hex digits."""
    return hashlib.sha256(build()).hexdigest()


def write(path: Path) -> None:
    path.write_bytes(build())
