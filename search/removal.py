"""Removing enrolled photos from searches, and expunging people: rows, files and keys."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import psycopg
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit.log import journal
from core import key_backups
from core.exceptions import Conflict, Invalid, NotFound
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import permissions, photos, shards
from search.exceptions import gate_sentences
from search.gate import client, params
from search.gate.client import GateRefused
from search.models import EnrolledPhoto, Enrolment, EnrolmentItem, Gallery
from search.proposals import propose

REMOVED: Final = "removed"
EXPUNGED: Final = "expunged"
RESUMED: Final = "resumed"  # a process was killed between the act and the erasure; another one finished it
_ERASED_AT_ONCE: Final = 1000
_BLANK: Final[dict[str, Any]] = {"person_ref": "", "file": "", "attributes": {}, "sentence": ""}


def remove(*, by: User | None, gallery: Gallery, templates: Iterable[uuid.UUID], approver: User, secret: str) -> int:
    """Take photos out of every further search and erase their files and keys; returns how many templates.

    The same photo in another edition of the gallery is taken out with it, in the same transaction.

    Raises NotAllowed, Invalid for the secret, NotFound when one of them is not in the gallery, Conflict when a re-embedding
    that has just ended made another copy: the approval does not cover that one.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    wanted = set(templates)
    if not wanted:
        raise Invalid("Name at least one photo.", {"templates": ["Name at least one photo."]})
    by_edition: dict[tuple[str, int], list[uuid.UUID]] = defaultdict(list)
    for template, shard, edition in gallery.photos.filter(template__in=wanted, removed_at=None).values_list(
        "template", "shard", "edition"
    ):
        by_edition[shard, edition].append(template)
    if sum(map(len, by_edition.values())) < len(wanted):
        raise NotFound("One of these photos is not enrolled in this gallery.")
    copies = set() if gallery.shards else _same_photos(gallery, wanted)
    for template, edition in copies:
        by_edition["", edition].append(template)
    for shard in sorted({shard for shard, _ in by_edition}):
        here = sorted((edition, chosen) for (place, edition), chosen in by_edition.items() if place == shard)
        with shards.session(shard) as at:
            proposals = [
                propose(
                    by=by,
                    act="gallery:remove",
                    params=params.remove(edition=edition, templates=chosen),
                    approver=approver,
                    secret=secret,
                    at=at,
                )
                for edition, chosen in here
            ]
            with gate_sentences(), transaction.atomic(durable=True):
                _lock_runs(gallery)
                if not gallery.shards and _same_photos(gallery, wanted) != copies:
                    raise Conflict(
                        "Meanwhile one of these photos was read again into another edition, or removed there. Nothing was "
                        "removed: remove it again."
                    )
                for (edition, chosen), proposal in zip(here, proposals, strict=True):
                    gone = [*chosen, *_keep_out_of_reembeddings(chosen)]
                    client.remove(at, edition=edition, templates=chosen, proposal=proposal)
                    EnrolledPhoto.objects.filter(template__in=gone).update(removed_at=timezone.now())
    return _erase(Q(gallery=gallery), by, REMOVED)


def expunge(*, by: User | None, person: uuid.UUID, approver: User, secret: str, gallery: Gallery | None = None) -> int:
    """Erase a person from every edition: templates, files, keys and names; returns how many templates.

    `gallery` has to be named for somebody whose photos were all removed before: only the gate still knows them. Raises
    NotAllowed, Invalid for the secret, NotFound for somebody who is not enrolled, Conflict under a legal hold.
    """
    enrolled = EnrolledPhoto.objects.filter(person=person)
    first = enrolled.select_related("gallery").first()
    if first is not None:
        gallery = first.gallery
    if gallery is None:
        raise NotFound("Nobody with this id is enrolled.")
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    with shards.session(shards.of_person(gallery, person)) as at:
        proposal = propose(
            by=by, act="gallery:expunge", params=params.expunge(person=person), approver=approver, secret=secret, at=at
        )
        with gate_sentences(), transaction.atomic(durable=True):
            # Items first, as an enrolment locks them: what is just being enrolled of this person is left out.
            if first is not None:
                _forget(Q(enrolment__gallery=gallery, person_ref=first.person_ref), EXPUNGED)
                _keep_out_of_imports(gallery, person)
            gone = _expunged(at, person, proposal, again=bool(shards.of_person(gallery, person)) and first is not None)
            enrolled.update(removed_at=timezone.now())
    _erase(Q(person=person), by, EXPUNGED)
    return gone


