"""`glasscase-witness.pyz`: the witness as one file, for the oversight board's own machine."""

from __future__ import annotations

from typing import Final

from audit.oversight.one_file import OneFile

# What `audit.log.witness_server` needs, and nothing else of the product.
MODULES: Final = (
    "audit/__init__.py",
    "audit/log/__init__.py",
    "audit/log/checkpoint.py",
    "audit/log/ed25519.py",
    "audit/log/merkle.py",
    "audit/log/policy.py",
    "audit/log/witness_key.py",
    "audit/log/tiles.py",
    "audit/log/witness.py",
    "audit/log/witness_server.py",
)
_FILE: Final = OneFile("glasscase-witness.pyz", "audit.log.witness_server", MODULES)
NAME: Final = _FILE.name
build: Final = _FILE.build
digest: Final = _FILE.digest
write: Final = _FILE.write
