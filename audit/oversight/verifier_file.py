"""`glasscase-verify.pyz`: the verifier as one file."""

from __future__ import annotations

from typing import Final

from audit.oversight.one_file import OneFile

# What `audit.log.verify` needs, and nothing else of the product.
MODULES: Final = (
    "audit/__init__.py",
    "audit/log/__init__.py",
    "audit/log/absence.py",
    "audit/log/approval_proofs.py",
    "audit/log/case_numbers.py",
    "audit/log/check.py",
    "audit/log/checkpoint.py",
    "audit/log/ed25519.py",
    "audit/log/events.py",
    "audit/log/form.py",
    "audit/log/events_of_galleries.py",
    "audit/log/events_of_privacy.py",
    "audit/log/events_of_reviews.py",
    "audit/log/events_of_shards.py",
    "audit/log/events_of_witnesses.py",
    "audit/log/merkle.py",
    "audit/log/policy.py",
    "audit/log/p256.py",
    "audit/log/proof.py",
    "audit/log/rsa.py",
    "audit/log/selection.py",
    "audit/log/sources.py",
    "audit/log/tiles.py",
    "audit/log/verify.py",
)
_FILE: Final = OneFile("glasscase-verify.pyz", "audit.log.verify", MODULES)
NAME: Final = _FILE.name
build: Final = _FILE.build
digest: Final = _FILE.digest
write: Final = _FILE.write
