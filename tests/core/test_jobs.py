"""The job table: claims, leases, ends, and what the reconciler repairs. Handlers run in this process."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from core import jobs
from core.celery import app
from core.database import connect
from core.models import Job, JobState, User


@pytest.fixture
def handled() -> Iterator[Callable[..., list[Any]]]:
    """`handled(kind, function)` registers a kind for this test; the list that it returns collects what ended."""
    before = dict(jobs._kinds)

    def register(kind: str, function: Callable[[jobs.RunningJob], None], queue: str = "default") -> list[Any]:
        ended: list[Any] = []

        def stopped(row: Job, by: User | None) -> None:
            ended.append((row.state, row.problem, by))

        jobs.job(kind, queue=queue, stopped=stopped)(function)
        return ended

    yield register
    jobs._kinds.clear()
    jobs._kinds.update(before)


# A worker that serves several takes from `search` first, and from the others when nobody waits there.
QUEUES = {
    "probe_check": "search",
    "search": "search",
    "codes": "enrolment",
    "enrolment": "enrolment",
    "template_import": "enrolment",
    "reembedding": "enrolment",
    "evaluation": "evaluation",
    "evaluation_choose": "evaluation",
    "evaluation_chunk": "evaluation",
    "evaluation_compare": "evaluation",
    "evaluation_report": "evaluation",
}


def queued(kind: str = "test:job") -> Job:
    return jobs.enqueue(kind=kind, subject=uuid.uuid4(), send=False)


def messages(database: Any) -> int:
    with connect("app", dbname=database.name) as own:
        row = own.execute("SELECT count(*) FROM broker.kombu_message WHERE visible").fetchone()
    assert row is not None
    return int(row[0])


def silent(row: Job) -> None:
    """Make the job look as if its worker had died an hour ago."""
    Job.objects.filter(id=row.id).update(heartbeat_at=timezone.now() - timedelta(hours=1))


def test_every_kind_of_job_waits_where_it_delays_nobody() -> None:
    app.loader.import_default_modules()
    assert {kind.name: kind.queue for kind in jobs._kinds.values() if not kind.name.startswith("test:")} == QUEUES


def test_a_job_runs_once_and_is_done(database: Any, handled: Any) -> None:
    seen: list[uuid.UUID] = []
    handled("test:job", lambda running: seen.append(running.subject))
    row = queued()
    assert jobs.run(row.id) == JobState.DONE
    assert jobs.run(row.id) is None
    assert seen == [row.subject]
    row.refresh_from_db()
    assert row.attempts == 1
    assert row.finished_at is not None
    assert row.problem == ""


def test_asking_twice_for_a_live_job_gives_the_same_one(database: Any, handled: Any) -> None:
    handled("test:job", lambda running: None)
    subject = uuid.uuid4()
    first = jobs.enqueue(kind="test:job", subject=subject, send=False)
    assert jobs.enqueue(kind="test:job", subject=subject, send=False).id == first.id
    jobs.run(first.id)
    assert jobs.enqueue(kind="test:job", subject=subject, send=False).id != first.id


def test_the_message_carries_the_id_only_and_leaves_when_the_transaction_commits(database: Any, handled: Any) -> None:
    handled("test:job", lambda running: None, queue="search")
    with transaction.atomic():
        row = jobs.enqueue(kind="test:job", subject=uuid.uuid4())
        assert messages(database) == 0
    assert messages(database) == 1
    row.refresh_from_db()
    assert row.queue == "search"
    assert row.enqueued_at is not None
    with connect("app", dbname=database.name) as own:
        found = own.execute("SELECT payload FROM broker.kombu_message").fetchone()
    assert found is not None
    assert str(row.subject) not in found[0]


def test_a_rolled_back_transaction_queues_nothing(database: Any, handled: Any) -> None:
    handled("test:job", lambda running: None)
    with transaction.atomic():
        jobs.enqueue(kind="test:job", subject=uuid.uuid4())
        transaction.set_rollback(True)
    assert Job.objects.count() == 0
    assert messages(database) == 0


def test_two_workers_claim_a_job_once(database: Any, handled: Any) -> None:
    inside, release = threading.Event(), threading.Event()
    ran: list[int] = []

    def slow(running: jobs.RunningJob) -> None:
        ran.append(1)
        inside.set()
        release.wait(10)

    def other() -> None:
        from django.db import connection

        jobs.run(row.id)
        connection.close()

    handled("test:job", slow)
    row = queued()
    worker = threading.Thread(target=other)
    worker.start()
    assert inside.wait(10)
    assert jobs.run(row.id) is None
    release.set()
    worker.join()
    assert ran == [1]


def test_a_fault_ends_the_job_with_a_plain_sentence_and_the_text_of_the_error_stays_out(
    database: Any, handled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(running: jobs.RunningJob) -> None:
        raise ValueError("Jane Roe, case 26-1234")

    ended = handled("test:job", broken)
    row = queued()
    assert jobs.run(row.id) == JobState.FAILED
    row.refresh_from_db()
    assert row.problem == "The work stopped at a fault. Tell the administrator."
    assert ended == [(JobState.FAILED, row.problem, None)]
    assert "test_jobs.py" in caplog.text  # where it happened
    assert "Jane Roe" not in caplog.text


def test_an_error_with_a_sentence_for_people_passes_it_on(database: Any, handled: Any) -> None:
    class Refused(Exception):
        sentence = "The folder is gone. Put it back and start again."

    def refusing(running: jobs.RunningJob) -> None:
        raise Refused

    handled("test:job", refusing)
    row = queued()
    jobs.run(row.id)
    row.refresh_from_db()
    assert row.problem == Refused.sentence


@pytest.mark.parametrize("error", [OperationalError("gone"), psycopg.OperationalError("gone"), jobs.TryAgain()])
def test_a_job_that_misses_the_database_waits_and_is_given_up_after_five_attempts(
    database: Any, handled: Any, error: Exception
) -> None:
    def unlucky(running: jobs.RunningJob) -> None:
        raise error

    ended = handled("test:job", unlucky)
    row = queued()
    assert [jobs.run(row.id) for _ in range(5)] == [JobState.QUEUED] * 4 + [JobState.FAILED]
    row.refresh_from_db()
    assert row.problem.startswith("The work was interrupted 5 times")
    assert len(ended) == 1


def test_progress_is_kept_and_renews_the_lease(database: Any, handled: Any) -> None:
    def reporting(running: jobs.RunningJob) -> None:
        silent(row)
        running.progress(3, 7, "reading")

    handled("test:job", reporting)
    row = queued()
    jobs.run(row.id)
    row.refresh_from_db()
    assert (row.done, row.total, row.stage) == (3, 7, "reading")
    assert row.heartbeat_at is not None
    assert timezone.now() - row.heartbeat_at < timedelta(minutes=1)


def test_a_cancelled_job_stops_at_its_next_report(database: Any, handled: Any) -> None:
    olivia = User.objects.create_user("olivia")
    went_on: list[int] = []

    def cancelled(running: jobs.RunningJob) -> None:
        jobs.cancel(row, by=olivia)
        running.progress(1, 2)
        went_on.append(1)

    ended = handled("test:job", cancelled)
    row = queued()
    assert jobs.run(row.id) == JobState.CANCELLED
    assert went_on == []
    assert ended == [(JobState.CANCELLED, "", olivia)]
    assert jobs.cancel(row, by=olivia) is False


def test_a_queued_job_that_is_cancelled_never_runs(database: Any, handled: Any) -> None:
    seen: list[int] = []
    handled("test:job", lambda running: seen.append(1))
    row = queued()
    assert jobs.cancel(row, by=None) is True
    assert jobs.run(row.id) is None
    assert seen == []


def test_a_worker_that_lost_its_lease_changes_nothing_more(database: Any, handled: Any) -> None:
    def slow(running: jobs.RunningJob) -> None:
        if running.attempt == 1:
            silent(row)
            assert jobs.reconcile(send=False) == 1
            assert jobs.run(row.id) == JobState.DONE
            with pytest.raises(jobs.LeaseLost):
                running.progress(1, 100, "late")
            running.check()

    handled("test:job", slow)
    row = queued()
    assert jobs.run(row.id) == JobState.DONE
    row.refresh_from_db()
    assert (row.attempts, row.stage, row.done) == (2, "", 0)


def test_the_reconciler_queues_a_silent_job_again_and_sends_it(database: Any, handled: Any) -> None:
    handled("test:job", lambda running: None)
    row = queued()
    Job.objects.filter(id=row.id).update(state=JobState.RUNNING, attempts=1, heartbeat_at=timezone.now())
    assert jobs.reconcile() == 0
    silent(row)
    assert jobs.reconcile() == 2  # queued again, and sent
    row.refresh_from_db()
    assert row.state == JobState.QUEUED
    assert messages(database) == 1
    assert jobs.reconcile() == 0


def test_the_reconciler_gives_a_job_up_that_killed_five_workers(database: Any, handled: Any) -> None:
    ended = handled("test:job", lambda running: None)
    row = queued()
    Job.objects.filter(id=row.id).update(state=JobState.RUNNING, attempts=5, heartbeat_at=timezone.now())
    silent(row)
    jobs.reconcile()
    row.refresh_from_db()
    assert row.state == JobState.FAILED
    assert len(ended) == 1


def test_a_job_whose_message_was_lost_is_sent_again_after_a_while(database: Any, handled: Any) -> None:
    handled("test:job", lambda running: None)
    row = queued()
    assert jobs.reconcile() == 0
    Job.objects.filter(id=row.id).update(enqueued_at=timezone.now() - timedelta(minutes=5))
    assert jobs.reconcile() == 1
    assert messages(database) == 1


def test_a_broker_that_is_down_leaves_the_job_for_the_reconciler(
    database: Any, handled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core import broker

    def down() -> psycopg.Connection:
        raise psycopg.OperationalError("down")

    handled("test:job", lambda running: None)
    broker.close_connections()
    with monkeypatch.context() as patched:
        patched.setattr(broker, "connect", down)
        row = jobs.enqueue(kind="test:job", subject=uuid.uuid4())
        row.refresh_from_db()
        assert row.enqueued_at is None
    assert jobs.reconcile() == 1
    assert messages(database) == 1


def test_a_long_step_keeps_its_lease(database: Any, handled: Any, settings: Any) -> None:
    settings.GLASSCASE_JOB_STALE_SECONDS = 0.4

    def long(running: jobs.RunningJob) -> None:
        silent(row)
        threading.Event().wait(0.6)
        settings.GLASSCASE_JOB_STALE_SECONDS = 20
        assert jobs.reconcile(send=False) == 0

    handled("test:job", long)
    row = queued()
    assert jobs.run(row.id) == JobState.DONE


def test_a_stopped_process_returns_its_job(database: Any, handled: Any) -> None:
    def interrupted(running: jobs.RunningJob) -> None:
        raise KeyboardInterrupt

    handled("test:job", interrupted)
    row = queued()
    with pytest.raises(KeyboardInterrupt):
        jobs.run(row.id)
    row.refresh_from_db()
    assert row.state == JobState.QUEUED


def test_run_jobs_works_the_table_in_the_order_of_the_queues(
    database: Any, handled: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from django.core.management import call_command

    order: list[str] = []
    for kind, queue in (("test:evaluation", "evaluation"), ("test:search", "search")):
        handled(kind, lambda running: order.append(running.kind), queue)
        queued(kind)
    call_command("run_jobs", "--once")
    assert order == ["test:search", "test:evaluation"]
    assert capsys.readouterr().out == "Ran 2 jobs.\n"


def test_a_job_that_nobody_can_do_fails_with_a_sentence(database: Any) -> None:
    row = Job.objects.create(kind="test:unknown", subject=uuid.uuid4())
    assert jobs.run(row.id) == JobState.FAILED
