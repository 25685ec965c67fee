"""Findings: filed by the board or by a repeated evaluation, closed with an answer. Both are entries of the log."""

from __future__ import annotations

import uuid
from typing import Final

from django.db import transaction
from django.utils import timezone

from audit.log import journal
from audit.models import Evaluation, Finding, FindingKind
from core import keystore
from core.exceptions import Conflict, Invalid, NotFound
from core.models import User
from core.permissions import require, signature
from core.person_roles import Permission

LONGEST: Final = 4000
_TEXT: Final = "finding"
_RESOLUTION: Final = "resolution of a finding"
_ERASED: Final = "What was written here has been erased."
_ONLY_THE_BOARD: Final = "Only the oversight board files and closes findings."


def file(*, by: User, text: str, evaluation: Evaluation | None = None, entry: uuid.UUID | None = None) -> Finding:
    """A finding of the board about a report or an entry of the log, or neither. Raises NotAllowed, Invalid."""
    require(by, Permission.FILE_FINDINGS, _ONLY_THE_BOARD)
    return _open(FindingKind.BOARD, _words("text", text), evaluation, entry, by)


def report(kind: FindingKind, text: str, evaluation: Evaluation) -> Finding:
    """A finding of the system itself about an evaluation, in the caller's transaction."""
    return _open(kind, text[:LONGEST], evaluation, None, None)


def close(*, by: User, finding: Finding, resolution: str) -> Finding:
    """Close a finding with what came of it. Raises NotAllowed, Invalid, Conflict when it is closed already."""
    require(by, Permission.FILE_FINDINGS, _ONLY_THE_BOARD)
    words = _words("resolution", resolution)
    with transaction.atomic():
        locked = Finding.objects.select_for_update().get(pk=finding.pk)
        if locked.closed_at is not None:
            raise Conflict("This finding is closed already.")
        locked.closed_by, locked.closed_at = by, timezone.now()
        locked.sealed_resolution = keystore.seal(keystore.create(locked.pk), _RESOLUTION, words.encode())
        locked.save(update_fields=["closed_by", "closed_at", "sealed_resolution"])
        journal.record(
            "oversight:finding:closed",
            vault_record=locked.pk,
            values={"resolution": words},
            finding=locked.pk,
            **signature(by, Permission.FILE_FINDINGS),
        )
    return locked


def one(identity: uuid.UUID) -> Finding:
    """Raises NotFound."""
    found = Finding.objects.filter(pk=identity).first()
    if found is None:
        raise NotFound("There is no such finding.")
    return found


def words(finding: Finding) -> tuple[str, str]:
    """Text and resolution ("" while it is open) in clear."""
    try:
        secret = keystore.get(finding.pk)
    except keystore.KeyMissing:
        return _ERASED, _ERASED if finding.closed_at else ""
    text = keystore.unseal(secret, _TEXT, bytes(finding.sealed_text)).decode()
    if finding.sealed_resolution is None:
        return text, ""
    return text, keystore.unseal(secret, _RESOLUTION, bytes(finding.sealed_resolution)).decode()


def _open(
    kind: FindingKind, text: str, evaluation: Evaluation | None, entry: uuid.UUID | None, by: User | None
) -> Finding:
    with transaction.atomic():
        finding = Finding(kind=kind, evaluation=evaluation, entry=entry, opened_by=by, opened_at=timezone.now())
        finding.sealed_text = keystore.seal(keystore.create(finding.pk), _TEXT, text.encode())
        finding.save(force_insert=True)
        journal.record(
            "oversight:finding:opened",
            vault_record=finding.pk,
            values={"text": text},
            finding=finding.pk,
            kind=str(kind),
            run=evaluation.pk if evaluation else None,
            entry=entry,
            **({} if by is None else signature(by, Permission.FILE_FINDINGS)),
        )
    return finding


def _words(field: str, text: str) -> str:
    words = text.strip()
    if not 10 <= len(words) <= LONGEST:
        sentence = f"Write at least a sentence, and at most {LONGEST:,} characters."
        raise Invalid(sentence, {field: [sentence]})
    return words
