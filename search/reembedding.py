"""Re-embedding: the photos of the edition that is searched, read again by another face model into an edition beside it.

Two approvers let it happen. The database's halves of the photos' keys come slice by slice, each announced by an entry of the log
(search/gate/sql/160_reembedding.sql). The photos themselves are kept as they are, under keys of their own again. People
and attributes are carried over; who is removed or expunged meanwhile stays out; what the face model cannot read, and
templates that never had a photo, are reported. Nothing is searched there before somebody approves the switch.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.log import journal
from core import database, jobs, keystore, state
from core.exceptions import Conflict, NotFound
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import batches, enrolment, face_models, galleries, permissions, photos, trail
from search.exceptions import gate_sentences
from search.extraction import Task
from search.gate import client, params
from search.models import EnrolledPhoto, Enrolment, EnrolmentItem, FaceModel, Gallery
from search.proposals import Signature, propose_two

KIND: Final = "reembedding"
SLICE: Final = 256
"""Photos announced at once: what a captured worker could read beyond the one it works on."""
_PAUSE: Final = 0.2
_WAITING, _LEFT_OUT = EnrolmentItem.State.WAITING, EnrolmentItem.State.LEFT_OUT
_NO_PHOTO: Final = "This template was imported without a photo. Import one that the new face model computed."
_ALREADY: Final = "The same photo is enrolled in this gallery edition already."


def start(
    *, by: User | None, gallery: Gallery, face_model: FaceModel, signatures: Sequence[Signature] = (), send: bool = True
) -> Enrolment:
    """Queue the job that reads the photos of the searched edition again, approved by two people; None is the operator.

    An unfinished re-embedding is returned, to be gone on with: that needs no approval. With send=False the caller runs the
    job (`enrolment.run_here`). Raises NotAllowed, Invalid for a secret or fewer than two approvers, Conflict.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    if gallery.shards:
        raise Conflict(
            "This gallery is spread over several servers and stays under its face model. Make a new gallery for another one."
        )
    face_models.check_licence(face_model)
    source, target = galleries.current_edition(gallery), galleries.edition_of(gallery, face_model)
    if source is None or source.edition == target.edition:
        raise Conflict("The gallery is searched under this face model. There is nothing to read again.")
    same = {"source": Enrolment.Source.REEMBEDDED, "from_edition": source.edition}
    with transaction.atomic():
        run = enrolment.unfinished(gallery, target.edition, "", **same)
        if run is not None:
            jobs.enqueue(kind=KIND, subject=run.id, send=send)
            return run
    if not _to_read(source.edition, target.edition).exists():
        raise Conflict("No photo of the edition that is searched is missing in this edition.")
    run = Enrolment(
        gallery=gallery,
        edition=target.edition,
        face_model=face_model,
        folder="",
        started_by=by,
        started_at=timezone.now(),
        **same,
    )
    secret = batches.claim_secret(run)
    claim = hashlib.sha256(secret).digest()
    asked: dict[str, Any] = {
        "gallery": gallery.id,
        "source": source.edition,
        "target": target.edition,
        "version": source.version,
        "templates": source.templates,
        "claim": claim,
    }
    try:
        act = params.open_reembedding(**asked)
        proposals = propose_two(by=by, act="gallery:open_reembedding", params=act, signatures=signatures)
        with transaction.atomic(), gate_sentences():
            enrolment.unfinished(gallery, target.edition, "", **same)
            run.batch = client.open_reembedding(database.session(), proposals=proposals, **asked)
            _take_in(by, run)
            jobs.enqueue(kind=KIND, subject=run.id, send=send)
    except Exception:
        keystore.destroy(run.id)
        raise
    return run


def _to_read(source: int, target: int) -> QuerySet[EnrolledPhoto]:
    there = EnrolledPhoto.objects.filter(edition=target, removed_at=None).values("photo_sha256")
    return _sealed(source).filter(has_photo=True).exclude(photo_sha256__in=there)


def _sealed(edition: int) -> QuerySet[EnrolledPhoto]:
    """What the edition's present version holds: nothing of an enrolment that is under way."""
    return EnrolledPhoto.objects.filter(edition=edition, removed_at=None, enrolment__sealed_at__isnull=False)


