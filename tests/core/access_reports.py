"""Rows of the access table for reports on error rates, findings and independent testing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from audit import findings
from tests.core.access_rows import Row, api, page
from tests.people import Cast

# Independent testing is off, and so is making an account alone.
TABLE: Final[dict[str, Row]] = {
    "register": page(404, anonymous=404),
    "register POST": page(404, anonymous=404),
    "reports": page(200),
    "report": page(404),
    "report_compare": page(200),
    "evaluator": page(200),
    "report_file": page(405),
    "report_file POST": page(404),
    "report_figure": page(404),
    "report_labels": page(custodian=404),
    "report_labels POST": page(custodian=404),
    "report_label_photo": page(custodian=404),
    "report_measure_again": page(custodian=405),
    "report_measure_again POST": page(custodian=404),
    "findings": page(board=200, custodian=200, administrator=200),
    "finding_file": page(board=405),
    "finding_file POST": page(board=422),
    "finding_close": page(board=405),
    "finding_close POST": page(board=422),
    "api:testing_sessions": api(tester=404),
    "api:testing_sessions POST": api(tester=422),
    "api:testing_session": api(tester=404),
    "api:testing_session DELETE": api(tester=404),
    "api:testing_scores": api(tester=405),
    "api:testing_scores POST": api(tester=404),
}


def _report(cast: Cast) -> dict[str, Any]:
    return {"evaluation_id": uuid.uuid4()}


def _session(cast: Cast) -> dict[str, Any]:
    return {"session_id": uuid.uuid4()}


ARGUMENTS: Final[dict[str, Callable[[Cast], dict[str, Any]]]] = {
    "report": _report,
    "report_file": lambda cast: {**_report(cast), "name": "report.json"},
    "report_figure": lambda cast: {**_report(cast), "name": "figure.svg"},
    "report_labels": _report,
    "report_label_photo": lambda cast: {**_report(cast), "ticket": "nothing"},
    "report_measure_again": _report,
    "finding_close": lambda cast: {
        "finding_id": findings.file(by=cast.bea, text="Case 2026-1 was searched for twice in one day.").pk
    },
    "api:testing_session": _session,
    "api:testing_scores": _session,
}
