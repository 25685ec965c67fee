"""Real Celery workers on a real Redis: who waits is served before evaluations, and a killed worker's job is finished."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import redis as client

from core import jobs
from core.models import Job, JobState
from tests.core.test_jobs_worker import kill, wait_for, worker
from tests.core.worker_jobs import STEPS, counted, served

CHUNKS, SEARCHES = 50, 3


@pytest.mark.slow
@pytest.mark.parametrize("queues", ["search,default,evaluation", "evaluation,default,search"])
def test_searches_are_taken_before_fifty_chunks_that_were_there_first(database: Any, redis: str, queues: str) -> None:
    for _ in range(CHUNKS):
        jobs.enqueue(kind="test:auditor", subject=uuid.uuid4())
    with client.Redis.from_url(redis) as broker:
        assert broker.llen("evaluation") == CHUNKS
    log = database.home / "worker.log"
    with worker(database, queues):
        wait_for(lambda: len(served(database.home)) >= 2, 60, log)
        already = len(served(database.home))
        jobs.enqueue(kind="test:everything-else", subject=uuid.uuid4())
        for _ in range(SEARCHES):
            jobs.enqueue(kind="test:officer", subject=uuid.uuid4())
        wait_for(lambda: "default" in served(database.home), 60, log)
    order = served(database.home)
    first = order.index("search")
    # What the worker is at, and what it takes before the searches are sent, cannot be undone.
    assert first <= already + 2
    assert order[:first].count("evaluation") >= first - 1
    assert order[first : first + SEARCHES] == ["search"] * SEARCHES
    assert order.index("default") <= first + SEARCHES


@pytest.mark.slow
def test_a_job_on_redis_survives_its_worker_and_is_finished_once(database: Any, redis: str, settings: Any) -> None:
    settings.GLASSCASE_JOB_STALE_SECONDS = 2
    log = database.home / "worker.log"
    row = jobs.enqueue(kind="test:count", subject=uuid.uuid4())
    with worker(database) as first:
        wait_for(lambda: len(counted(database.home)) >= 3, 60, log)
        kill(first)

    def done() -> bool:
        jobs.reconcile()
        return Job.objects.get(id=row.id).state == JobState.DONE

    with worker(database):
        wait_for(done, 60, log)
    assert counted(database.home) == list(range(STEPS))
    assert Job.objects.get(id=row.id).attempts == 2


def test_only_redis_is_asked_for_an_order_of_its_queues(tmp_path: Any) -> None:
    from tests.core.test_settings import shown

    name = "CELERY_BROKER_TRANSPORT_OPTIONS"
    on_redis = "{'queue_order_strategy': 'core.queue_order:AsDeclared'}"
    assert shown(tmp_path, name, CELERY_BROKER_URL="redis://:x@broker:6379/0") == [on_redis]
    assert shown(tmp_path, name, CELERY_BROKER_URL="rediss://:x@broker:6379/0") == [on_redis]
    assert shown(tmp_path, name, CELERY_BROKER_URL="amqp://x:x@broker:5672//") == ["{}"]
    assert shown(tmp_path, name) == ["{}"]