def _expunged(at: psycopg.Connection, person: uuid.UUID, proposal: uuid.UUID, *, again: bool) -> int:
    """How many templates the gate erased. With `again` none is an answer: a shard commits before what follows is noted here."""
    try:
        return client.expunge(at, person=person, proposal=proposal)
    except GateRefused as refused:
        if again and refused.rule == "person":
            return 0
        raise


def finish_erasures() -> int:
    """Finish what a killed process left half done: photos that were removed and are not erased yet. Returns how many."""
    return _erase(Q(), None, RESUMED)


def _erase(which: Q, by: User | None, reason: str) -> int:
    """Delete files and keys, then the rows with their entry: after a crash in between it is simply done again."""
    erased = 0
    while True:
        rows = list(
            EnrolledPhoto.objects.filter(which, removed_at__isnull=False).order_by("template")[:_ERASED_AT_ONCE]
        )
        if not rows:
            return erased
        templates = [row.template for row in rows]
        photos.erase(templates)
        with transaction.atomic(durable=True):
            _forget(Q(template__in=templates), reason)
            for gallery in {row.gallery_id for row in rows}:
                here = [row.template for row in rows if row.gallery_id == gallery]
                deleted, _ = EnrolledPhoto.objects.filter(template__in=here).delete()
                if deleted:  # nobody else was quicker
                    journal.record(
                        "gallery:photos:erased",
                        gallery=gallery,
                        photos=deleted,
                        reason=reason,
                        backups_until=key_backups.gone_by(),
                        **signature(by, Permission.KEEP_GALLERIES),
                    )
        erased += len(rows)


def _lock_runs(gallery: Gallery) -> list[Enrolment]:
    """The enrolments that are under way, locked: none of them is sealed, and none started, before this act is over."""
    Gallery.objects.select_for_update(no_key=True).get(pk=gallery.pk)
    running = Enrolment.objects.select_for_update(no_key=True).filter(sealed_at=None, discarded_at=None)
    return list(running.filter(gallery=gallery).order_by("pk"))


def _same_photos(gallery: Gallery, templates: set[uuid.UUID]) -> set[tuple[uuid.UUID, int]]:
    """What was sealed of the same photos in other editions: template and edition of each."""
    named = gallery.photos.filter(template__in=templates, has_photo=True)
    same = gallery.photos.filter(
        photo_sha256__in=named.values("photo_sha256"), removed_at=None, enrolment__sealed_at__isnull=False
    )
    return set(same.exclude(template__in=templates).values_list("template", "edition"))


def _keep_out_of_imports(gallery: Gallery, person: uuid.UUID) -> None:
    """Tell the imports that are under way: they have no row for each template."""
    for run in _lock_runs(gallery):
        if run.source == Enrolment.Source.TEMPLATES:
            run.expunged = [*run.expunged, str(person)]
            run.save(update_fields=["expunged"])


def _keep_out_of_reembeddings(removed: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Take photos out of a re-embedding that is under way; returns the templates that they had there already.

    The gate does the same with the rows when it seals the batch.
    """
    items = EnrolmentItem.objects.filter(
        origin__in=list(removed), enrolment__sealed_at=None, enrolment__discarded_at=None
    )
    made = [template for template in items.values_list("template", flat=True) if template is not None]
    items.update(state=EnrolmentItem.State.LEFT_OUT, reason=REMOVED, template=None, digest=None, **_BLANK)
    return made


def _forget(which: Q, reason: str) -> None:
    """Take names out of the manifests' rows. In an enrolment that is not sealed yet, they do not count any more."""
    items = EnrolmentItem.objects.filter(which)
    items.filter(enrolment__sealed_at=None).update(
        state=EnrolmentItem.State.LEFT_OUT, reason=reason, template=None, digest=None
    )
    items.update(**_BLANK)
