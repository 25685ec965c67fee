"""The database as Celery's broker."""

from __future__ import annotations

import base64
import json
import uuid

import psycopg
import pytest
from kombu import Connection
from kombu.transport.virtual import Empty

from core import broker
from core.celery import app


@pytest.fixture
def channel(database, settings):
    assert settings.BROKER_IS_DATABASE
    with Connection(settings.CELERY_BROKER_URL) as connection:
        yield connection.channel()


@app.task(name="tests.nothing")
def nothing(subject: str) -> None:
    """A task that is only ever sent."""


def test_a_task_becomes_a_row_that_names_an_id_and_nothing_else(channel, mallory):
    subject = str(uuid.uuid4())
    nothing.apply_async(args=[subject], queue="search")
    rows = mallory.execute(
        "SELECT payload FROM broker.kombu_message m JOIN broker.kombu_queue q ON q.id = m.queue_id WHERE q.name = 'search'"
    )
    [(payload,)] = rows.fetchall()
    message = json.loads(payload)
    assert json.loads(base64.b64decode(message["body"]))[0] == [subject]
    assert message["content-type"] == "application/json"


def test_a_waiting_officer_is_served_before_an_evaluation(channel):
    for queue in ("evaluation", "default", "search"):
        channel._put(queue, {"body": queue})
    channel._active_queues = ["default", "evaluation", "search"]
    channel._reset_cycle()
    taken = []
    for _ in range(3):
        channel.cycle.get(lambda message, queue: taken.append((queue, message["body"])))
    assert taken == [("search", "search"), ("default", "default"), ("evaluation", "evaluation")]
    with pytest.raises(Empty):
        channel.cycle.get(lambda message, queue: taken.append(message))
    assert len(taken) == 3


def test_the_app_role_cannot_change_the_tables_of_the_broker(mallory):
    for statement in (
        "DROP TABLE broker.kombu_message",
        "ALTER TABLE broker.kombu_message ADD COLUMN x int",
        "CREATE TRIGGER t BEFORE INSERT ON broker.kombu_message EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "TRUNCATE broker.kombu_message",
        "CREATE TABLE broker.t (x int)",
        "SELECT setval('broker.message_id_sequence', 1)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            mallory.execute(statement)


@pytest.mark.parametrize("role", ["reader", "sequencer", "signer", "notifier", "registrar"])
def test_no_other_role_sees_the_queue(as_role, role):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(role).execute("SELECT * FROM broker.kombu_message")


def test_delivered_messages_are_pruned_and_waiting_ones_stay(channel, mallory):
    for body in ("old", "fresh", "waiting"):
        channel._put("default", {"body": body})
    channel._get("default")
    channel._get("default")
    mallory.execute(
        "UPDATE broker.kombu_message SET timestamp = timestamp - interval '2 hours' WHERE payload LIKE '%old%'"
    )
    assert broker.prune(3600) == 1
    left = mallory.execute("SELECT payload::json->>'body' FROM broker.kombu_message ORDER BY id").fetchall()
    assert left == [("fresh",), ("waiting",)]
