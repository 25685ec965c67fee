"""Jobs: work that a worker does for a row of the job table.

The row is the truth and Celery only carries its id, because the embedded broker does not deliver again what a killed
worker had taken. A worker claims a row by compare-and-swap and holds it by a lease: the number of the attempt is the
fencing token, `heartbeat_at` the sign of life. `reconcile` queues rows again whose worker has fallen silent, so every
handler has to be idempotent: it looks at what is done already and goes on from there.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import psycopg
import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from audit.log.journal import LogUnavailable
from core import database
from core.logs import places
from core.models import Job, JobState, User

MAX_ATTEMPTS: Final = 5
# A message may have died with a worker; one that only waits its turn is sent twice, and the second does nothing.
RESEND_SECONDS: Final = 30
RESEND_MOST: Final = 50
# A handler that reports nothing for so long hangs: its lease is left to run out.
SILENCE_SECONDS: Final = 1800

_log = structlog.get_logger(__name__)


class JobCancelled(Exception):
    """Somebody cancelled the job: the handler stops here."""


class LeaseLost(Exception):
    """The job was given to another worker in the meantime: this one stops without a word."""


class TryAgain(Exception):
    """What the job needs is not there now (the database, the log): it is queued again, a limited number of times."""


_TRANSIENT = (TryAgain, LogUnavailable, OperationalError, InterfaceError, psycopg.OperationalError)

Handler = Callable[["RunningJob"], None]
# Called once, in the transaction that makes the job failed or cancelled; with who cancelled it.
Stopped = Callable[[Job, User | None], None]


@dataclass(frozen=True)
class Kind:
    """What workers do for a kind of job, and the queue in which such jobs wait."""

    name: str
    handler: Handler
    queue: str
    stopped: Stopped | None = None


_kinds: dict[str, Kind] = {}


def job(kind: str, *, queue: str = "default", stopped: Stopped | None = None) -> Callable[[Handler], Handler]:
    """Register a function as the handler of a kind of job. It is given a RunningJob and has to be idempotent."""
    if queue not in settings.GLASSCASE_QUEUES:
        raise ValueError(f"There is no queue {queue!r}; there are: {', '.join(settings.GLASSCASE_QUEUES)}.")

    def register(handler: Handler) -> Handler:
        _kinds[kind] = Kind(kind, handler, queue, stopped)
        return handler

    return register


class RunningJob:
    """A claimed job, as its handler sees it."""

    def __init__(self, row: Job) -> None:
        self.id = row.id
        self.kind = row.kind
        self.subject = row.subject
        self.attempt = row.attempts
        self._spoke = time.monotonic()

    def progress(self, done: int, total: int | None = None, stage: str = "") -> None:
        """Say how far the work is, and renew the lease.

        Raises JobCancelled when somebody cancelled the job, LeaseLost when another worker has it; let both pass.
        """
        self._spoke = time.monotonic()
        known = total if total is None else max(total, done)
        if not _held(self.id, self.attempt).update(heartbeat_at=Now(), done=done, total=known, stage=stage[:80]):
            raise self._lost()

    def check(self) -> None:
        """Renew the lease and raise as `progress` does, without saying anything new: for loops that wait."""
        self._spoke = time.monotonic()
        if not _held(self.id, self.attempt).update(heartbeat_at=Now()):
            raise self._lost()

    def _lost(self) -> Exception:
        cancelled = Job.objects.filter(id=self.id, state=JobState.CANCELLED).exists()
        return JobCancelled() if cancelled else LeaseLost()

    @contextmanager
    def _lease(self) -> Iterator[None]:
        """Keep the lease while the handler computes: a long step between two reports is not a dead worker."""
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(ended,), name=f"lease of {self.id}", daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()

    def _beat(self, ended: threading.Event) -> None:
        # Short jobs end before the first beat and never open this connection. It is not Django's, which belongs to
        # the handler's thread.
        while not ended.wait(settings.GLASSCASE_JOB_STALE_SECONDS / 4):
            if time.monotonic() - self._spoke > SILENCE_SECONDS:
                return
            try:
                with database.connect("app") as own:
                    own.execute(
                        "UPDATE core_job SET heartbeat_at = statement_timestamp() "
                        "WHERE id = %s AND state = 'running' AND attempts = %s",
                        (self.id, self.attempt),
                    )
            except psycopg.Error:
                _log.warning("heartbeat failed", job=str(self.id))


def enqueue(*, kind: str, subject: uuid.UUID, queue: str | None = None, send: bool = True) -> Job:
    """Queue a job of `kind` for `subject`; its id is sent to the workers when the caller's transaction commits.

    A live job of the same kind and subject is returned instead of a second one. `queue` is that of the kind unless
    given. With send=False the caller means to run it in its own process; if it does not, the reconciler sends it later.
    """
    chosen = queue or _kind(kind).queue
    while True:
        try:
            with transaction.atomic():
                row = Job.objects.create(kind=kind, subject=subject, queue=chosen, enqueued_at=None if send else Now())
        except IntegrityError:
            live = Job.objects.filter(kind=kind, subject=subject, state__in=(JobState.QUEUED, JobState.RUNNING)).first()
            if live is None:
                continue  # it ended between the two statements
            return live
        if send:
            transaction.on_commit(partial(_send, row))
        row.refresh_from_db()
        return row


def run(job_id: uuid.UUID) -> JobState | None:
    """Claim the job and run its handler here; returns the state that the job has then.

    None when there was nothing to claim: the job is running elsewhere, has ended, or does not exist.
    """
    claimed = Job.objects.filter(id=job_id, state=JobState.QUEUED).update(
        state=JobState.RUNNING,
        attempts=F("attempts") + 1,
        started_at=Now(),
        heartbeat_at=Now(),
        stage="",
        problem="",
    )
    if not claimed:
        return None
    row = Job.objects.get(id=job_id)
    with structlog.contextvars.bound_contextvars(job=str(row.id), kind=row.kind, attempt=row.attempts):
        return _work(row)


def run_here(job_id: uuid.UUID, *, waiting: Callable[[Job], None] | None = None) -> Job:
    """Run the job in this process, or wait until the worker that has it ends; returns the row as it is then.

    A worker that has died is found by its silence and its job taken over. `waiting` is called with the row twice a
    second meanwhile.
    """
    while True:
        row = Job.objects.get(id=job_id)
        if row.state == JobState.QUEUED:
            run(job_id)
        elif row.state == JobState.RUNNING:
            if waiting is not None:
                waiting(row)
            time.sleep(0.5)
            _requeue_stale(Q(id=job_id))
        else:
            return row


def reconcile(*, send: bool = True) -> int:
    """Queue again what a dead worker left, and send again what no worker has taken; returns how many jobs it touched.

    send=False only repairs the rows: for `run_jobs`, which needs no messages.
    """
    touched = _requeue_stale(Q())
    if send:
        overdue = Q(enqueued_at=None) | Q(enqueued_at__lt=Now() - timedelta(seconds=RESEND_SECONDS))
        for row in Job.objects.filter(overdue, state=JobState.QUEUED).order_by("created_at")[:RESEND_MOST]:
            touched += _send(row)
    return touched


def cancel(row: Job, *, by: User | None) -> bool:
    """Cancel a live job; says whether it was one. A running handler stops at its next report."""
    return _end(Q(id=row.id, state__in=(JobState.QUEUED, JobState.RUNNING)), JobState.CANCELLED, "", by)


def next_queued(queues: tuple[str, ...]) -> uuid.UUID | None:
    """The id of the job that should run next among these queues: in their order, oldest first."""
    for queue in queues:
        found = Job.objects.filter(state=JobState.QUEUED, queue=queue).order_by("created_at").values_list("id").first()
        if found is not None:
            return found[0]
    return None


def _kind(name: str) -> Kind:
    try:
        return _kinds[name]
    except KeyError:
        raise ValueError(f"No handler is registered for jobs of the kind {name!r}.") from None


def _held(job_id: uuid.UUID, attempt: int) -> QuerySet[Job]:
    return Job.objects.filter(id=job_id, state=JobState.RUNNING, attempts=attempt)


def _work(row: Job) -> JobState | None:
    running = RunningJob(row)
    mine = Q(id=row.id, state=JobState.RUNNING, attempts=row.attempts)
    try:
        kind = _kind(row.kind)
        with running._lease():
            kind.handler(running)
    except (JobCancelled, LeaseLost) as stop:
        _log.info("job stopped", why=type(stop).__name__)
    except _TRANSIENT as error:
        _log.warning("job interrupted", error=type(error).__name__)
        _give_back(mine, row.attempts)
    except Exception as error:
        _log.error("job failed", error=type(error).__name__, traceback=places(error))
        _end(mine, JobState.FAILED, _sentence(error), None)
    except BaseException:
        # This process is being stopped: somebody else goes on.
        Job.objects.filter(mine).update(state=JobState.QUEUED, enqueued_at=Now())
        raise
    else:
        Job.objects.filter(mine).update(state=JobState.DONE, finished_at=Now(), heartbeat_at=Now())
    return JobState(Job.objects.values_list("state", flat=True).get(id=row.id))


def _sentence(error: Exception) -> str:
    """The error's own sentence where it has one made for people, else a plain one: other texts may hold anything."""
    sentence = getattr(error, "sentence", None)
    return (
        sentence[:500]
        if isinstance(sentence, str) and sentence
        else "The work stopped at a fault. Tell the administrator."
    )


