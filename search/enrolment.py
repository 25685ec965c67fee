"""Enrolling a manifest into a gallery edition: a job that any worker can go on with at any photo."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import rfc8785
from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from audit.log import journal
from core import jobs, state
from core.exceptions import Conflict, NotFound
from core.models import Job, JobState, User
from core.permissions import signature
from core.person_roles import Permission
from search import batches, extraction, face_models, galleries, permissions, shards
from search import manifest as manifests
from search.exceptions import gate_sentences
from search.gate.client import GateRefused
from search.manifest import LeftOut
from search.models import Enrolment, EnrolmentItem, FaceModel, Gallery

KIND: Final = "enrolment"
QUEUE: Final = "enrolment"
CHUNK: Final = 16  # photos a transaction: what a killed worker has to compute again at most, twice over with look-ahead
NOTHING_ENROLLED: Final = 3
"""What the commands that fill a gallery exit with when nothing was left to enrol."""
_MOST_RERUNS: Final = 1

Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class _Manner:
    """How this process works on enrolments: a worker alone, a command with processes of its own and a progress bar."""

    processes: int = 1
    told: Told | None = None


_ALONE: Final = _Manner()
_manner: ContextVar[_Manner] = ContextVar("manner of enrolling", default=_ALONE)


@dataclass(frozen=True)
class EnrolmentReport:
    """What became of a manifest. `version` is the edition's version that holds it, None when nothing was sealed."""

    photos: int
    enrolled: int
    waiting: int
    version: int | None
    reasons: dict[str, int] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The counts, for a summary."""
        return {
            "photos": self.photos,
            "enrolled": self.enrolled,
            "left_out": sum(self.reasons.values()),
            "reasons": self.reasons,
            "version": self.version,
        }


def start(
    *,
    by: User | None,
    gallery: Gallery,
    manifest: Path,
    face_model: FaceModel,
    shard: str = "",
    send: bool = True,
) -> Enrolment:
    """Take a manifest in and queue the job that enrols it; by=None is the operator at the command line.

    Of a gallery that is spread over several servers it takes in those people who belong to `shard` (empty: the main server):
    it is started once for each (`shards.parts`). An unfinished enrolment of the same manifest is returned, to be gone on with. With send=False the caller runs the job
    (`run_here`). Raises NotAllowed, Invalid (field manifest), Conflict: no edition under this face model, or another
    enrolment into it is not finished.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    face_models.check_licence(face_model)
    edition = galleries.edition_of(gallery, face_model, shard)
    read = manifests.read(manifest)
    with transaction.atomic():
        enrolment = unfinished(gallery, edition.edition, shard, manifest_sha256=read.sha256, folder=str(read.folder))
        if enrolment is None:
            if not shard:
                galleries.check_not_retired(edition.edition)
            enrolment = _take_in(by, gallery, face_model, edition.edition, read, shard)
        jobs.enqueue(kind=KIND, subject=enrolment.id, send=send)
    return enrolment


def unfinished(gallery: Gallery, edition: int, shard: str = "", **of: Any) -> Enrolment | None:
    """The unfinished enrolment into the edition with these values (which file, which place); locks the gallery.

    Raises Conflict when another one is not finished.
    """
    # One at a time: the second of two that start together sees the first.
    Gallery.objects.select_for_update(no_key=True).get(pk=gallery.pk)
    found = Enrolment.objects.filter(shard=shard, edition=edition, sealed_at=None, discarded_at=None).first()
    if found is not None and any(getattr(found, name) != value for name, value in of.items()):
        raise Conflict("Another enrolment into this gallery edition is not finished. Go on with it, or give it up.")
    return found


