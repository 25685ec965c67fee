"""Who gets what from every address: the expected status for each role, for somebody signed out, and for foreign things.

Authors of a page or an API view add
- a row to TABLE under the address's name (`namespace:name` in a namespace): what GET answers,
- a second row under `name POST` (or PUT, PATCH, DELETE) for every other method that it accepts. A method without a row
  has to be refused: 405 for whom the page is open, the same as GET for everybody else,
- its arguments to ARGUMENTS, a thing that a permitted person may see, made anew when a request has used it up, and to
  FOREIGN the arguments of a thing that nobody here may see: a permitted role gets 404, not 403,
- form data to DATA where an empty POST would say too little.
tests/core/test_access_walk.py fails for an address without a row and for a row without an address.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from tests.core import access_api, access_log, access_pages, access_reports, access_runs
from tests.core.access_rows import ANONYMOUS, Row, api, page, somebody
from tests.people import Cast

__all__ = ["ANONYMOUS", "ARGUMENTS", "DATA", "FOREIGN", "TABLE", "Row", "api", "page", "somebody"]


def _person(cast: Cast) -> dict[str, Any]:
    return {"person_id": somebody(cast).pk}


def _foreign_person(cast: Cast) -> dict[str, Any]:
    return {"person_id": cast.xavier.pk}


# 302 on the pages that change how one signs in: confirm first that it is you.
TABLE: dict[str, Row] = (
    access_api.TABLE
    | access_pages.TABLE
    | access_reports.TABLE
    | {
        "home": page(200),
        "health": page(200, anonymous=200),
        # Signed in already: to the start page.
        "account_login": page(302, anonymous=200),
        "account_login POST": page(302, anonymous=200),
        "account_logout": page(200),
        "account_logout POST": page(302),
        "account_reauthenticate": page(200),
        "account_reauthenticate POST": page(200),
        "account_change_password": page(200),
        "account_change_password POST": page(200),
        "mfa_index": page(200),
        "mfa_authenticate": page(302),
        "mfa_authenticate POST": page(302),
        "mfa_reauthenticate": page(302),
        "mfa_reauthenticate POST": page(302),
        "mfa_activate_totp": page(302),
        "mfa_activate_totp POST": page(302),
        "mfa_deactivate_totp": page(404),
        "mfa_deactivate_totp POST": page(404),
        "mfa_view_recovery_codes": page(404),
        "mfa_generate_recovery_codes": page(302),
        "mfa_generate_recovery_codes POST": page(302),
        "mfa_download_recovery_codes": page(404),
        "mfa_download_recovery_codes POST": page(404),
        "mfa_list_webauthn": page(200),
        "mfa_add_webauthn": page(302),
        "mfa_add_webauthn POST": page(302),
        "mfa_reauthenticate_webauthn": page(302),
        "mfa_reauthenticate_webauthn POST": page(302),
        "mfa_remove_webauthn": page(302),
        "mfa_remove_webauthn POST": page(302),
        "mfa_edit_webauthn": page(302),
        "mfa_edit_webauthn POST": page(302),
        "my_account": page(200),
        "token_add": page(302),
        "token_add POST": page(302),
        "token_revoke": page(405),
        "token_revoke POST": page(404),
        "people": page(administrator=200),
        "person_add": page(administrator=200),
        "person_add POST": page(administrator=422),
        "person": page(administrator=200),
        "person_roles": page(administrator=405),
        "person_roles POST": page(administrator=302),
        "person_training": page(administrator=405),
        "person_training POST": page(administrator=422),
        "person_reset": page(administrator=405),
        "person_reset POST": page(administrator=200),
        "person_deactivate": page(administrator=405),
        "person_deactivate POST": page(administrator=302),
        **access_log.TABLE,
        **access_runs.TABLE,
    }
)

ARGUMENTS: dict[str, Callable[[Cast], dict[str, Any]]] = (
    access_api.ARGUMENTS
    | access_pages.ARGUMENTS
    | {
        "mfa_remove_webauthn": lambda cast: {"pk": 1},
        "mfa_edit_webauthn": lambda cast: {"pk": 1},
        "token_revoke": lambda cast: {"token_id": uuid.uuid4()},
        "person": _person,
        "person_roles": _person,
        "person_training": _person,
        "person_reset": _person,
        "person_deactivate": _person,
        **access_log.ARGUMENTS,
        **access_reports.ARGUMENTS,
        **access_runs.ARGUMENTS,
    }
)

FOREIGN: dict[str, Callable[[Cast], dict[str, Any]]] = (
    access_api.FOREIGN
    | access_log.FOREIGN
    | access_pages.FOREIGN
    | {
        "person": _foreign_person,
        "person_roles": _foreign_person,
        "person_training": _foreign_person,
        "person_reset": _foreign_person,
        "person_deactivate": _foreign_person,
    }
)

DATA: dict[str, dict[str, Any]] = {}