def _give_back(mine: Q, attempts: int) -> None:
    """Return an interrupted job to the queue, to be sent after a pause, or give it up."""
    if attempts >= MAX_ATTEMPTS:
        _end(mine, JobState.FAILED, _interrupted(attempts), None)
    else:
        Job.objects.filter(mine).update(state=JobState.QUEUED, enqueued_at=Now())


def _interrupted(attempts: int) -> str:
    return f"The work was interrupted {attempts} times and was given up. Tell the administrator, then start it again."


def _requeue_stale(among: Q) -> int:
    silent = Q(heartbeat_at__lt=Now() - timedelta(seconds=settings.GLASSCASE_JOB_STALE_SECONDS))
    touched = 0
    for row in Job.objects.filter(among & silent, state=JobState.RUNNING):
        # Unchanged since it was read: a heartbeat in between keeps it where it is.
        same = Q(id=row.id, state=JobState.RUNNING, attempts=row.attempts, heartbeat_at=row.heartbeat_at)
        if row.attempts < MAX_ATTEMPTS:
            touched += Job.objects.filter(same).update(state=JobState.QUEUED, enqueued_at=None)
            continue
        try:
            touched += _end(same, JobState.FAILED, _interrupted(row.attempts), None)
        except Exception as error:  # what its kind does at the end failed: the other jobs must not wait for that
            _log.error("job not given up", error=type(error).__name__, traceback=places(error), job=str(row.id))
    return touched


def _end(which: Q, state: JobState, problem: str, by: User | None) -> bool:
    """Make the job failed or cancelled, if it still is what `which` says, and tell its kind in the same transaction."""
    with transaction.atomic():
        row = Job.objects.select_for_update().filter(which).first()
        if row is None:
            return False
        row.state, row.problem = state, problem
        Job.objects.filter(id=row.id).update(state=state, problem=problem, finished_at=Now())
        kind = _kinds.get(row.kind)
        if kind is not None and kind.stopped is not None:
            kind.stopped(row, by)
    return True


def _send(row: Job) -> bool:
    """Send the id to the workers. A broker that is down is no reason to fail: the reconciler tries again."""
    from core.tasks import run_job

    try:
        run_job.apply_async(args=[str(row.id)], queue=row.queue, retry=False)
    except Exception as error:  # each broker has exceptions of its own
        _log.warning("broker unavailable", error=type(error).__name__, job=str(row.id))
        return False
    Job.objects.filter(id=row.id, state=JobState.QUEUED).update(enqueued_at=Now())
    return True