def _take_in(
    by: User | None, gallery: Gallery, face_model: FaceModel, edition: int, read: manifests.Manifest, shard: str
) -> Enrolment:
    people = galleries.people(gallery, (row.person_ref for row in read.rows))
    rows = [row for row in read.rows if shards.of_person(gallery, people[row.person_ref]) == shard]
    enrolment = Enrolment.objects.create(
        gallery=gallery,
        edition=edition,
        shard=shard,
        face_model=face_model,
        folder=str(read.folder),
        manifest_sha256=read.sha256,
        started_by=by,
        started_at=timezone.now(),
    )
    EnrolmentItem.objects.bulk_create(
        (
            EnrolmentItem(
                enrolment=enrolment,
                row=row.number,
                person_ref=row.person_ref,
                file=row.file,
                attributes=row.attributes,
                state=EnrolmentItem.State.LEFT_OUT if row.reason else EnrolmentItem.State.WAITING,
                reason=row.reason,
                sentence=row.sentence,
            )
            for row in rows
        ),
        batch_size=2000,
    )
    journal.record(
        "gallery:enrolment:started",
        run=enrolment.id,
        gallery=gallery.id,
        edition=edition,
        photos=len(rows),
        vault_record=enrolment.id,
        values={"manifest": read.sha256},
        **signature(by, Permission.KEEP_GALLERIES),
    )
    return enrolment


def run_here(
    enrolment: Enrolment,
    *,
    processes: int = 1,
    told: Told | None = None,
    waiting: Callable[[Job], None] | None = None,
) -> Job:
    """Work on the enrolment in this process until it ends, or wait for the worker that has it; returns its job.

    `told(done, total, stage)` follows the work here, `waiting(job)` that of another worker.
    """
    before = _manner.set(_Manner(processes, told))
    try:
        return jobs.run_here(job_of(enrolment).id, waiting=waiting)
    finally:
        _manner.reset(before)


def job_of(enrolment: Enrolment) -> Job:
    """The newest job of the enrolment. Raises NotFound."""
    found = Job.objects.filter(subject=enrolment.id).order_by("created_at").last()
    if found is None:
        raise NotFound("This enrolment has no job.")
    return found


def stopped(row: Job, by: User | None) -> None:
    """The job failed or was cancelled. The batch stays open, and the same file goes on with it."""
    enrolment = Enrolment.objects.get(pk=row.subject)
    if enrolment.sealed_at is None and enrolment.discarded_at is None:
        journal.record(
            "gallery:enrolment:failed",
            run=enrolment.id,
            gallery=enrolment.gallery_id,
            edition=enrolment.edition,
            reason="cancelled" if row.state == JobState.CANCELLED else "fault",
            **({} if by is None else signature(by, Permission.KEEP_GALLERIES)),
        )


@jobs.job(KIND, queue=QUEUE, stopped=stopped)
def _handle(running: jobs.RunningJob) -> None:
    work(Enrolment.objects.select_related("gallery", "face_model").get(pk=running.subject), running)


def work(enrolment: Enrolment, running: jobs.RunningJob) -> None:
    """Enrol what waits, chunk by chunk, then seal. Goes on where a killed worker stopped: repeats and loses nothing."""
    while enrolment.sealed_at is None and enrolment.discarded_at is None:
        with gate_sentences():
            batches.open_batch(enrolment)
        fill(enrolment, running, lambda chunk: [_task(enrolment, item) for item in chunk])


def fill(
    enrolment: Enrolment, running: jobs.RunningJob, tasks_of: Callable[[list[EnrolmentItem]], list[extraction.Task]]
) -> None:
    """Read what waits, chunk by chunk, store it in the open batch, and seal that."""
    batches.sweep(enrolment)
    try:
        _enrol(enrolment, running, tasks_of)
    except BrokenProcessPool as error:
        raise jobs.TryAgain from error
    _tell(running, enrolment, "sealing")
    conclude(
        enrolment,
        partial(batches.digest, enrolment),
        enrolment.items.filter(state=EnrolmentItem.State.LEFT_OUT).count,
    )


def _enrol(
    enrolment: Enrolment, running: jobs.RunningJob, tasks_of: Callable[[list[EnrolmentItem]], list[extraction.Task]]
) -> None:
    chunks: list[list[EnrolmentItem]] = []

    def tasks() -> Iterator[list[extraction.Task]]:
        for chunk in _chunks(enrolment):
            chunks.append(chunk)
            yield tasks_of(chunk)

    with extraction.extractors(_manner.get().processes) as extracted:
        so_far = _tell(running, enrolment, "enrolling")
        for number, found in enumerate(extracted(tasks())):
            batches.store(enrolment, running, chunks[number], found)
            # Counting the rows again after each chunk would take longer than the chunk in a manifest of millions.
            so_far = _tell(running, enrolment, "enrolling", so_far.after(len(chunks[number])))
            chunks[number] = []


