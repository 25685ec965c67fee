"""Every act is an entry: what each address and each command that changes something has to leave in the log.

While tests run, `EveryActIsAnEntry` stands among the middleware (tests/kits.py) and `watch_commands` around the commands:
each request and each command that a test does and that succeeds is looked up here and held against the log. So a row here
is no claim: wherever a test does the act, its entry is seen, and an act that no row names fails the test that does it.
tests/core/test_every_act_is_an_entry.py compares the rows with the addresses and commands that there are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from django.db import DatabaseError, connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tests import run

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")

# Address and method -> the events of which a success leaves at least one.
ACTS: dict[str, tuple[str, ...]] = {
    # Signing in and out, and how one signs in
    "account_login POST": ("core:user:signed_in",),
    "account_logout POST": ("core:user:signed_out",),
    "account_change_password POST": ("core:user:credential_changed",),
    "mfa_authenticate POST": ("core:user:signed_in",),
    "mfa_activate_totp POST": ("core:user:credential_changed",),
    "mfa_deactivate_totp POST": ("core:user:credential_changed",),
    "mfa_generate_recovery_codes POST": ("core:user:credential_changed",),
    "mfa_add_webauthn POST": ("core:user:credential_changed",),
    "mfa_remove_webauthn POST": ("core:user:credential_changed",),
    "register POST": ("core:user:registered",),
    "token_add POST": ("core:token:issued",),
    "token_revoke POST": ("core:token:revoked",),
    "api:token DELETE": ("core:token:revoked",),
    # People
    "person_add POST": ("core:user:added",),
    "person_roles POST": ("core:user:roles_changed",),
    "person_training POST": ("core:user:training_recorded",),
    "person_reset POST": ("core:user:credential_changed",),
    "person_deactivate POST": ("core:user:deactivated",),
    "api:people POST": ("core:user:added",),
    "api:person_roles PUT": ("core:user:roles_changed",),
    "api:person_training PUT": ("core:user:training_recorded",),
    "api:person_reset POST": ("core:user:credential_changed",),
    "api:person_deactivate POST": ("core:user:deactivated",),
    # Cases
    "case_open POST": ("search:case:opened",),
    "case_confirm POST": ("search:case:confirmed",),
    "case_close POST": ("search:case:closed",),
    "case_reopen POST": ("search:case:reopened",),
    "case_assign POST": ("search:case:assigned",),
    "api:cases POST": ("search:case:opened",),
    "api:case_import POST": ("search:case:imported",),
    "api:case_confirm POST": ("search:case:confirmed",),
    "api:case_close POST": ("search:case:closed",),
    "api:case_reopen POST": ("search:case:reopened",),
    "api:case_officers PUT": ("search:case:assigned",),
    # Searches
    "search_discard POST": ("search:request:withdrawn",),
    "search_attach POST": ("search:attachment:filed",),
    "approval POST": ("search:request:approved",),
    "approval_reject POST": ("search:request:rejected",),
    "photo_accept POST": ("search:quality:overridden",),
    "hold POST": ("search:request:cleared",),
    "api:attachments POST": ("search:attachment:filed",),
    "api:request_submit POST": ("search:request:submitted",),
    "api:request_withdraw POST": ("search:request:withdrawn",),
    "api:request_quality POST": ("search:quality:overridden",),
    "api:request_approve POST": ("search:request:approved",),
    "api:request_reject POST": ("search:request:rejected",),
    "api:request_clear POST": ("search:request:cleared",),
    "api:request_uphold POST": ("search:request:cleared",),
    "api:request_replay POST": ("search:result:replayed",),
    # Candidates, reviews, leads
    "candidates POST": ("search:candidates:viewed",),
    "api:request_readings POST": ("search:candidates:viewed",),
    "review_decide POST": ("search:review:decided",),
    "release POST": ("search:candidates:viewed",),
    "release_decide POST": ("search:lead:released", "search:lead:withheld"),
    "lead POST": ("search:lead:viewed",),
    "outcome POST": ("search:outcome:recorded",),
    "disclose POST": ("search:disclosure:made",),
    "api:review_decide POST": ("search:review:decided",),
    "api:agreed POST": ("search:candidates:viewed",),
    "api:release POST": ("search:lead:released",),
    "api:withhold POST": ("search:lead:withheld",),
    "api:lead_readings POST": ("search:lead:viewed",),
    "api:outcomes POST": ("search:outcome:recorded",),
    "api:disclosure_make POST": ("search:disclosure:made",),
    # Galleries and face models
    "gallery_create POST": ("gallery:gallery:created",),
    "edition_register POST": ("gallery:edition:registered",),
    "edition_switch POST": ("gallery:edition:switched",),
    "edition_reembed POST": ("gallery:reembedding:opened",),
    "enrolment_pause POST": ("gallery:enrolment:failed",),
    "enrolment_resume POST": ("gallery:enrolment:resumed",),
    "api:edition_reembed POST": ("gallery:reembedding:opened",),
    "api:enrolment_pause POST": ("gallery:enrolment:failed",),
    "api:enrolment_resume POST": ("gallery:enrolment:resumed",),
    "api:galleries POST": ("gallery:gallery:created",),
    "api:editions POST": ("gallery:edition:registered",),
    "api:edition_switch POST": ("gallery:edition:switched",),
    "api:removals POST": ("gallery:template:removed",),
    "api:expungement POST": ("gallery:person:expunged",),
    "api:enrolment_discard POST": ("gallery:batch:discarded",),
    "api:face_model_licence POST": ("model:licence:acknowledged",),
    # Limits, evaluations, testers, findings
    "limit_set POST": ("gate:policy:set",),
    "evaluation_adopt POST": ("gate:evaluation:adopted",),
    "api:limit PUT": ("gate:policy:set",),
    "api:evaluation_adopt POST": ("gate:evaluation:adopted",),
    "evaluation_start POST": ("evaluation:run:requested", "evaluation:run:started"),
    "evaluation_pause POST": ("evaluation:run:paused",),
    "evaluation_resume POST": ("evaluation:run:resumed",),
    "evaluation_cancel POST": ("evaluation:run:cancelled",),
    "api:evaluation_runs POST": ("evaluation:run:requested", "evaluation:run:started"),
    "api:evaluation_run_pause POST": ("evaluation:run:paused",),
    "api:evaluation_run_resume POST": ("evaluation:run:resumed",),
    "api:evaluation_run_cancel POST": ("evaluation:run:cancelled",),
    "report_measure_again POST": ("evaluation:run:requested",),
    "report_file POST": ("evaluation:report:downloaded",),
    "api:testing_sessions POST": ("testing:session:opened",),
    "api:testing_scores POST": ("testing:set:scored",),
    "api:testing_session DELETE": ("testing:session:closed",),
    "finding_file POST": ("oversight:finding:opened",),
    "finding_close POST": ("oversight:finding:closed",),
    # The log
    "log_entry_open POST": ("vault:record:viewed",),
    "log_opening POST": ("vault:record:viewed",),
    "api:log_entry_open POST": ("vault:record:viewed",),
    "log_selection POST": ("log:selection:exported",),
    "log_absence POST": ("log:absence:stated",),
    "log_whole POST": ("log:export:made",),
    "api:log_absence POST": ("log:absence:stated",),
    "api:log_selection POST": ("log:selection:exported",),
    "api:log_export POST": ("log:export:made",),
    "court_links POST": ("search:court_link:made",),
    "court_link_revoke POST": ("search:court_link:revoked",),
    "api:court_links POST": ("search:court_link:made",),
    "api:court_link DELETE": ("search:court_link:revoked",),
}

# What leaves no entry, and why that is right.
NOTHING: dict[str, str] = {
    "account_reauthenticate POST": "Who is signed in shows again that it is them; a wrong password is an entry.",
    "mfa_reauthenticate POST": "As account_reauthenticate.",
    "mfa_reauthenticate_webauthn POST": "As account_reauthenticate.",
    "mfa_edit_webauthn POST": "Changes the name that a person gave to a passkey, and nothing that it opens.",
    "mfa_download_recovery_codes POST": "Answers what GET answers: one's own codes, which are not changed.",
    "search_new POST": "A draft is the officer's alone, and nothing is searched with it: the request is the act.",
    "search_edit POST": "As search_new; what was submitted or refused from here is looked at in tests of the request.",
    "report_labels POST": "One verdict of many: the pair was shown under an entry, and all verdicts together are one when they count.",
    "api:requests POST": "As search_new.",
    "api:request PATCH": "As search_new.",
    "api:probe PUT": "As search_new: faces are found, and nothing is embedded.",
    "api:chosen_face POST": "As search_new.",
}

# Commands -> the events of which a success leaves at least one.
COMMANDS: dict[str, tuple[str, ...]] = {
    "add_agency": ("core:agency:added",),
    "add_user": ("core:user:added",),
    "announce_maintenance": ("log:database:maintained",),
    "backup_keys": ("core:keys:backed_up",),
    "enrol_approver": ("gate:approver:enrolled",),
    "enrol_passkey": ("gate:passkey:enrolled",),
    "migrate": ("log:database:maintained",),
    "revoke_approver": ("gate:approver:revoked",),
    "revoke_passkeys": ("gate:passkey:revoked",),
    "unlock_approver": ("gate:approver:unlocked",),
    "acknowledge_licence": ("model:licence:acknowledged",),
    "adopt_evaluation": ("gate:evaluation:adopted",),
    "approve": ("search:request:approved",),
    "build_codes": ("gallery:codes:built",),
    "create_gallery": ("gallery:gallery:created",),
    "enroll": ("gallery:enrolment:started",),
    "erase_search": ("search:probe:erased",),
    "expunge": ("gallery:person:expunged",),
    "import_templates": ("gallery:import:started",),
    "import_cases": ("search:case:imported",),
    "open_case": ("search:case:opened",),
    "legal_hold": ("gate:hold:placed", "gate:hold:lifted"),
    "define_sub_gallery": ("gallery:sub_gallery:defined",),
    "spread_gallery": ("gate:gallery:spread",),
    "register_edition": ("gallery:edition:registered",),
    "reembed": ("gallery:reembedding:opened",),
    "remove": ("gallery:template:removed",),
    "replay": ("search:result:replayed",),
    "search": ("search:request:submitted", "core:command:used"),
    "evaluate": ("evaluation:run:started",),
    "export_log": ("log:export:made",),
    "recover_log": ("log:entries:recovered",),
    "rotate_log_key": ("log:key:announced", "log:key:rotated"),
    "switch_edition": ("gallery:edition:switched",),
    "state_absence": ("log:absence:stated",),
    "succeed_log": ("log:origin:succeeded",),
}

COMMANDS_OF_NOTHING: dict[str, str] = {
    "benchmarks": "Lists; adding and verifying sets are entries of the services that do it.",
    "demo": "Does what the other commands and pages do, each with its entry.",
    "doctor": "Reads.",
    "dsn": "Prints a connection string to whoever holds every key.",
    "init_database": "Makes roles before there is a log.",
    "add_shard": "Makes another server, whose own log begins with its name (gate:shard:named).",
    "run_jobs": "Does jobs that were asked for; each has its own entries.",
    "serve": "Starts processes.",
    "stop_database": "Stops the embedded database.",
    "request_states": "Prints a page of documentation.",
    "events_reference": "Prints a page of documentation.",
    "two_stage_reference": "Prints a page of documentation.",
    "log_key": "Prints the public key.",
    "notifier": "A process; what it tells is an entry each time.",
    "sequencer": "A process that gives entries their places.",
    "signer": "A process that signs the tree.",
    "verifier": "Writes the verifier, which is public.",
    "witness": "Writes the witness of the oversight board as one file.",
    "witness_client": "A process that asks witnesses; what follows when they are gone is an entry each time.",
    "evaluator": "Writes the program that computes a report again, which is public.",
}

SEEN = run.HOME / "acts-seen"


def newest() -> int | None:
    """The newest entry's number in the table; None where the log cannot be read."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) FROM log.entry")
            row = cursor.fetchone()
    except (DatabaseError, psycopg.Error):
        return None
    return None if row is None else int(row[0])


