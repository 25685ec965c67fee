"""Approval secrets: generated, shown once, kept in the database as a salted hash that nobody can read.

Enrolling, revoking and unlocking go through the registrar's own connection, whose password no web or worker process has.
What a person types is normalised here, for enrolment and approval alike, before it meets the gate.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import psycopg
from django.db import connection

from core import database, shards
from core.exceptions import Conflict, Invalid, Unavailable
from core.models import User
from core.permissions import check_can_hold_approval_secret
from core.shards import Shard

SECRET_BYTES: Final = 10  # 80 bits: nobody guesses them within five proposals a quarter of an hour
SALT_BYTES: Final = 16
_GROUP: Final = 4
_SHAPE: Final = re.compile(r"[A-Z2-7]{16}")
_IGNORED: Final = re.compile(r"[\s\-\u2010-\u2015]")


def normalise(typed: str) -> str:
    """What is hashed and compared: capital letters without spaces and dashes.

    Raises Invalid when it cannot be an approval secret, so that a slip of the finger does not count as a wrong one.
    """
    text = _IGNORED.sub("", typed).upper()
    if _SHAPE.fullmatch(text) is None:
        sentence = (
            "An approval secret has four groups of four letters and digits, such as ABCD-EF23-GHIJ-K456. Type it again."
        )
        raise Invalid(sentence, {"secret": [sentence]})
    return text


def enrol(user: User, contact: str) -> str:
    """Give a person a new approval secret and return it, in groups: the only time it is seen. An older one is replaced.

    `contact` is where the notifier tells the person of every proposal made in the person's name. Raises NotAllowed for a
    person who cannot approve, Invalid for the contact, Unavailable when the registrar's connection cannot be had.
    """
    check_can_hold_approval_secret(user)
    contact = contact.strip()
    if not 3 <= len(contact.encode()) <= 254:
        sentence = (
            "Write how the approver is told of approvals: an e-mail address or another contact of 3 to 254 characters."
        )
        raise Invalid(sentence, {"contact": [sentence]})
    text = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")

    def enrol_at(own: psycopg.Connection) -> None:
        salt = secrets.token_bytes(SALT_BYTES)
        digest = hashlib.sha256(salt + normalise(text).encode()).digest()
        own.execute("SELECT gate.enrol_approver(%s, %s, %s, %s)", [user.id, salt, digest, contact])

    with ExitStack() as opened:
        # All are reached before the first is told: a secret that counts on some servers only would be of no use.
        gates = [opened.enter_context(_registrar(shard)) for shard in (None, *shards.configured().values())]
        for gate in gates:
            with _sentences():
                enrol_at(gate)
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def revoke(user: User) -> None:
    """Void a person's approval secret. Raises Conflict when there is none."""
    in_every_gate("SELECT gate.revoke_approver(%s)", user.id)


def unlock(user: User) -> None:
    """Let an approver who was locked after wrong or unanswered proposals approve again. Raises Conflict."""
    in_every_gate("SELECT gate.unlock_approver(%s)", user.id)


def state(user: User) -> str:
    """enrolled, locked, revoked or none; asked on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT gate.approver_state(%s)", [user.id])
        return str(cursor.fetchone()[0])


def in_every_gate(statement: str, *arguments: object) -> None:
    """Run one statement as the registrar on the main server and then on every shard.

    A gate that refuses does not keep the others from being told. Raises Conflict with the main gate's sentence, when no gate
    had anything to do, and Unavailable naming the servers that were not told: repeat it then.
    """
    refused: list[Conflict] = []
    away: list[str] = []
    places: list[Shard | None] = [None, *shards.configured().values()]
    for shard in places:
        try:
            with _registrar(shard) as own, _sentences():
                own.execute(statement, list(arguments))
        except Conflict as problem:
            refused.append(problem)
        except Unavailable:
            if shard is None:
                raise
            away.append(shard.name)
    if away:
        raise Unavailable(
            f"This is done, but not yet on the server {', '.join(away)}, which does not answer. Repeat it."
        )
    if len(refused) == len(places):
        raise refused[0]


@contextmanager
def _registrar(shard: Shard | None) -> Iterator[psycopg.Connection]:
    """A connection of the registrar to a shard, or to the main server. Raises Unavailable."""
    try:
        own = database.connect("registrar") if shard is None else shards.connect(shard, "registrar")
    except (psycopg.OperationalError, OSError, shards.ShardMissing) as error:
        where = "database" if shard is None else f"server {shard.name}"
        raise Unavailable(f"The {where} does not answer, so nothing was changed. Try again in a minute.") from error
    with own:
        yield own


@contextmanager
def _sentences() -> Iterator[None]:
    """The gate's refusals as Conflict, a lost connection as Unavailable."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unavailable("The database does not answer, so nothing was changed. Try again in a minute.") from error
    except psycopg.Error as error:
        if error.sqlstate is not None and error.sqlstate.startswith("GC"):
            raise Conflict(error.diag.message_primary or "The gate refused.") from error
        raise