def _chunks(enrolment: Enrolment) -> Iterator[list[EnrolmentItem]]:
    """What waits, in the order of the manifest. Rows that are stored meanwhile lie behind the last one that was read."""
    last = 0
    while True:
        waiting = enrolment.items.filter(state=EnrolmentItem.State.WAITING, row__gt=last).order_by("row")
        chunk = list(waiting[:CHUNK])
        if not chunk:
            return
        last = chunk[-1].row
        yield chunk


def _task(enrolment: Enrolment, item: EnrolmentItem) -> extraction.Task:
    place = manifests.inside(Path(enrolment.folder), item.file)
    model = enrolment.face_model
    return extraction.Task(place, model.name, state.models_dir(), model.hash)


@dataclass(frozen=True)
class _Done:
    """How many of the rows are done with."""

    done: int
    total: int

    def after(self, rows: int) -> _Done:
        return _Done(self.done + rows, self.total)


def _tell(running: jobs.RunningJob, enrolment: Enrolment, stage: str, so_far: _Done | None = None) -> _Done:
    """Say how far the run is; without `so_far` the rows are counted."""
    if so_far is None:
        total = enrolment.items.count()
        so_far = _Done(total - enrolment.items.filter(state=EnrolmentItem.State.WAITING).count(), total)
    running.progress(so_far.done, so_far.total, stage)
    tell(so_far.done, so_far.total, stage)
    return so_far


def tell(done: int, total: int, stage: str) -> None:
    """Tell whoever follows the run in this process."""
    told = _manner.get().told
    if told is not None:
        told(done, total, stage)


def conclude(enrolment: Enrolment, sealing: Callable[[], tuple[int, bytes]], left_out: Callable[[], int]) -> None:
    """Seal the batch and say so in one transaction; a batch with rows that are not ours is given up and made again.

    `sealing` gives inside that transaction how many templates the batch holds, and their digest.
    """
    try:
        with transaction.atomic(durable=True):
            # Whoever removes or expunges locks the run as well, so that the digest is of what is there.
            Enrolment.objects.select_for_update(no_key=True).get(pk=enrolment.pk)
            count, whole = sealing()
            kept = count > 0 or _is_first_of_a_part(enrolment)
            if kept:
                _seal(enrolment, count, whole, left_out())
    except GateRefused as refused:
        enrolment.version = enrolment.sealed_at = None
        if refused.rule == "GC503":
            raise jobs.TryAgain from refused
        if refused.rule not in ("digest", "origin"):
            raise Conflict(refused.sentence) from refused
        # The keys of photos are given once for what two people approved: a second time needs them again.
        again = enrolment.reruns < _MOST_RERUNS and enrolment.source != Enrolment.Source.REEMBEDDED
        batches.discard(enrolment, reason="foreign_rows", again=again)
        if not again:
            raise Conflict(
                "Somebody added rows of their own to this enrolment again and again. Nothing of it was kept. Tell the "
                "administrator: the database's password may be in wrong hands."
            ) from refused
    else:
        if not kept:
            batches.discard(enrolment, reason="nobody_enrolled", again=False)


def _is_first_of_a_part(enrolment: Enrolment) -> bool:
    """Whether an empty batch has to be sealed: a server of a spread gallery to which nobody belongs is searched like the others."""
    if not enrolment.gallery.shards:
        return False
    return galleries.edition_of(enrolment.gallery, enrolment.face_model, enrolment.shard).version == 0


