"""The life of a search after its rules and approvals: intent, receipt, embedding, bound, scan, receipt.

Each step is a committed fact that the next run of the job finds again, so a worker that is killed anywhere loses and
repeats nothing: the intent stands in the request's row (same transaction), bound and result entry stand in the log. The
database checks everything once more; what it cannot check are signatures, so receipts are verified here.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
import psycopg
import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.log import journal, storage, verifier_keys, witness_policy
from audit.log.checkpoint import NoteError, SignatureError
from audit.log.proof import ReceiptError
from core import database, jobs, keystore
from core.exceptions import GlasscaseError
from core.faces.decode import decode, encode_pixels
from core.faces.engines import UnusableModel
from core.models import Job, JobState, User
from core.shard_file import MAIN
from search import intake, law, sealed, shards, states, trail
from search.gate import client
from search.gate.client import GateRefused
from search.models import RequestState, SearchRequest
from search.requests import SEARCH, case_number, claim_record, finish, intent_fields, lapsed, shared_openings
from search.shards import Server

_STAGES: Final = 6
_MOST_CLEAN_BYTES: Final = 100_000_000
# Rules of the gate that end a request in a state of its own; every other one refuses it.
_ENDS: Final = {"expired": RequestState.EXPIRED, "withdrawn": RequestState.WITHDRAWN}
# Rules that say "not yet": the entry is on its way.
_NOT_YET: Final = frozenset({"receipt", "bound"})
_MOST_JOBS: Final = 10

_log = structlog.get_logger(__name__)


class _CannotRun(Exception):
    """The search cannot be run and will not be able to. `reason` is a code for the log."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


def work(request: SearchRequest, running: jobs.RunningJob) -> SearchRequest:
    """Takes the request as far as it goes, in its present state; returns it as it is then.

    Raises jobs.TryAgain while sequencer or signer do not answer: the request waits, and its `problem` says for what.
    """
    if not _start(request):
        request.refresh_from_db()
        if request.state == RequestState.DONE:  # a worker was killed between the last two steps
            keystore.destroy(claim_record(request.id))
        return request
    try:
        with database.connect("app") as own:
            _run(request, running, own)
    except trail.LogSilent as silent:
        SearchRequest.objects.filter(pk=request.pk).update(problem=silent.sentence)
        raise jobs.TryAgain(silent.sentence) from silent
    except verifier_keys.NoVerifierKey as missing:
        sentence = "The log's signer has not been started yet. The search waits and will be tried again."
        if isinstance(missing, witness_policy.NoPolicy):
            sentence = "The witness policy of the log cannot be read. The search waits and will be tried again."
        SearchRequest.objects.filter(pk=request.pk).update(problem=sentence)
        raise jobs.TryAgain(sentence) from missing
    except GateRefused as refused:
        if refused.rule in _NOT_YET:
            raise jobs.TryAgain(refused.sentence) from refused
        _end(request, _ENDS.get(refused.rule, RequestState.REFUSED), refused.rule, refused.sentence)
    except shards.ServerTrouble as trouble:
        _incomplete(request, trouble)
    except shards.OtherFace as other:
        _end(request, RequestState.FAILED, f"other_face:{other.name}", other.sentence)
    except _CannotRun as fault:
        _end(request, RequestState.FAILED, fault.reason, fault.sentence)
    request.refresh_from_db()
    return request


def expire(request: SearchRequest) -> bool:
    """Ends a request that waited too long; says whether it did."""
    with transaction.atomic():
        locked = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        late = locked.expires_at is not None and locked.expires_at <= timezone.now()
        if not late or locked.state not in states.WAITING:
            return False
        states.move(locked, RequestState.EXPIRED)
        locked.problem = "The search was not run in time. Request it again."
        locked.save()
        journal.record("search:request:expired", request=locked.id)
    keystore.destroy(claim_record(request.id))
    request.refresh_from_db()
    return True


def expire_old() -> int:
    """Ends all requests that waited too long; returns how many."""
    old = SearchRequest.objects.filter(state__in=states.WAITING, expires_at__lte=timezone.now())
    return sum(expire(request) for request in old)


