"""The rows of the access table for everything below /api/v1/ (tests/core/access_table.py says how they are read).

The request of these rows is Olivia's, and withdrawn: seen by everybody who may see requests, and good for nothing.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from typing import Any

from search import cases, galleries, requests
from search.models import Case, Gallery, SearchRequest
from tests.core.access_rows import Row, api, page, somebody
from tests.people import Cast

_numbers = itertools.count(1)
_READERS = ("officer", "supervisor", "examiner", "counsel", "board")


def _for(status: int, *roles: str, **codes: int) -> Row:
    return api(403, **dict.fromkeys(roles, status), **codes)


TABLE: dict[str, Row] = {
    "api:schema": page(200, anonymous=200),
    "api:me": api(200),
    "api:roles": api(200),
    "api:people": api(administrator=200),
    "api:people POST": api(administrator=422),
    "api:person": api(administrator=200),
    "api:person_roles": api(administrator=405),
    "api:person_roles PUT": api(administrator=422),
    "api:person_training": api(administrator=405),
    "api:person_training PUT": api(administrator=422),
    "api:person_reset": api(administrator=405),
    "api:person_reset POST": api(administrator=200),
    "api:person_deactivate": api(administrator=405),
    "api:person_deactivate POST": api(administrator=200),
    "api:tokens": api(200),
    "api:token": api(405),
    "api:token DELETE": api(404),
    "api:cases": _for(200, "officer", "supervisor", "counsel", "board"),
    "api:cases POST": _for(422, "officer", "supervisor"),
    "api:case_import": api(supervisor=405),
    "api:case_import POST": api(supervisor=422),
    "api:case": _for(200, "officer", "supervisor", "counsel", "board"),
    "api:case_confirm": api(supervisor=405),
    "api:case_confirm POST": api(supervisor=200),
    "api:case_close": api(supervisor=405),
    "api:case_close POST": api(supervisor=200),
    "api:case_reopen": api(supervisor=405),
    "api:case_reopen POST": api(supervisor=409),
    "api:case_officers": api(supervisor=405),
    "api:case_officers PUT": api(supervisor=422),
    "api:requests": _for(200, *_READERS),
    "api:requests POST": api(officer=201),
    "api:request": _for(200, *_READERS),
    "api:request PATCH": api(officer=409),
    # There is no photo; the board does not see any.
    "api:probe": _for(404, "officer", "supervisor", "examiner", "counsel"),
    "api:probe PUT": api(officer=415),
    "api:probe_crop": _for(404, "officer", "supervisor", "examiner", "counsel"),
    "api:faces": _for(200, "officer", "supervisor", "examiner", "counsel"),
    "api:chosen_face": api(officer=405),
    "api:chosen_face POST": api(officer=422),
    "api:attachments": _for(200, "officer", "supervisor", "examiner", "counsel"),
    "api:attachments POST": api(officer=415),
    "api:attachment": _for(404, "officer", "supervisor", "examiner", "counsel"),
    "api:request_submit": api(officer=405),
    "api:request_submit POST": api(officer=409),
    "api:request_withdraw": api(officer=405),
    "api:request_withdraw POST": api(officer=409),
    "api:request_quality": api(supervisor=405),
    "api:request_quality POST": api(supervisor=422),
    "api:request_approve": _for(405, "supervisor", "counsel", "custodian"),
    "api:request_approve POST": _for(422, "supervisor", "counsel", custodian=404),
    "api:request_reject": _for(405, "supervisor", "counsel", "custodian"),
    "api:request_reject POST": _for(409, "supervisor", "counsel", custodian=404),
    "api:request_clear": api(counsel=405),
    "api:request_clear POST": api(counsel=422),
    "api:request_uphold": api(counsel=405),
    "api:request_uphold POST": api(counsel=422),
    "api:request_readings": api(examiner=405),
    "api:request_readings POST": api(examiner=409),
    "api:review": _for(200, *_READERS),
    "api:review_decide": api(examiner=405),
    "api:review_decide POST": api(examiner=422),
    "api:reviews": api(examiner=200),
    "api:agreed": api(supervisor=405),
    "api:agreed POST": api(supervisor=409),
    "api:release": api(supervisor=405),
    "api:release POST": api(supervisor=422),
    "api:withhold": api(supervisor=405),
    "api:withhold POST": api(supervisor=409),
    "api:disclosures": api(supervisor=200),
    "api:disclosure_make": api(supervisor=405),
    "api:disclosure_make POST": api(supervisor=422),
    "api:releases": api(supervisor=200),
    "api:leads": _for(200, "officer", "supervisor", "counsel"),
    "api:lead_readings": _for(405, "officer", "supervisor", "counsel"),
    "api:lead_readings POST": _for(404, "officer", "supervisor", "counsel"),
    "api:lead_picture": _for(404, "officer", "supervisor", "counsel"),
    "api:outcomes": _for(404, "officer", "supervisor", "counsel"),
    "api:outcomes POST": _for(404, "officer", "supervisor", "counsel"),
    "api:receipts": _for(200, *_READERS),
    "api:receipt": _for(404, *_READERS),
    "api:receipt_entry": _for(404, *_READERS),
    "api:request_replay": _for(405, "supervisor", "counsel"),
    "api:request_replay POST": _for(422, "supervisor", "counsel"),
    "api:approvals": _for(200, "supervisor", "counsel", "custodian"),
    "api:holds": api(counsel=200),
    "api:photos_to_accept": api(supervisor=200),
    "api:results": api(examiner=200),
    "api:candidate_photo": api(examiner=404),
    "api:candidate_crop": api(examiner=404),
    "api:galleries": _for(200, *_READERS, "custodian"),
    "api:galleries POST": api(custodian=422),
    "api:gallery": _for(200, *_READERS, "custodian"),
    "api:editions": api(custodian=405),
    "api:editions POST": api(custodian=422),
    "api:edition_switch": api(custodian=405),
    "api:edition_switch POST": api(custodian=422),
    "api:edition_reembed": api(custodian=405),
    "api:edition_reembed POST": api(custodian=404),
    "api:enrolment_pause": api(custodian=405),
    "api:enrolment_pause POST": api(custodian=404),
    "api:enrolment_resume": api(custodian=405),
    "api:enrolment_resume POST": api(custodian=404),
    "api:removals": api(custodian=405),
    "api:removals POST": api(custodian=422),
    "api:expungement": api(custodian=405),
    "api:expungement POST": api(custodian=404),
    "api:enrolments": api(custodian=200),
    "api:enrolment": api(custodian=404),
    "api:enrolment_discard": api(custodian=405),
    "api:enrolment_discard POST": api(custodian=404),
    "api:face_models": api(200),
    "api:face_model_licence": api(custodian=405),
    "api:face_model_licence POST": api(custodian=404),
    "api:law_packs": api(200),
    "api:requirements": api(200),
    "api:vocabulary": api(200),
    "api:limits": api(200),
    "api:limit": api(administrator=405),
    "api:limit PUT": api(administrator=422),
    "api:evaluation_adopt": api(administrator=405),
    "api:evaluation_adopt POST": api(administrator=404),
    "api:evaluations": api(200),
    "api:evaluation": api(404),
    "api:evaluation_file": api(404),
    "api:lead_rates": _for(200, "board", "auditor"),
    "api:log_health": api(200),
    "api:log_entries": _for(200, "board", "auditor"),
    "api:log_absence": _for(405, "board"),
    "api:log_absence POST": _for(422, "board"),
    "api:log_selection": _for(405, "board", "auditor"),
    "api:log_selection POST": _for(503, "board", "auditor"),
    "api:log_export": _for(405, "board", "auditor"),
    "api:log_export POST": _for(503, "board", "auditor"),
    "api:court_links": _for(200, "officer", "supervisor", "board"),
    "api:court_links POST": _for(422, "officer", "supervisor", "board"),
    "api:court_link": _for(405, "officer", "supervisor", "board"),
    "api:court_link DELETE": _for(404, "officer", "supervisor", "board"),
    "api:log_entry": _for(404, "board", "auditor"),
    "api:log_entry_open": api(board=405),
    "api:log_entry_open POST": api(board=404),
    "api:log_entry_file": _for(404, "board", "auditor"),
    "api:log_entry_receipt": _for(404, "board", "auditor"),
}


def case(cast: Cast) -> Case:
    """An unconfirmed case of Olivia's."""
    return cases.open_case(by=cast.olivia, number=f"24-{next(_numbers):05}", offence="robbery")


