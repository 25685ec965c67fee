"""Rows of the access table for the log: for programs and in the browser."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from tests.core.access_rows import Row, api, page
from tests.people import Cast

# In the table's database no signer has run: there is no key yet, and no entry is in the tree.
TABLE: Final[dict[str, Row]] = {
    "log_checkpoint": api(503),
    "log_numbered_checkpoint": api(503),
    "log_numbered_tile": api(503),
    "log_numbered_entries_bundle": api(403, board=503, auditor=503),
    "log_tile": api(503),
    "log_entries_bundle": api(403, board=503, auditor=503),
    "log_entries": page(board=200, auditor=200),
    "log_entry": page(board=404, auditor=404),
    "log_entry_file": page(board=404, auditor=404),
    "log_receipt": page(board=404, auditor=404),
    "log_entry_open": page(board=405),
    "log_entry_open POST": page(board=404),
    "log_opening": page(board=405),
    "log_opening POST": page(board=404),
    "lead_rates": page(board=200, auditor=200),
    "lead_rates_table": page(board=200, auditor=200),
    "log_health": page(200),
    "log_check": page(200),
    "log_verifier": page(200),
}


def _entry(cast: Cast) -> dict[str, Any]:
    return {"entry_id": uuid.uuid4()}


ARGUMENTS: Final[dict[str, Callable[[Cast], dict[str, Any]]]] = {
    "log_tile": lambda cast: {"path": "0/000"},
    "log_numbered_checkpoint": lambda cast: {"number": 1},
    "log_numbered_tile": lambda cast: {"number": 1, "path": "0/000"},
    "log_numbered_entries_bundle": lambda cast: {"number": 1, "path": "000.p/1"},
    "log_entries_bundle": lambda cast: {"path": "000.p/1"},
    "log_entry": _entry,
    "log_entry_file": _entry,
    "log_receipt": _entry,
    "log_entry_open": _entry,
    "log_opening": lambda cast: {**_entry(cast), "field": "note"},
}
