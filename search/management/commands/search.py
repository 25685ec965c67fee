"""`manage.py search … --as USER`: one search through the same gate as the pages.

Exit status: 0 the result is in the signed log; 3 refused; 4 something is awaited (a face to be chosen, counsel, an
approval, the log): go on with `search --resume REQUEST --as USER`. The last line is one JSON object.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import database, jobs
from core.acting import user_from_option
from core.exceptions import GlasscaseError, Invalid
from core.models import Job, JobState, User
from search import intake, methods, permissions, readings, requests, sealed, states, trail
from search.exceptions import SearchRefused
from search.models import RequestState, SearchRequest
from search.requests import RequestFields
from search.vocabulary import ATTACHMENT_KINDS, LEGAL_BASES, OFFENCES, PROBE_KINDS, PURPOSES

REFUSED = 3
AWAITING = 4
_LIVE = (JobState.QUEUED, JobState.RUNNING)


class Command(BaseCommand):
    help = "Request a search, or go on with one, in somebody's name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", dest="user", required=True, help="username of the officer")
        parser.add_argument("--resume", type=uuid.UUID, metavar="REQUEST", help="go on with this request")
        parser.add_argument("--case", default="", help="agency case number")
        parser.add_argument("--purpose", default="", help=_one_of(PURPOSES))
        parser.add_argument("--offence", default="", help=_one_of(OFFENCES))
        parser.add_argument("--legal-basis", default="", help=_one_of(LEGAL_BASES))
        parser.add_argument("--justification", default="", help="what happened, and why this search is needed")
        parser.add_argument("--gallery", default="", help="name or id")
        parser.add_argument("--sub-gallery", default="", metavar="NAME", help="search only this part of the gallery")
        parser.add_argument("--probe", type=Path, metavar="FILE", help="the photo")
        parser.add_argument(
            "--probe-kind", default="photo", choices=sorted(PROBE_KINDS), metavar="KIND", help=_one_of(PROBE_KINDS)
        )
        parser.add_argument("--face", type=int, metavar="N", help="which face, counted from the left")
        parser.add_argument("--k", type=int, help="longest list of candidates")
        parser.add_argument(
            "--threshold", type=float, metavar="T", help="match score, 0 to 1; default: the adopted one"
        )
        parser.add_argument("--emergency", action="store_true")
        parser.add_argument("--attachment", action="append", default=[], metavar="[KIND=]FILE")
        parser.add_argument("--out", type=Path, metavar="DIR", help="where receipts are written")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "search")
        try:
            request = self._resumed(by, options) if options["resume"] else self._requested(by, options)
            self._finish(by, request, options)
        except SearchRefused as refused:
            self._end(
                REFUSED,
                refused=[
                    {"code": one.code, "field": one.field, "sentence": one.sentence, "citation": one.citation}
                    for one in refused.refusals
                ],
            )
        except Invalid as wrong:
            fields = wrong.field_errors or {"": [wrong.sentence]}
            self._end(
                REFUSED,
                refused=[
                    {"code": "invalid", "field": name, "sentence": sentence}
                    for name, sentences in fields.items()
                    for sentence in sentences
                ],
            )
        except GlasscaseError as problem:
            self._end(REFUSED, refused=[{"code": str(problem.status), "field": "", "sentence": problem.sentence}])

    def _requested(self, by: User, options: dict[str, Any]) -> SearchRequest:
        threshold = options["threshold"]
        fields = RequestFields(
            case_number=options["case"],
            purpose=options["purpose"],
            offence=options["offence"],
            legal_basis=options["legal_basis"],
            justification=options["justification"],
            gallery=options["gallery"],
            sub_gallery=options["sub_gallery"],
            probe_kind=options["probe_kind"],
            emergency=options["emergency"],
            threshold=None if threshold is None else _millionths(threshold),
            k=options["k"],
        )
        request = requests.fill_in(by=by, request=requests.draft(by=by), fields=fields)
        if options["probe"] is not None:
            request = intake.receive(by=by, data=self._bytes(options["probe"]), request=request, send=False)
        for given in options["attachment"]:
            kind, named, file = given.partition("=")
            if not named:
                kind, file = fields.legal_basis if fields.legal_basis in ATTACHMENT_KINDS else "other", given
            requests.attach(by=by, request=request, kind=kind, name=Path(file).name, data=self._bytes(Path(file)))
        return self._submitted(by, request, options)

    def _resumed(self, by: User, options: dict[str, Any]) -> SearchRequest:
        request = SearchRequest.objects.filter(pk=options["resume"]).first()
        if request is None or not permissions.can_see_request(by, request):
            raise CommandError("There is no such search request for you.")
        if request.state == RequestState.DRAFT:
            return self._submitted(by, request, options)
        return request

    def _submitted(self, by: User, request: SearchRequest, options: dict[str, Any]) -> SearchRequest:
        if "image" in sealed.read(request):
            request = self._checked(request)
            several = request.faces_found > 1 and request.chosen_face is None
            if options["face"] is not None and request.faces_found:
                if not 1 <= options["face"] <= request.faces_found:
                    self._await_face(request, f"There is no face {options['face']} in this photo. ")
                request = intake.choose_face(by=by, request=request, face=options["face"])
            elif several:
                self._await_face(request)
        return requests.submit(by=by, request=request, fields=requests.typed(request), channel="cli")

    def _checked(self, request: SearchRequest) -> SearchRequest:
        """Runs the probe check here when it has not been done, or was done under another face model."""
        if not intake.is_checked(request):
            job = jobs.run_here(jobs.enqueue(kind=intake.PROBE_CHECK, subject=request.id, send=False).id)
            if job.state != JobState.DONE:
                raise CommandError(job.problem or "The photo could not be checked.")
            request.refresh_from_db()
        return request

    def _finish(self, by: User, request: SearchRequest, options: dict[str, Any]) -> None:
        if request.state == RequestState.HELD:
            self._end(AWAITING, request=str(request.id), state=request.state, awaiting="counsel")
        if request.state == RequestState.AWAITING_APPROVAL:
            self._end(AWAITING, request=str(request.id), state=request.state, awaiting="approval")
        if request.state in (RequestState.READY, *states.AT_WORK):
            request = self._run(request)
        if request.state == RequestState.INCOMPLETE:
            self._end(
                AWAITING, request=str(request.id), state=request.state, awaiting="server", sentence=request.problem
            )
        if request.state != RequestState.DONE:
            sentence = request.problem or states.said(request.state)
            self._end(
                REFUSED,
                request=str(request.id),
                state=request.state,
                refused=[{"code": f"request:{request.state}", "field": "", "sentence": sentence}],
            )
        out: Path = options["out"] or Path(settings.GLASSCASE_HOME) / "receipts" / str(request.id)
        out.mkdir(parents=True, exist_ok=True)
        written = {}
        for file in readings.receipts(by=by, request=request):
            (out / file.receipt_name).write_bytes(file.receipt)
            (out / file.entry_name).write_bytes(file.body)
            written[file.kind] = {"receipt": str(out / file.receipt_name), "entry": str(out / file.entry_name)}
        used = methods.by_server(trail.entries(database.session(), request.id))
        said: dict[str, Any] = {
            "request": str(request.id),
            "state": request.state,
            "method": methods.sentence(used),
            "servers": [one.as_dict() for one in used],
            "receipt": written["result"]["receipt"],
            "entry": written["result"]["entry"],
            "receipts": written,
        }
        if permissions.can_view_candidates(by, request):
            reading = readings.open_candidates(by=by, request=request)
            said["candidates"] = [
                {
                    "rank": row.rank,
                    "template": str(row.template),
                    "score": None if row.score_milli is None else row.score_milli / 1000,
                    "person_ref": row.photo.person_ref if row.photo else None,
                }
                for row in reading.candidates
            ]
        self.stdout.write(json.dumps(said))

    def _run(self, request: SearchRequest) -> SearchRequest:
        """Runs the search in this process, or waits for the worker that has it."""
        job = jobs.enqueue(kind=requests.SEARCH, subject=request.id, send=False)
        while True:
            given_back = jobs.run(job.id) == JobState.QUEUED
            request.refresh_from_db()
            if request.state not in (RequestState.READY, RequestState.RUNNING):
                return request
            if given_back or not Job.objects.filter(id=job.id, state__in=_LIVE).exists():
                sentence = request.problem or "The search waits and will be tried again."
                self._end(AWAITING, request=str(request.id), state=request.state, awaiting="log", sentence=sentence)
            time.sleep(0.25)

    def _await_face(self, request: SearchRequest, before: str = "") -> NoReturn:
        count = request.faces_found
        self._end(
            AWAITING,
            request=str(request.id),
            state=request.state,
            awaiting="face",
            faces=[{"face": face.number, "box": face.box} for face in intake.faces(request)],
            sentence=f"{before}{count} face{'s were' if count > 1 else ' was'} found. Choose one with --face.",
        )

    def _bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from error

    def _end(self, status: int, **said: Any) -> NoReturn:
        self.stdout.write(json.dumps(said))
        raise SystemExit(status)


def _one_of(codes: Iterable[str]) -> str:
    return "one of: " + ", ".join(sorted(codes))


def _millionths(score: float) -> int:
    """Whatever was typed as a number the rules can refuse: no number is 0, and nothing overflows."""
    return 0 if math.isnan(score) else round(max(-1.0, min(2.0, score)) * 1_000_000)
