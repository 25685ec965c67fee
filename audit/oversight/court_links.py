"""Court links: the receipts of one search for somebody without an account, until the link ends or is revoked.

The link is 256 random bits, shown once; only its SHA-256 is kept. Behind it is nothing personal: receipts, the entries they
prove (codes, numbers, opaque ids, salted hashes) and the program that checks them. Making, using and revoking are entries.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.log import journal, verifier_keys
from audit.log.checkpoint import VerifierKey
from audit.log.proof import Receipt
from audit.models import CourtLink
from audit.oversight import archives, entries, evidence, exports, verifier_file
from audit.oversight.entries import LogEntry
from audit.oversight.evidence import Evidence, fingerprint
from audit.permissions import check_can_make_court_link, check_can_revoke_court_link
from core.exceptions import Conflict, Invalid, NotFound, TooMany
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search.models import SearchRequest

RECIPIENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "court": "A court",
        "defence_counsel": "Defence counsel",
        "prosecution": "The prosecution",
        "other": "Somebody else who has to check it",
    }
)
DEFAULT_DAYS: Final = 30
LONGEST_DAYS: Final = 365
MOST_LIVE: Final = 20  # links of one search
MOST_USES: Final = 200  # of one link in an hour; each is an entry of the log
MOST_REFUSALS: Final = 20  # of one ended link in an hour that are logged
GONE: Final = (
    "This link does not open anything: it is wrong, has ended or was revoked. Ask whoever gave it to you for a new one."
)

_BYTES: Final = 32
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Kind:
    """One step of a search that has a receipt: the event of its entry, and what its receipt proves, in plain words."""

    code: str
    event: str
    title: str
    proves: str


KINDS: Final = tuple(
    Kind(*one)
    for one in (
        (
            "request",
            "search:request:submitted",
            "The search was requested",
            "Who asked (as an id), in which case (as an id), for which purpose, offence and legal basis, and salted hashes of "
            "the written reason and of the photo, were recorded at this time.",
        ),
        (
            "refusal",
            "search:request:refused",
            "The search was refused",
            "The rules refused the search at this time, for the reasons that the entry names. A refused search does not run.",
        ),
        (
            "approval",
            "search:request:approved",
            "The search was approved",
            "Another person than the one who asked approved exactly these parameters at this time.",
        ),
        (
            "intent",
            "search:intent:filed",
            "The intent was filed",
            "Before anything was compared, the purpose, the gallery, the threshold and the longest list allowed were fixed "
            "here, with a salted hash of the photo and of the chosen face.",
        ),
        (
            "bound",
            "search:probe:bound",
            "The search was bound to one face",
            "Before anything was compared, the search was tied to one face. No other face could be searched for with it.",
        ),
        (
            "result",
            "search:result:stored",
            "The result was stored",
            "The gallery was searched once, and a salted hash of the list of candidates was recorded before anybody could "
            "see it. An empty list is recorded in the same way.",
        ),
        (
            "merged",
            "search:result:merged",
            "All servers have their result",
            "The gallery is spread over several servers, each with a log of its own. This entry names them all, with the "
            "SHA-256 of the result in each log. Without it nobody could see a candidate.",
        ),
    )
)


@dataclass(frozen=True)
class Proven:
    """One receipt of a search, with the entry that it proves and how far."""

    kind: Kind
    entry: LogEntry
    receipt: Receipt
    evidence: Evidence


# Making and revoking


def links(request: SearchRequest) -> QuerySet[CourtLink]:
    """The links of a search, newest first."""
    return CourtLink.objects.filter(request=request).select_related("made_by", "request").order_by("-made_at")


def make(*, by: User, request: SearchRequest, recipient: str, days: int = DEFAULT_DAYS) -> tuple[CourtLink, str]:
    """A link to the receipts of a search; returns it and its secret part, which is never seen again.

    Raises NotAllowed, Invalid, Conflict while there is no receipt or when there are too many links.
    """
    check_can_make_court_link(by, request)
    errors: dict[str, list[str]] = {}
    if recipient not in RECIPIENTS:
        errors["recipient"] = ["Choose whom the link is for."]
    if not 1 <= days <= LONGEST_DAYS:
        errors["days"] = [f"Choose between 1 and {LONGEST_DAYS} days."]
    if errors:
        raise Invalid("The link was not made: see the fields.", errors)
    if not receipts(request.pk):
        raise Conflict("There is no receipt of this search yet. Try again in a few seconds.")
    secret = secrets.token_urlsafe(_BYTES)
    now = timezone.now()
    with transaction.atomic():
        SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
        if links(request).filter(revoked_at=None, expires_at__gt=now).count() >= MOST_LIVE:
            raise Conflict(f"This search has {MOST_LIVE} links already. Revoke one that is no longer needed.")
        link = CourtLink.objects.create(
            request=request,
            digest=_digest(secret),
            recipient=recipient,
            made_by=by,
            made_at=now,
            expires_at=now + timedelta(days=days),
        )
        journal.record(
            "search:court_link:made",
            request=request.pk,
            link=link.pk,
            recipient=recipient,
            expires=int(link.expires_at.timestamp() * 1000),
            **_signed(by),
        )
    return link, secret


def revoke(*, by: User, link: CourtLink) -> None:
    """Ends a link at once. Raises NotAllowed, Conflict."""
    check_can_revoke_court_link(by, link)
    with transaction.atomic():
        if not CourtLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=timezone.now()):
            raise Conflict("This link is revoked already.")
        journal.record("search:court_link:revoked", request=link.request_id, link=link.pk, **_signed(by))


def _signed(by: User) -> dict[str, Any]:
    for permission in (Permission.SAMPLE_SEARCHES, Permission.APPROVE_SEARCHES):
        found = signature(by, permission)
        if found["role"] is not None:
            return found
    return signature(by, Permission.REQUEST_SEARCHES)


# Using


def use(secret: str, what: str, kind: str = "") -> tuple[CourtLink, list[Proven]]:
    """The link and the receipts behind it, after the use was logged. `what` is a code: page, receipt, entry, all, verifier.

    With `kind` only that receipt. Raises NotFound, with the same sentence for a link that is wrong, has ended or was revoked
    and for a receipt that is not there; TooMany; LogUnavailable.
    """
    link = _find(secret)
    found = receipts(link.request_id)
    if kind:
        found = [one for one in found if one.kind.code == kind]
        if not found:
            raise NotFound(GONE)
    if _times(link, "search:court_link:used") >= MOST_USES:
        raise TooMany("This link was used very often within one hour. Try again later.")
    journal.record_now(
        "search:court_link:used",
        request=link.request_id,
        link=link.pk,
        what=what,
        entry=found[0].entry.id if kind else None,
    )
    return link, found


def _find(secret: str) -> CourtLink:
    link = None
    if _SHAPE.fullmatch(secret):
        link = CourtLink.objects.filter(digest=_digest(secret)).first()
    if link is None:
        raise NotFound(GONE)
    reason = "revoked" if link.revoked_at is not None else "expired" if link.expires_at <= timezone.now() else ""
    if reason:
        if _times(link, "search:court_link:refused") < MOST_REFUSALS:
            journal.record_now("search:court_link:refused", request=link.request_id, link=link.pk, reason=reason)
        raise NotFound(GONE)
    return link


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _times(link: CourtLink, event: str) -> int:
    """How often the log says `event` of this link within the last hour: the same for every web process."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM log.entry WHERE request = %s AND type = %s AND at > %s"
            " AND convert_from(body, 'UTF8')::jsonb ->> 'link' = %s",
            [link.request_id, event, int((timezone.now() - _HOUR).timestamp() * 1000), str(link.pk)],
        )
        row = cursor.fetchone()
    return 0 if row is None else int(row[0])