def withdrawn(cast: Cast) -> SearchRequest:
    return requests.withdraw(by=cast.olivia, request=requests.draft(by=cast.olivia))


def gallery(cast: Cast) -> Gallery:
    return galleries.create(
        by=cast.carl, agency=cast.agency, name=f"Bookings {next(_numbers)}", legal_basis="booking", retention_days=365
    )


def _foreign_gallery(cast: Cast) -> Gallery:
    keeper = somebody(cast, agency=cast.other_agency, roles=["custodian"])
    name = f"Theirs {next(_numbers)}"
    return galleries.create(by=keeper, agency=cast.other_agency, name=name, legal_basis="booking", retention_days=365)


def _foreign_case(cast: Cast) -> Case:
    return cases.open_case(by=cast.xavier, number=f"24-{next(_numbers):05}", offence="robbery")


Arguments = Callable[[Cast], dict[str, Any]]
_MORE: dict[str, dict[str, Any]] = {
    "attachment": {"attachment_id": uuid.uuid4()},
    "court_link": {"link_id": uuid.uuid4()},
    "receipt": {"kind": "intent"},
    "receipt_entry": {"kind": "intent"},
}
_OF_REQUEST = [
    "court_links",
    "court_link",
    "request",
    "probe",
    "probe_crop",
    "faces",
    "chosen_face",
    "attachments",
    "attachment",
    "request_submit",
    "request_withdraw",
    "request_quality",
    "request_approve",
    "request_reject",
    "request_clear",
    "request_uphold",
    "request_readings",
    "review",
    "review_decide",
    "agreed",
    "release",
    "withhold",
    "disclosures",
    "disclosure_make",
    "receipts",
    "receipt",
    "receipt_entry",
    "request_replay",
]
_OF_CASE = ["case", "case_confirm", "case_close", "case_reopen", "case_officers"]
_OF_PERSON = ["person", "person_roles", "person_training", "person_reset", "person_deactivate"]
_OF_GALLERY: dict[str, dict[str, Any]] = {
    "gallery": {},
    "editions": {},
    "edition_switch": {"edition": 1},
    "edition_reembed": {"edition": 1},
    "removals": {},
    "expungement": {"enrolled_id": uuid.uuid4()},
    "enrolments": {},
}
_OF_ENTRY = ["log_entry", "log_entry_open", "log_entry_file", "log_entry_receipt"]


