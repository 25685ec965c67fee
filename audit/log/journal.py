"""Writing to the log from the application: acts in the caller's transaction, everything else committed at once.

*Acts* write row and entry in one transaction: `record(...)` uses Django's connection. *Refusals, failed sign-ins, views and
reads* have to be in the log even when the web request fails afterwards: `record_now(...)` uses an own connection and has
committed when it returns.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

import psycopg
from django.db import connection, transaction

from audit.log import case_numbers, case_tags
from audit.log.commitments import Opening
from audit.log.entries import Entry, compose
from core import database, keystore


class LogUnavailable(RuntimeError):
    """The log does not accept entries now, so what was asked for was not done."""


def sealed_openings(record: uuid.UUID, entry: Entry) -> list[tuple[uuid.UUID, str, uuid.UUID, bytes]]:
    """The rows of the vault for an entry: every opening sealed under the key of `record`."""
    secret = keystore.create(record)
    return [
        (entry.id, opening.field, record, keystore.seal(secret, "vault", opening.encode()))
        for opening in entry.openings
    ]


def _write(cursor: Any, entry: Entry, record: uuid.UUID | None) -> None:
    cursor.execute("SELECT log.append(%s)", [entry.body])
    if entry.openings and record is not None:
        for row in sealed_openings(record, entry):
            cursor.execute("SELECT vault.put(%s, %s, %s, %s)", list(row))


# The claims of readings are opened with secrets derived from this installation's key; see `record_reading`.
_READINGS: Final = uuid.uuid5(uuid.NAMESPACE_OID, "glasscase claims of readings")


def _composed(
    type_: str, values: Mapping[str, Any] | None, openings: Iterable[Opening], about_case: str, fields: Any
) -> Entry:
    made = [Opening.of(name, value) for name, value in (values or {}).items() if value is not None]
    return compose(type_, openings=[*openings, *made], **_tagged(about_case), **fields)


def _tagged(number: str) -> dict[str, Any]:
    """Nonce and tag of a search entry. The key is announced before anything is tagged with it."""
    plain = case_numbers.canonical(number)
    if not plain:
        return {}
    if not case_tags.is_announced():
        record_now(case_tags.KEYED, key=case_tags.key_hash())
    return case_tags.fields(plain)


def record(
    type_: str,
    *,
    vault_record: uuid.UUID | None = None,
    values: Mapping[str, Any] | None = None,
    openings: Iterable[Opening] = (),
    about_case: str = "",
    **fields: Any,
) -> uuid.UUID:
    """Appends an entry inside the caller's transaction and returns its id.

    `values` are personal values: the entry carries a commitment to each, and the vault keeps value and salt sealed under the
    key of `vault_record` (required with values). `about_case` is the case number that a search entry is tagged with. Raises
    RuntimeError outside a transaction: an act and its entry are one.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("record() belongs inside transaction.atomic(): an act and its entry are one.")
    entry = _composed(type_, values, openings, about_case, fields)
    if entry.openings and vault_record is None:
        raise RuntimeError("Personal values need the record whose key seals them.")
    with connection.cursor() as cursor:
        _write(cursor, entry, vault_record)
    return entry.id


def record_now(
    type_: str,
    *,
    vault_record: uuid.UUID | None = None,
    values: Mapping[str, Any] | None = None,
    openings: Iterable[Opening] = (),
    about_case: str = "",
    **fields: Any,
) -> uuid.UUID:
    """As `record`, on an own connection, committed when it returns: for refusals, failures, views and reads.

    Raises LogUnavailable when the entry could not be committed; the caller then has to refuse what was asked for.
    """
    entry = _composed(type_, values, openings, about_case, fields)
    if entry.openings and vault_record is None:
        raise RuntimeError("Personal values need the record whose key seals them.")
    try:
        with database.connect("app") as own, own.transaction(), own.cursor() as cursor:
            _write(cursor, entry, vault_record)
    except psycopg.Error as error:
        raise LogUnavailable("The log cannot be written now, so nothing was done. Try again in a minute.") from error
    return entry.id


def reading_secret(view: uuid.UUID) -> bytes:
    """The secret that opens the reading `view`, which this installation filed: 32 bytes, derived, never stored."""
    return hmac.digest(keystore.create(_READINGS), view.bytes, "sha256")


def record_reading(type_: str, **fields: Any) -> uuid.UUID:
    """Files the entry of a reading and returns its id; `reading_secret` of it opens what the reading is for.

    The entry carries a claim, because whoever holds the application's password can see the entry itself.
    """
    view = uuid.uuid4()
    claim = hashlib.sha256(reading_secret(view)).hexdigest()
    return record_now(type_, entry_id=view, claim=claim, **fields)