def since(number: int) -> set[str]:
    """The events logged after that entry."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT type FROM log.entry WHERE id > %s", [number])
        return {type_ for (type_,) in cursor.fetchall()}


def _frozen() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM logwork.frozen)")
        row = cursor.fetchone()
    return bool(row and row[0])


def hold(act: str, wanted: tuple[str, ...], before: int) -> None:
    """Raises AssertionError when an act that succeeded left none of its entries; notes that it was seen."""
    if _frozen():
        return  # what may be taken away all the same is tested for itself
    found = since(before)
    assert found & set(wanted), f"{act} succeeded and left none of {wanted} in the log, only {sorted(found)}"
    SEEN.mkdir(exist_ok=True)
    (SEEN / act.replace(" ", "+")).touch()


def _nothing_was_done(request: HttpRequest, response: HttpResponseBase, act: str, signed_in: bool) -> bool:
    """Whether an answer that looks like a success is none: a form shown again, a question who one is."""
    if response.status_code >= 400:
        return True
    where = response.headers.get("Location", "")
    if "reauthenticate" in where or "/login" in where:
        return act != "account_logout POST"
    ours = not act.startswith(("account_", "mfa_"))
    if not ours and response.status_code == 200:
        return True  # allauth shows a wrong form again with 200
    if act == "account_login POST":
        return signed_in or "/mfa/" in where
    if act == "account_logout POST":
        return not signed_in
    if act == "mfa_authenticate POST":
        return signed_in or "/login" in where
    return request.headers.get("Content-Type", "") == "" and act == "mfa_add_webauthn POST"


class EveryActIsAnEntry:
    """Middleware of the tests, outermost."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in UNSAFE:
            return self.get_response(request)
        before = newest()
        response = self.get_response(request)
        match = request.resolver_match
        if match is None or before is None or match.func.__module__.startswith("tests."):
            return response
        act = f"{match.view_name} {request.method}"
        if act in NOTHING or _nothing_was_done(request, response, act, getattr(request, "was_signed_in", False)):
            return response
        assert act in ACTS, f"{act}: say in tests/acts.py which entry it leaves"
        hold(act, ACTS[act], before)
        return response