def resume() -> int:
    """Queues the searches again that no job works on: after a long outage of the log, or a crash between two commits.

    An incomplete one is queued when all its servers answer, or when it is too late.
    """
    from search.approvals import advance

    found = 0
    for request in SearchRequest.objects.filter(state=RequestState.AWAITING_APPROVAL, expires_at__gt=timezone.now()):
        found += advance(request).state != request.state
    live = Job.objects.filter(kind=SEARCH, state__in=(JobState.QUEUED, JobState.RUNNING)).values("subject")
    idle = SearchRequest.objects.filter(state__in=(RequestState.READY, *states.AT_WORK)).exclude(pk__in=live)
    missed = {
        name for request in idle for name, _ in shards.listed(request) if request.state == RequestState.INCOMPLETE
    }
    back = shards.answering(missed - {MAIN}) | {MAIN}
    for request in idle:
        if request.state == RequestState.INCOMPLETE and not _worth_resuming(request, back):
            continue
        if Job.objects.filter(kind=SEARCH, subject=request.pk, state=JobState.FAILED).count() >= _MOST_JOBS:
            if request.state in states.AT_WORK:
                _end(request, RequestState.FAILED, "interrupted", "The search was interrupted too often.")
            continue
        jobs.enqueue(kind=SEARCH, subject=request.pk)
        found += 1
    return found


def _worth_resuming(request: SearchRequest, answering: set[str]) -> bool:
    late = request.expires_at is not None and request.expires_at <= timezone.now()
    return late or {name for name, _ in shards.listed(request)} <= answering


def seal_overdue() -> int:
    """Seals the results of emergencies whose deadline passed without an approval; returns how many, by all servers' count."""
    return sum(shards.everywhere(client.seal_overdue))


def _stopped(row: Job, by: User | None) -> None:
    """A fault ended the job, so it ends the search. One that was interrupted too often is for `resume`."""
    if row.state == JobState.FAILED and row.attempts < jobs.MAX_ATTEMPTS:
        request = SearchRequest.objects.filter(pk=row.subject, state__in=states.AT_WORK).first()
        if request is not None:
            _end(request, RequestState.FAILED, "fault", row.problem)


@jobs.job(SEARCH, queue="search", stopped=_stopped)
def run_search(running: jobs.RunningJob) -> None:
    """The job: `subject` is the request."""
    work(SearchRequest.objects.get(pk=running.subject), running)


def _start(request: SearchRequest) -> bool:
    """Takes the request; says whether there is anything to do."""
    if expire(request):
        return False
    with transaction.atomic():
        locked = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if locked.state == RequestState.READY:
            states.move(locked, RequestState.RUNNING)
            locked.save()
        if locked.state not in states.AT_WORK:
            return False
    gone = lapsed(locked) if locked.intent is None else []
    if gone:
        _end(request, RequestState.REFUSED, gone[0].code, " ".join(refusal.sentence for refusal in gone))
    return not gone


def _run(request: SearchRequest, running: jobs.RunningJob, own: psycopg.Connection) -> None:
    """Step by step in all servers of the gallery: none takes the next before all have taken the one before."""
    with shards.opened(request, own) as servers:
        running.progress(0, _STAGES, "filing the intent")
        intents = _intents(request, servers)
        running.progress(1, _STAGES, "waiting for the intent's receipt")
        for server in servers:
            with server.speaking():
                trail.wait(server.connection, intents[server.name], covered=True, alive=running.check)
                _verify(server, intents[server.name], request, running.check)
                if (wrong := trail.wrong_proof(server.connection, request.id, request.params)) is not None:
                    raise _CannotRun("approval_proof", f"The proof of an approval of this search is wrong: {wrong}.")
        running.progress(2, _STAGES, "reading the face")
        bound = _bound_all(request, servers, intents, running)
        running.progress(4, _STAGES, "searching")
        results = _results(request, servers, bound)
        if not request.shards:  # else the claim is what every further run compares the bound faces with
            keystore.destroy(claim_record(request.id))
        running.progress(5, _STAGES, "waiting for the result's receipt")
        for server in servers:
            with server.speaking():
                trail.wait(server.connection, results[server.name], covered=True, alive=running.check)
                _verify(server, results[server.name], request, running.check)
        if request.shards:
            shards.merge_in_logs(servers, request, results, running.check)
    with transaction.atomic():
        locked = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        states.move(locked, RequestState.DONE)
        locked.done_at, locked.problem = timezone.now(), ""
        locked.save()
    keystore.destroy(claim_record(request.id))
    running.progress(_STAGES, _STAGES, "done")


def _intents(request: SearchRequest, servers: Sequence[Server]) -> dict[str, uuid.UUID]:
    """The intent's entry in each server's log."""
    main, *others = servers
    found = {main.name: _intent(request)}
    body = storage.entry_body(main.connection, found[main.name])
    for server in others:
        with server.speaking():
            found[server.name] = shards.file_intent(server, request, body)
    return found