def _seal(enrolment: Enrolment, count: int, whole: bytes, left_out: int) -> None:
    enrolment.version = batches.seal(enrolment, count, whole)
    enrolment.sealed_at = timezone.now()
    enrolment.save(update_fields=["version", "sealed_at", "imported"])
    journal.record(
        "gallery:enrolment:finished",
        run=enrolment.id,
        gallery=enrolment.gallery_id,
        edition=enrolment.edition,
        enrolled=count,
        left_out=left_out,
        vault_record=enrolment.id,
        values={"report": report_digest(enrolment)},
        **signature(enrolment.started_by, Permission.KEEP_GALLERIES),
    )


def pause(*, by: User | None, enrolment: Enrolment) -> None:
    """Stop after the photos that are worked on; `resume` goes on. Raises NotAllowed, Conflict when it is not running."""
    permissions.check_can_keep_galleries(by, enrolment.gallery.agency_id)
    if not sum(jobs.cancel(live, by=by) for live in Job.objects.filter(subject=enrolment.id)):
        raise Conflict("This enrolment is not running.")


def resume(*, by: User | None, enrolment: Enrolment) -> Job:
    """Go on with an enrolment that was paused or has failed. Raises NotAllowed, Conflict when it has ended."""
    permissions.check_can_keep_galleries(by, enrolment.gallery.agency_id)
    enrolment.refresh_from_db()
    if enrolment.sealed_at is not None or enrolment.discarded_at is not None:
        raise Conflict("This enrolment has ended already.")
    with transaction.atomic():
        job = jobs.enqueue(kind=job_of(enrolment).kind, subject=enrolment.id)
        journal.record(
            "gallery:enrolment:resumed",
            run=enrolment.id,
            gallery=enrolment.gallery_id,
            edition=enrolment.edition,
            **signature(by, Permission.KEEP_GALLERIES),
        )
    return job


def discard(*, by: User | None, enrolment: Enrolment) -> None:
    """Give up an unfinished enrolment with everything it stored. Raises NotAllowed, Conflict when it has ended."""
    permissions.check_can_keep_galleries(by, enrolment.gallery.agency_id)
    for live in Job.objects.filter(subject=enrolment.id):
        jobs.cancel(live, by=by)
    enrolment.refresh_from_db()
    if enrolment.sealed_at is not None or enrolment.discarded_at is not None:
        raise Conflict("This enrolment has ended already.")
    with gate_sentences():
        batches.discard(enrolment, reason="given_up", again=False)


def report(enrolment: Enrolment) -> EnrolmentReport:
    """What became of the manifest so far, with every photo that was left out."""
    counts = dict(enrolment.items.values_list("state").annotate(Count("id")).order_by())
    left_out = enrolment.items.filter(state=EnrolmentItem.State.LEFT_OUT)
    reasons = dict(left_out.values_list("reason").annotate(Count("id")).order_by("reason"))
    enrolled = counts.get(EnrolmentItem.State.ENROLLED, 0)
    waiting = counts.get(EnrolmentItem.State.WAITING, 0)
    if enrolment.rows is not None:  # imported: only what was left out has an item
        enrolled = enrolment.imported or 0
        ended = enrolment.sealed_at is not None or enrolment.discarded_at is not None
        waiting = 0 if ended else enrolment.rows - left_out.count()
    return EnrolmentReport(
        photos=sum(counts.values()) if enrolment.rows is None else enrolment.rows,
        enrolled=enrolled,
        waiting=waiting,
        version=enrolment.version,
        reasons=reasons,
        left_out=[LeftOut(*one) for one in left_out.values_list("row", "person_ref", "file", "reason", "sentence")],
    )


def report_digest(enrolment: Enrolment) -> str:
    """SHA-256 over one line of canonical JSON for each row: what the log commits to."""
    whole = hashlib.sha256()
    fields = ("row", "person_ref", "file", "state", "reason")
    for values in enrolment.items.order_by("row").values(*fields).iterator(chunk_size=5000):
        whole.update(rfc8785.dumps(values) + b"\n")
    return whole.hexdigest()


def find(enrolment: uuid.UUID) -> Enrolment:
    """The enrolment with this id. Raises NotFound."""
    try:
        return Enrolment.objects.select_related("gallery", "face_model").get(pk=enrolment)
    except Enrolment.DoesNotExist:
        raise NotFound("There is no such enrolment.") from None