def receipts(request: uuid.UUID) -> list[Proven]:
    """The receipts of a search in the order of its steps, of what the signed log covers. The first entry of a kind counts."""
    said: dict[str, LogEntry] = {}
    for entry in entries.life(request):
        said.setdefault(entry.type, entry)
    found = []
    for kind in KINDS:
        if kind.event in said:
            proof = evidence.of(said[kind.event])
            if proof.receipt is not None and not proof.problem:
                found.append(Proven(kind, said[kind.event], proof.receipt, proof))
    return found


def archive(found: list[Proven]) -> Iterator[bytes]:
    """All receipts with their entries, the verifier and how to use it, as a zip file."""
    keys = verifier_keys.published()

    def members() -> Iterator[archives.Member]:
        for name, content in exports.beside(keys, how_to(found, keys)):
            yield name, [content]
        for one in found:
            yield f"{one.kind.code}.tlog-proof", [one.receipt.encode()]
            yield f"{one.kind.code}.entry.json", [one.entry.body]

    return archives.stream(members())


def how_to(found: list[Proven], keys: list[VerifierKey]) -> str:
    """The text beside the receipts."""
    listed = "\n".join(f"  {key}\n  fingerprint {fingerprint(key)}\n" for key in keys)
    named = " ".join(f"--key '{key}'" for key in keys)
    proven = "\n\n".join(
        f"  {one.kind.code}: entry {one.entry.index}. {one.kind.title}.\n    {one.kind.proves}" for one in found
    )
    commands = "\n".join(
        f"   python3 -I {verifier_file.NAME} {named} \\\n"
        f"       --receipt {one.kind.code}.tlog-proof --entry {one.kind.code}.entry.json"
        for one in found
    )
    return f"""HOW TO CHECK THESE RECEIPTS

Each receipt (.tlog-proof) proves that its entry (.entry.json) stands in the log, byte for byte:

{proven}

1. The key. Compare it with the paper that the court was given, not with this file. The fingerprint is the SHA-256 of the
   key as it is written here.

{listed}
2. The program. {verifier_file.NAME} has the SHA-256 {verifier_file.digest()}
   Compare that with the paper too. You need Python 3.11 or newer and nothing else; no network, no account.

3. The check, in this directory. The last line begins with OK, or with FAIL and the reason.

{commands}

A receipt does not show that there were no other searches, and nothing about who is in the photo.
"""