def _bound_all(
    request: SearchRequest, servers: Sequence[Server], intents: Mapping[str, uuid.UUID], running: jobs.RunningJob
) -> dict[str, uuid.UUID]:
    """The bound entries, when they are in the tree. The face is read once, if it has to be read at all.

    What the servers of a spread gallery have bound is compared in every run, also where there is a result already: whoever
    holds the claim could have bound another face in one of them and searched with it at once.
    """
    probe = cache(lambda: _embedding(request))
    found: dict[str, uuid.UUID] = {}
    for server in servers:
        with server.speaking():
            found[server.name] = _bound(request, intents[server.name], server.connection, probe)
    running.progress(3, _STAGES, "waiting for the bound entry")
    for server in servers:
        with server.speaking():
            trail.wait(server.connection, found[server.name], covered=False, alive=running.check)
            if request.shards:
                entry = trail.find(
                    server.connection, request.id, "search:probe:bound", intent=str(intents[server.name])
                )
                assert entry is not None, "it was waited for"
                shards.check_bound(server, request, entry, probe(), _claim_secret(request))
    return found


def _intent(request: SearchRequest) -> uuid.UUID:
    """The intent's entry: filed once, in the transaction that notes it in the row."""
    with transaction.atomic():
        locked = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if locked.intent is None:
            openings = shared_openings(locked)
            openings.pop("original")
            locked.intent = journal.record(
                "search:intent:filed",
                vault_record=locked.id,
                openings=openings.values(),
                about_case=case_number(locked),
                params=locked.params,
                **intent_fields(locked),
            )
            locked.save()
        return locked.intent


def _verify(server: Server, entry: uuid.UUID, request: SearchRequest, alive: Callable[[], None]) -> None:
    """Checks the entry's receipt with the public key of the server's log: the database cannot. Witnesses cosign the main log.

    Raises LogSilent while no checkpoint over the entry verifies: anybody with the signer's password could record one.
    """
    own = server.connection
    body = storage.entry_body(own, entry)
    end = time.monotonic() + settings.GLASSCASE_LOG_WAIT_SECONDS
    while True:
        try:
            keys = server.keys()
            storage.receipt(own, entry, keys, signed_only=not server.is_main).verify(body, keys)
            break
        except storage.NotCovered as missing:
            if time.monotonic() > end and server.is_main and _verified_without_witnesses(own, entry, request, body):
                break
            if time.monotonic() > end:
                raise trail.LogSilent(
                    "No checkpoint over this search verifies under the log's public key"
                    f"{'' if witness_policy.configured() is None else ' and has a quorum of witnesses'}. "
                    "The search waits and will be tried again. Tell the administrator."
                ) from missing
            alive()
            time.sleep(0.25)
        except (ReceiptError, NoteError, SignatureError) as wrong:
            _log.error("receipt does not verify", entry=str(entry), problem=str(wrong))
            raise _CannotRun(
                "receipt_wrong", "The receipt of this search does not verify. Tell the administrator."
            ) from wrong
    if json.loads(body).get("request") != str(request.id):
        raise _CannotRun("receipt_wrong", "The receipt belongs to another search. Tell the administrator.")


def _verified_without_witnesses(own: psycopg.Connection, entry: uuid.UUID, request: SearchRequest, body: bytes) -> bool:
    """Whether the log's own signature over the entry suffices now; where it does, the log says that it had to."""
    if not storage.quorum_waived(own):
        return False
    try:
        storage.receipt(own, entry, signed_only=True).verify(body, verifier_keys.published())
    except storage.NotCovered:
        return False
    journal.record_now("log:quorum:waived", request=request.id, entry=entry)
    return True


def _bound(
    request: SearchRequest, intent: uuid.UUID, own: psycopg.Connection, probe: Callable[[], np.ndarray]
) -> uuid.UUID:
    found = trail.find(own, request.id, "search:probe:bound", intent=str(intent))
    if found is None:
        entry = client.bind(own, intent=intent, probe=probe(), claim_secret=_claim_secret(request))
        found = trail.find(own, request.id, "search:probe:bound", intent=str(intent))
        assert found is not None, f"bound as {entry}"
    deadline = found.fields.get("deadline")
    if deadline is not None and request.deadline_at is None:
        request.deadline_at = _deadline(request, found.at, datetime.fromtimestamp(deadline / 1000, UTC))
        SearchRequest.objects.filter(pk=request.pk).update(deadline_at=request.deadline_at)
    return found.id


