"""Rows of the access table for the log: for programs and in the browser."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from search import requests
from tests.core.access_api import withdrawn
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
    "log_selection": page(board=405, auditor=405),
    "log_selection POST": page(board=503, auditor=503),
    "log_whole": page(board=405, auditor=405),
    "log_whole POST": page(board=503, auditor=503),
    "court_links": page(officer=200, supervisor=200, board=200),
    "court_links POST": page(officer=422, supervisor=422, board=422),
    "court_link_revoke": page(officer=405, supervisor=405, board=405),
    "court_link_revoke POST": page(officer=404, supervisor=404, board=404),
    # Open to everybody, and there is no such link.
    "court_receipts": page(404, anonymous=404),
    "court_receipts_zip": page(404, anonymous=404),
    "court_verifier": page(404, anonymous=404),
    "court_receipt": page(404, anonymous=404),
    "court_entry": page(404, anonymous=404),
    "log_absence": page(board=200),
    "log_absence POST": page(board=422),
    "log_health": page(200),
    "log_check": page(200),
    "log_verifier": page(200),
}


def _entry(cast: Cast) -> dict[str, Any]:
    return {"entry_id": uuid.uuid4()}


def _receipts(cast: Cast) -> dict[str, Any]:
    return {"secret": "A" * 43}


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
    "court_links": lambda cast: {"search_id": withdrawn(cast).pk},
    "court_link_revoke": lambda cast: {"search_id": withdrawn(cast).pk, "link_id": uuid.uuid4()},
    "court_receipts": _receipts,
    "court_receipts_zip": _receipts,
    "court_verifier": _receipts,
    "court_receipt": lambda cast: {**_receipts(cast), "kind": "intent"},
    "court_entry": lambda cast: {**_receipts(cast), "kind": "intent"},
    "log_opening": lambda cast: {**_entry(cast), "field": "note"},
}

FOREIGN: Final[dict[str, Callable[[Cast], dict[str, Any]]]] = {
    "court_links": lambda cast: {"search_id": requests.draft(by=cast.xavier).pk},
    "court_link_revoke": lambda cast: {"search_id": requests.draft(by=cast.xavier).pk, "link_id": uuid.uuid4()},
}