def _take_in(by: User | None, run: Enrolment) -> None:
    """The run, and an item for each photo, in the order in which they were enrolled."""
    assert run.from_edition is not None
    wanted = set(_to_read(run.from_edition, run.edition).values_list("template", flat=True))
    listing = hashlib.sha256()
    run.manifest_sha256 = "0" * 64
    run.save(force_insert=True)
    kept = _sealed(run.from_edition).order_by("enrolled_at", "template")

    def items() -> Iterator[EnrolmentItem]:
        for row, photo in enumerate(kept.iterator(chunk_size=5000), 1):
            listing.update(photo.template.bytes)
            item = EnrolmentItem(
                enrolment=run,
                row=row,
                person_ref=photo.person_ref,
                file="",
                attributes=photo.attributes,
                origin=photo.template,
            )
            if photo.template not in wanted:
                item.state = _LEFT_OUT
                item.reason, item.sentence = ("same_photo", _ALREADY) if photo.has_photo else ("no_photo", _NO_PHOTO)
            yield item

    EnrolmentItem.objects.bulk_create(items(), batch_size=2000)
    run.manifest_sha256 = listing.hexdigest()
    run.save(update_fields=["manifest_sha256"])
    journal.record(
        "gallery:enrolment:started",
        run=run.id,
        gallery=run.gallery_id,
        edition=run.edition,
        photos=run.items.count(),
        vault_record=run.id,
        values={"manifest": run.manifest_sha256},
        **signature(by, Permission.KEEP_GALLERIES),
    )


@jobs.job(KIND, queue=enrolment.QUEUE, stopped=enrolment.stopped)
def _handle(running: jobs.RunningJob) -> None:
    work(Enrolment.objects.select_related("gallery", "face_model").get(pk=running.subject), running)


def work(run: Enrolment, running: jobs.RunningJob) -> None:
    """Read what waits, slice by slice, then seal. Goes on where a killed worker stopped: repeats and loses nothing."""
    if run.sealed_at is None and run.discarded_at is None:
        drawing = _Drawing(run, running, batches.claim_secret(run))
        try:
            enrolment.fill(run, running, drawing.tasks)
        except client.GateRefused as refused:
            raise Conflict(refused.sentence) from refused


@dataclass
class _Drawing:
    """The halves of the slice that is worked on, and the next one's when its turn comes."""

    run: Enrolment
    running: jobs.RunningJob
    secret: bytes
    halves: dict[uuid.UUID, bytes] = field(default_factory=dict)
    opened: set[uuid.UUID] = field(default_factory=set)

    def tasks(self, items: list[EnrolmentItem]) -> list[Task]:
        """The photos of these items, opened: for `extraction`."""
        if any(item.slice is None for item in items):
            self._announce_when_covered(items[0].row)
            slices = dict(self.run.items.filter(pk__in=[item.pk for item in items]).values_list("pk", "slice"))
            for item in items:
                item.slice = slices.get(item.pk)
        for slice_ in {item.slice for item in items if item.slice is not None} - self.opened:
            self._open(slice_)
        hashes = dict(
            EnrolledPhoto.objects.filter(template__in=[item.origin for item in items]).values_list(
                "template", "photo_sha256"
            )
        )
        return [self._task(item, hashes) for item in items]

    def _announce_when_covered(self, row: int) -> None:
        """As `_announce`; the gate takes the first slice when the signed log holds what two people approved."""
        started = time.monotonic()
        while True:
            try:
                return self._announce(row)
            except client.GateRefused as refused:
                if refused.rule != "receipt":
                    raise
                if time.monotonic() - started > settings.GLASSCASE_LOG_WAIT_SECONDS:
                    raise jobs.TryAgain from refused
            self.running.check()
            time.sleep(_PAUSE)

    def _announce(self, row: int) -> None:
        """Say which photos come next; what was announced before a worker was killed is not announced again."""
        with transaction.atomic(durable=True):
            self.running.check()
            upcoming = self.run.items.select_for_update().filter(state=_WAITING, slice=None, row__gte=row)
            items = list(upcoming.order_by("row")[:SLICE])
            if not items:
                return  # removed or expunged since they were read
            slice_ = client.announce_slice(
                database.session(),
                edition=self.run.edition,
                batch=self.run.batch or 0,
                secret=self.secret,
                templates=[item.origin for item in items if item.origin is not None],
            )
            self.run.items.filter(pk__in=[item.pk for item in items]).update(slice=slice_)

    def _open(self, slice_: uuid.UUID) -> None:
        try:
            trail.wait(database.session(), slice_, covered=False, alive=self.running.check)
        except trail.LogSilent as silent:
            raise jobs.TryAgain from silent
        self.halves |= client.slice_halves(database.session(), slice_, self.secret)
        self.opened.add(slice_)

    def _task(self, item: EnrolmentItem, hashes: dict[uuid.UUID, str]) -> Task:
        model = self.run.face_model
        assert item.origin is not None
        half = self.halves.pop(item.origin, None)
        data = b""
        if half is not None:
            with suppress(NotFound):  # expunged since the half was given: its item does not wait any more
                data = photos.read(item.origin, half)
        return Task(None, model.name, state.models_dir(), model.hash, data, hashes.get(item.origin, ""))