def _request_of(name: str, make: Callable[[Cast], SearchRequest]) -> Arguments:
    return lambda cast: {"request_id": make(cast).pk, **_MORE.get(name, {})}


def _gallery_of(name: str, make: Callable[[Cast], Gallery]) -> Arguments:
    return lambda cast: {"gallery_id": make(cast).pk, **_OF_GALLERY[name]}


ARGUMENTS: dict[str, Arguments] = {
    **{f"api:{name}": lambda cast: {"person_id": somebody(cast).pk} for name in _OF_PERSON},
    **{f"api:{name}": lambda cast: {"case_id": case(cast).pk} for name in _OF_CASE},
    **{f"api:{name}": _request_of(name, withdrawn) for name in _OF_REQUEST},
    **{f"api:{name}": _gallery_of(name, gallery) for name in _OF_GALLERY},
    **{f"api:{name}": lambda cast: {"entry_id": uuid.uuid4()} for name in _OF_ENTRY},
    "api:token": lambda cast: {"token_id": uuid.uuid4()},
    "api:candidate_photo": lambda cast: {"view": uuid.uuid4(), "template": uuid.uuid4()},
    "api:candidate_crop": lambda cast: {"view": uuid.uuid4(), "template": uuid.uuid4()},
    **{f"api:{name}": lambda cast: {"lead_id": uuid.uuid4()} for name in ("lead_readings", "outcomes")},
    "api:lead_picture": lambda cast: {"lead_id": uuid.uuid4(), "kind": "photo"},
    "api:enrolment": lambda cast: {"enrolment_id": uuid.uuid4()},
    "api:enrolment_discard": lambda cast: {"enrolment_id": uuid.uuid4()},
    "api:enrolment_pause": lambda cast: {"enrolment_id": uuid.uuid4()},
    "api:enrolment_resume": lambda cast: {"enrolment_id": uuid.uuid4()},
    "api:face_model_licence": lambda cast: {"model_hash": "0" * 64},
    "api:requirements": lambda cast: {"code": "default"},
    "api:limit": lambda cast: {"name": "k_max"},
    "api:evaluation_adopt": lambda cast: {"evaluation_id": uuid.uuid4()},
    "api:evaluation": lambda cast: {"evaluation_id": uuid.uuid4()},
    "api:evaluation_file": lambda cast: {"evaluation_id": uuid.uuid4(), "name": "report.json"},
}

# The board sees cases and galleries of every agency.
FOREIGN: dict[str, Arguments] = {
    **{f"api:{name}": lambda cast: {"person_id": cast.xavier.pk} for name in _OF_PERSON},
    **{f"api:{name}": lambda cast: {"case_id": _foreign_case(cast).pk} for name in _OF_CASE if name != "case"},
    **{f"api:{name}": _request_of(name, lambda cast: requests.draft(by=cast.xavier)) for name in _OF_REQUEST},
    **{f"api:{name}": _gallery_of(name, _foreign_gallery) for name in _OF_GALLERY if name != "gallery"},
}