class WhoeverAsked:
    """Middleware of the tests, behind the session: remembers whether somebody was signed in as the request came."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in UNSAFE:
            request.was_signed_in = request.user.is_authenticated  # type: ignore[attr-defined]
        return self.get_response(request)


def middleware(given: list[str]) -> list[str]:
    """The product's middleware with both of these."""
    at = given.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    return [f"{__name__}.EveryActIsAnEntry", *given[:at], f"{__name__}.WhoeverAsked", *given[at:]]


@contextlib.contextmanager
def watch_commands() -> Iterator[None]:
    """Holds every command that a test calls and that succeeds against the log."""
    from django.core.management.base import BaseCommand

    original = BaseCommand.execute

    def execute(self: BaseCommand, *args: Any, **options: Any) -> Any:
        name = type(self).__module__.rpartition(".")[2]
        wanted = COMMANDS.get(name) if type(self).__module__.split(".")[0] in ("core", "search", "audit") else None
        before = newest() if wanted and name not in _OF_ANOTHER_DATABASE else None
        done = original(self, *args, **options)
        if wanted and before is not None:
            hold(f"manage.py {name}", wanted, before)
        return done

    BaseCommand.execute = execute  # type: ignore[method-assign]
    try:
        yield
    finally:
        BaseCommand.execute = original  # type: ignore[method-assign]


# These change which database or role is connected, or do nothing when there is nothing to do; their own tests look.
_OF_ANOTHER_DATABASE = frozenset({"migrate", "recover_log", "succeed_log"})


def seen() -> set[str]:
    """The acts that tests of this run have done and that left their entries."""
    return {place.name.replace("+", " ") for place in SEEN.iterdir()} if SEEN.is_dir() else set()


def modules(root: Path) -> set[str]:
    """The names of the product's commands."""
    return {
        file.stem
        for app in ("core", "search", "audit")
        for file in (root / app / "management" / "commands").glob("*.py")
        if not file.stem.startswith("_")
    }
