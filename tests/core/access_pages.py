"""Rows of the access table for the pages of cases, searches and galleries."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone

from search import cases, galleries, requests
from search.models import Case, Gallery, SearchRequest
from tests.core.access_rows import Row, page
from tests.people import Cast

Arguments = Callable[[Cast], dict[str, Any]]
_numbers = itertools.count(1)


def _number() -> str:
    return f"2026-{next(_numbers):05}"


def _opened(cast: Cast) -> Case:
    return cases.open_case(by=cast.sam, number=_number(), offence="robbery", officers=[cast.olivia])


def _case(cast: Cast) -> dict[str, Any]:
    return {"case_id": _opened(cast).pk}


def _unconfirmed(cast: Cast) -> dict[str, Any]:
    return {"case_id": cases.open_case(by=cast.oscar, number=_number(), offence="robbery").pk}


def _closed(cast: Cast) -> dict[str, Any]:
    return {"case_id": cases.close(by=cast.sam, case=_opened(cast)).pk}


def _draft(cast: Cast) -> dict[str, Any]:
    return {"search_id": requests.draft(by=cast.olivia).pk}


def _poor_photo(cast: Cast) -> dict[str, Any]:
    """A draft whose face is below the quality limits."""
    draft = requests.draft(by=cast.olivia)
    SearchRequest.objects.filter(pk=draft.pk).update(chosen_face=1, shortfalls=["sharpness"])
    return {"search_id": draft.pk}


def _waiting(cast: Cast, state: str = "awaiting_approval") -> dict[str, Any]:
    """A request as if it had been submitted: enough to see its page."""
    now = timezone.now()
    made = SearchRequest.objects.create(
        requester=cast.olivia,
        case=_opened(cast),
        state=state,
        purpose="identify_suspect",
        offence="robbery",
        law_pack="default",
        params="0" * 64,
        submitted_at=now,
        expires_at=now + timedelta(hours=1),
    )
    return {"search_id": made.pk}


def _held(cast: Cast) -> dict[str, Any]:
    return _waiting(cast, "held")


def _foreign_search(cast: Cast) -> dict[str, Any]:
    return {"search_id": requests.draft(by=cast.xavier).pk}


def _gallery(cast: Cast) -> dict[str, Any]:
    return {"gallery_id": _made_gallery(cast).pk}


def _made_gallery(cast: Cast) -> Gallery:
    return galleries.create(
        by=cast.carl, agency=cast.agency, name=f"gallery {_number()}", legal_basis="booking", retention_days=30
    )


def _no_such(**names: Any) -> Arguments:
    return lambda cast: {name: uuid.uuid4() if value is None else value for name, value in names.items()}


_CASES: Final = {"officer": 200, "supervisor": 200, "counsel": 200, "board": 200}
_SEARCHES: Final = {**_CASES, "examiner": 200}
_MISSING: Final = dict.fromkeys(_SEARCHES, 404)
_DECIDERS_MISSING: Final = {role: 404 for role in _SEARCHES if role != "board"}
_GALLERIES: Final = {**_CASES, "custodian": 200}

TABLE: dict[str, Row] = {
    "cases": page(**_CASES),
    "case_open": page(officer=200, supervisor=200),
    "case_open POST": page(officer=422, supervisor=422),
    "case": page(**_CASES),
    "case_confirm": page(supervisor=405),
    "case_confirm POST": page(supervisor=302),
    "case_close": page(supervisor=405),
    "case_close POST": page(supervisor=302),
    "case_reopen": page(supervisor=405),
    "case_reopen POST": page(supervisor=302),
    "case_assign": page(supervisor=405),
    "case_assign POST": page(supervisor=302),
    "searches": page(**_SEARCHES),
    "search_new": page(officer=200),
    "search_new POST": page(officer=302),
    "search_requirements": page(officer=200),
    "search": page(**_SEARCHES),
    "search_path": page(**_SEARCHES),
    "search_edit": page(officer=200),
    "search_edit POST": page(officer=302),
    "search_photo": page(officer=200),
    "search_discard": page(officer=405),
    "search_discard POST": page(officer=302),
    "search_attach": page(officer=405),
    "search_attach POST": page(officer=422),
    "search_document": page(**_DECIDERS_MISSING),
    "probe_image": page(**_DECIDERS_MISSING),
    "probe_face": page(**_DECIDERS_MISSING),
    "probe_whole": page(examiner=404),
    "probe_crop": page(examiner=404, supervisor=404),
    "search_receipt": page(**_MISSING),
    "search_entry": page(**_MISSING),
    "candidates": page(examiner=200),
    "candidates POST": page(examiner=409),
    "review_decide": page(examiner=405),
    "review_decide POST": page(examiner=404),
    "releases": page(supervisor=200),
    "release": page(supervisor=200),
    "release POST": page(supervisor=409),
    "release_decide": page(supervisor=405),
    "release_decide POST": page(supervisor=409),
    "agreed_crop": page(supervisor=404),
    "leads": page(officer=200, supervisor=200, counsel=200),
    "lead": page(officer=404, supervisor=404, counsel=404),
    "lead POST": page(officer=404, supervisor=404, counsel=404),
    "lead_picture": page(officer=404, supervisor=404, counsel=404),
    "outcome": page(officer=404, supervisor=404),
    "outcome POST": page(officer=404, supervisor=404),
    "disclose": page(supervisor=200),
    "disclose POST": page(supervisor=422),
    "readings": page(examiner=200),
    "candidate_crop": page(examiner=404),
    "candidate_photo": page(examiner=404),
    "approvals": page(supervisor=200, counsel=200),
    "approval": page(supervisor=200, counsel=200),
    # Which roles may approve is the law pack's to say: counsel may not under this one.
    "approval POST": page(supervisor=422, counsel=403),
    "approval_reject": page(supervisor=405),
    "approval_reject POST": page(supervisor=422),
    "photo_accept": page(supervisor=200),
    "photo_accept POST": page(supervisor=422),
    "holds": page(counsel=200),
    "hold": page(counsel=200),
    "hold POST": page(counsel=422),
    "galleries": page(**_GALLERIES),
    "gallery_create": page(custodian=200),
    "gallery_create POST": page(custodian=422),
    "gallery": page(**_GALLERIES),
    "edition_register": page(custodian=405),
    "edition_register POST": page(custodian=422),
    "edition_switch": page(custodian=405),
    "edition_switch POST": page(custodian=404),
    "edition_reembed": page(custodian=405),
    "edition_reembed POST": page(custodian=404),
    "enrolment_pause": page(custodian=405),
    "enrolment_pause POST": page(custodian=404),
    "enrolment_resume": page(custodian=405),
    "enrolment_resume POST": page(custodian=404),
    "enrolment": page(**dict.fromkeys(_GALLERIES, 404)),
    "enrolment_progress": page(**dict.fromkeys(_GALLERIES, 404)),
    "limits": page(200),
    "limit_set": page(administrator=405),
    "limit_set POST": page(administrator=422),
    "evaluation_adopt": page(administrator=405),
    "evaluation_adopt POST": page(administrator=404),
    "law_packs": page(200),
    "law_pack": page(200),
    "limitations": page(200),
}

ARGUMENTS: dict[str, Arguments] = {
    "case": _case,
    "case_confirm": _unconfirmed,
    "case_close": _case,
    "case_reopen": _closed,
    "case_assign": _case,
    "search": _waiting,
    "search_path": _waiting,
    "search_edit": _draft,
    "search_photo": _draft,
    "search_discard": _draft,
    "search_attach": _draft,
    "search_document": lambda cast: _waiting(cast) | {"document_id": uuid.uuid4()},
    "probe_image": _waiting,
    "probe_face": lambda cast: _waiting(cast) | {"number": 1},
    "probe_whole": _waiting,
    "probe_crop": _waiting,
    "search_receipt": lambda cast: _waiting(cast) | {"kind": "intent"},
    "search_entry": lambda cast: _waiting(cast) | {"kind": "intent"},
    "candidates": _waiting,
    "review_decide": lambda cast: _waiting(cast) | {"view_id": uuid.uuid4()},
    "release": _waiting,
    "release_decide": _waiting,
    "agreed_crop": _no_such(view_id=None, template_id=None),
    "lead": _no_such(lead_id=None),
    "lead_picture": lambda cast: {"lead_id": uuid.uuid4(), "kind": "photo"},
    "outcome": _no_such(lead_id=None),
    "disclose": _waiting,
    "candidate_crop": _no_such(view_id=None, template_id=None),
    "candidate_photo": _no_such(view_id=None, template_id=None),
    "approval": _waiting,
    "approval_reject": _waiting,
    "photo_accept": _poor_photo,
    "hold": _held,
    "gallery": _gallery,
    "edition_register": _gallery,
    "edition_switch": lambda cast: _gallery(cast) | {"edition": 77},
    "edition_reembed": lambda cast: _gallery(cast) | {"edition": 77},
    "enrolment": _no_such(enrolment_id=None),
    "enrolment_pause": _no_such(enrolment_id=None),
    "enrolment_resume": _no_such(enrolment_id=None),
    "enrolment_progress": _no_such(enrolment_id=None),
    "evaluation_adopt": _no_such(evaluation_id=None),
    "law_pack": lambda cast: {"code": "utah"},
}

FOREIGN: dict[str, Arguments] = {
    # The board sees the cases and galleries of every agency: nobody sees one that is not there.
    **dict.fromkeys(("case", "case_confirm", "case_close", "case_reopen", "case_assign"), _no_such(case_id=None)),
    **dict.fromkeys(("gallery", "edition_register"), _no_such(gallery_id=None)),
    **dict.fromkeys(
        (
            *("search", "search_path", "search_edit", "search_photo", "search_discard", "search_attach", "probe_image"),
            *("probe_whole", "probe_crop", "candidates", "approval", "approval_reject", "photo_accept", "hold"),
            *("release", "release_decide", "disclose"),
        ),
        _foreign_search,
    ),
    "law_pack": _no_such(code="atlantis"),
}

DATA: dict[str, dict[str, Any]] = {}