def _deadline(request: SearchRequest, bound: datetime, of_gate: datetime) -> datetime:
    """Until when an emergency has to be approved: the law pack's deadline, or the gate's where that comes first."""
    assert request.submitted_at is not None
    hours = law.pack(request.law_pack, request.submitted_at).emergency.deadline_hours
    return min(of_gate, bound + timedelta(hours=hours))


def _claim_secret(request: SearchRequest) -> bytes:
    try:
        return keystore.get(claim_record(request.id))
    except keystore.KeyMissing as missing:
        raise _CannotRun("claim_missing", "The key of this search is gone. Make a new request.") from missing


def _embedding(request: SearchRequest) -> np.ndarray:
    """The embedding of the chosen face and of no other. It is nowhere kept here; what the model saw is kept as a crop."""
    from search import face_models

    try:
        rgb = decode(intake.probe_image(request), max_bytes=_MOST_CLEAN_BYTES).rgb
        face = intake.chosen(sealed.read(request), request.chosen_face or 0)
        engine = face_models.engine(request.face_model)
        if engine.identity().hash != request.face_model:
            raise _CannotRun("face_model", "The face model of this search is not installed here any more.")
        crop = encode_pixels(engine.aligned_crop(rgb, face), format="PNG")
        sealed.write_file(request, sealed.crop_path(request), crop)
        return engine.embed(rgb, face)
    except UnusableModel as problem:
        raise _CannotRun(f"face_model:{problem.code}", problem.sentence) from problem
    except GlasscaseError as problem:
        raise _CannotRun("probe", problem.sentence) from problem
    except LookupError as problem:
        raise _CannotRun("probe", "The chosen face is not kept any more. Make a new request.") from problem


def _results(request: SearchRequest, servers: Sequence[Server], bound: Mapping[str, uuid.UUID]) -> dict[str, uuid.UUID]:
    """Searches in all servers at once, each on its own connection; one that fails keeps none of the others from its result."""

    def search(server: Server) -> tuple[str, uuid.UUID]:
        with server.speaking():
            return server.name, _result(request, bound[server.name], server)

    if len(servers) == 1:
        return dict([search(servers[0])])
    with ThreadPoolExecutor(len(servers)) as pool:
        return dict(pool.map(search, servers))


def _result(request: SearchRequest, bound: uuid.UUID, server: Server) -> uuid.UUID:
    found = trail.find(server.connection, request.id, "search:result:stored", bound=str(bound))
    if found is None:
        client.execute(server.connection, request.id, _claim_secret(request))
        found = trail.find(server.connection, request.id, "search:result:stored", bound=str(bound))
    assert found is not None, "execute writes the entry or refuses"
    return found.id


def _incomplete(request: SearchRequest, trouble: shards.ServerTrouble) -> None:
    """A server has not done its part: the search waits for it, until it expires, and its log says so once for each reason."""
    late = request.expires_at is not None and request.expires_at <= timezone.now()
    if late:
        _end(request, RequestState.EXPIRED, trouble.reason, f"{trouble.sentence} The search was not completed in time.")
        return
    with transaction.atomic():
        locked = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if locked.state not in states.AT_WORK or (locked.state, locked.problem) == (
            RequestState.INCOMPLETE,
            trouble.sentence,
        ):
            return
        if locked.state == RequestState.RUNNING:
            states.move(locked, RequestState.INCOMPLETE)
        locked.problem = trouble.sentence[:500]
        locked.save()
        journal.record("search:request:incomplete", request=locked.id, shard=trouble.name, reason=_code(trouble.reason))


def _end(request: SearchRequest, to: RequestState, reason: str, sentence: str) -> None:
    """Ends a running search with its sentence, and says so in the log."""
    with transaction.atomic():
        locked = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if locked.state not in states.AT_WORK:
            return
        if to == RequestState.EXPIRED:
            journal.record("search:request:expired", request=locked.id)
        elif to != RequestState.WITHDRAWN:  # the gate wrote that one itself
            journal.record("search:request:failed", request=locked.id, reason=_code(reason))
        finish(locked, to, problem=sentence)


def _code(reason: str) -> str:
    clean = "".join(letter if letter.isalnum() or letter in "_.:-" else "_" for letter in reason.lower())
    return clean[:80] if clean[:1].isalnum() else hashlib.sha256(reason.encode()).hexdigest()[:16]
