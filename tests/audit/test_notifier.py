"""Approvers are told of what is done in their name: by another process, at least once, with an entry that says so."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from audit import notifier
from audit.notifier import Notifier, NotifierRefusal, open_notifier
from core import approvers
from tests.people import Cast

Pump = Callable[[], None]


def propose(connection: psycopg.Connection, approver: uuid.UUID, secret: str = "a wrong secret") -> uuid.UUID | None:
    row = connection.execute(
        "SELECT gate.propose_approval('search:request', %s, %s, %s, %s)", [uuid.uuid4(), b"p" * 32, approver, secret]
    ).fetchone()
    assert row is not None
    return row[0]


def log(connection: psycopg.Connection, type_: str) -> list[dict[str, Any]]:
    rows = connection.execute("SELECT body FROM log.entry WHERE type = %s ORDER BY id", [type_]).fetchall()
    return [json.loads(bytes(body)) for (body,) in rows]


@pytest.fixture
def telling(database: Any) -> Iterator[Notifier]:
    with open_notifier(database.home / "notifier") as one:
        yield one


@pytest.fixture
def own(as_role: Any) -> psycopg.Connection:
    return as_role("notifier")


class Refusing(EmailBackend):
    """A server that knows none of the recipients."""

    def send_messages(self, messages: Any) -> int:
        raise smtplib.SMTPRecipientsRefused({message.to[0]: (550, b"no such user") for message in messages})


class Down(EmailBackend):
    """A server that does not answer."""

    def send_messages(self, messages: Any) -> int:
        raise ConnectionRefusedError


def test_proposal_approval_and_lock_are_told_each_once(
    cast: Cast, telling: Notifier, own: psycopg.Connection, mallory: psycopg.Connection, pump: Pump
) -> None:
    proposal = propose(mallory, cast.sam.id, approvers.normalise(cast.secrets[cast.sam.id]))
    assert mallory.execute("SELECT gate.approve(%s)", [proposal]).fetchone() == (True,)
    for _ in range(6):
        propose(mallory, cast.sue.id)
    pump()
    telling.step(own)
    told = [(message.to[0], message.subject) for message in mail.outbox]
    assert told[:2] == [
        ("sam@example.org", "Glasscase: an approval was proposed in your name"),
        ("sam@example.org", "Glasscase: you approved a face search"),
    ]
    assert told[2:] == [("sue@example.org", "Glasscase: an approval was proposed in your name")] * 5 + [
        ("sue@example.org", "Glasscase: your approval secret is locked")
    ]
    entries = [
        log(mallory, type_) for type_ in ("gate:proposal:made", "search:request:approved", "gate:approver:locked")
    ]
    assert sorted(entry["entry"] for entry in log(mallory, notifier.NOTIFIED)) == sorted(
        entry["id"] for of_one_type in entries for entry in of_one_type
    )
    pump()
    telling.step(own)
    assert len(mail.outbox) == 8


def test_a_message_names_the_entry_and_nothing_personal(
    cast: Cast, telling: Notifier, own: psycopg.Connection, mallory: psycopg.Connection, pump: Pump
) -> None:
    propose(mallory, cast.sam.id)
    pump()
    telling.step(own)
    (message,) = mail.outbox
    (made,) = log(mallory, "gate:proposal:made")
    assert made["id"] in message.body
    assert message.extra_headers["Message-ID"] == f"<{made['id']}@localhost>"
    assert made["subject"] not in message.body
    assert "Sam" not in message.body


def test_an_entry_that_is_not_in_the_tree_is_not_told_yet(
    cast: Cast, telling: Notifier, own: psycopg.Connection, mallory: psycopg.Connection, pump: Pump
) -> None:
    pump()
    telling.step(own)
    propose(mallory, cast.sam.id)
    telling.step(own)
    assert mail.outbox == []
    pump()
    telling.step(own)
    assert len(mail.outbox) == 1


def test_mail_that_cannot_be_sent_now_is_sent_later(
    cast: Cast, telling: Notifier, own: psycopg.Connection, mallory: psycopg.Connection, pump: Pump, settings: Any
) -> None:
    propose(mallory, cast.sam.id)
    pump()
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    for _ in range(2):
        with pytest.raises(OSError):
            telling.step(own)
    assert log(mallory, notifier.NOTIFIED) == []
    settings.EMAIL_BACKEND = working
    telling.step(own)
    assert (len(mail.outbox), len(log(mallory, notifier.NOTIFIED))) == (1, 1)


def test_an_unknown_recipient_is_an_entry_and_holds_up_nobody(
    cast: Cast, telling: Notifier, own: psycopg.Connection, mallory: psycopg.Connection, pump: Pump, settings: Any
) -> None:
    propose(mallory, cast.sam.id)
    propose(mallory, cast.sue.id)
    pump()
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"
    telling.step(own)
    assert [(entry["approver"], entry["reason"]) for entry in log(mallory, notifier.UNREACHABLE)] == [
        (str(cast.sam.id), "refused"),
        (str(cast.sue.id), "refused"),
    ]
    assert log(mallory, notifier.NOTIFIED) == []


def test_a_frozen_log_does_not_make_it_send_again_and_again(
    cast: Cast, telling: Notifier, own: psycopg.Connection, mallory: psycopg.Connection, pump: Pump, as_role: Any
) -> None:
    propose(mallory, cast.sam.id)
    pump()
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    for _ in range(3):
        with pytest.raises(psycopg.Error):
            telling.step(own)
    assert len(mail.outbox) == 1


def test_a_lost_position_tells_nobody_twice(
    cast: Cast, database: Any, own: psycopg.Connection, mallory: psycopg.Connection, pump: Pump
) -> None:
    propose(mallory, cast.sam.id)
    pump()
    for place in ("one", "two"):
        with open_notifier(database.home / place) as one:
            one.step(own)
    assert len(mail.outbox) == 1


def test_a_log_that_was_cut_is_refused_and_two_notifiers_too(
    cast: Cast, telling: Notifier, own: psycopg.Connection, database: Any
) -> None:
    with pytest.raises(NotifierRefusal, match="Another notifier"):
        Notifier(database.home / "notifier")
    telling._remember(notifier.Place(10_000))
    with pytest.raises(NotifierRefusal, match="cut or restored"):
        telling.step(own)


KILLED = """
    import os, signal, sys
    import django
    django.setup()
    from django.conf import settings
    from django.core.mail.backends.filebased import EmailBackend
    from django.core.management import call_command
    import audit.notifier as notifier

    class Killing(EmailBackend):
        def send_messages(self, messages):
            sent = super().send_messages(messages)
            if sys.argv[1] == "after_sending":
                os.kill(os.getpid(), signal.SIGKILL)
            return sent

    append = notifier._append
    def appended(*arguments, **named):
        if sys.argv[1] == "before_entry":
            os.kill(os.getpid(), signal.SIGKILL)
        append(*arguments, **named)
        if sys.argv[1] == "after_entry":
            os.kill(os.getpid(), signal.SIGKILL)
    notifier._append = appended
    sys.modules["killing"] = sys.modules["__main__"]
    settings.EMAIL_BACKEND = "killing.Killing"
    call_command("notifier")
