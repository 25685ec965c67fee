"""How the tests say "the gate refuses by this rule"."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from search.gate.client import GateRefused


def refused(rule: str) -> contextlib.AbstractContextManager[pytest.ExceptionInfo[GateRefused]]:
    """The gate refuses, naming `rule`."""
    return pytest.raises(GateRefused, check=lambda error: error.rule == rule)


def denied() -> contextlib.AbstractContextManager[pytest.ExceptionInfo[psycopg.errors.InsufficientPrivilege]]:
    """PostgreSQL itself refuses for want of a privilege."""
    return pytest.raises(psycopg.errors.InsufficientPrivilege)