"""


@pytest.mark.parametrize(("moment", "messages"), [("after_sending", 2), ("before_entry", 1), ("after_entry", 1)])
def test_killed_at_any_step_it_goes_on_and_logs_each_once(
    cast: Cast, database: Any, mallory: psycopg.Connection, pump: Pump, moment: str, messages: int
) -> None:
    propose(mallory, cast.sam.id)
    propose(mallory, cast.sue.id)
    pump()
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), moment],
        env=database.environment,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr.decode()[-2000:]
    command = [sys.executable, "manage.py", "notifier"]
    with subprocess.Popen(command, env=database.environment, stderr=subprocess.PIPE) as running:
        until = time.monotonic() + 30
        while time.monotonic() < until and len(log(mallory, notifier.NOTIFIED)) < 2:
            time.sleep(0.1)
        running.terminate()
        _, problems = running.communicate(timeout=20)
    assert running.returncode == 0, problems.decode()[-2000:]
    assert len({entry["entry"] for entry in log(mallory, notifier.NOTIFIED)}) == 2
    assert len(log(mallory, notifier.NOTIFIED)) == 2
    outbox = Path(database.home / "outbox")
    assert outbox.stat().st_mode & 0o077 == 0
    text = "".join(file.read_text() for file in outbox.iterdir())
    assert text.count("To: sam@example.org") == messages
    assert text.count("To: sue@example.org") == 1
