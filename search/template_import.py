"""Importing templates that somebody else computed: checked first, copied in bulk, sealed like every other batch.

That they come from the face model is the importer's word: nothing here can recompute them, and the entry says so. An import is
whole or not there: one that was cut off is given up and made again from its file, which takes less than looking for what
is missing. Until its batch is sealed nothing of it is searched.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psycopg
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray

from audit.log import journal
from core import database, jobs, keystore
from core.exceptions import Conflict, Invalid
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import (
    batches,
    enrolment,
    face_models,
    galleries,
    permissions,
    shards,
    sub_galleries,
    template_file,
    template_rows,
)
from search.exceptions import gate_sentences
from search.manifest import LeftOut
from search.models import EnrolledPhoto, Enrolment, EnrolmentItem, FaceModel, Gallery
from search.template_file import TemplateFile
from search.template_rows import Rows

KIND: Final = "template_import"
ORIGIN: Final = "stated_by_importer"
CHUNK: Final = 5_000  # rows a transaction
_ALREADY: Final = "This template is in this gallery edition already."
_COPY_REFERENCES: Final = (
    "COPY search_enrolledphoto (gallery_id, edition, shard, enrolment_id, has_photo, enrolled_at, template, person, photo_sha256,"
    " person_ref, attributes) FROM STDIN"
)

# What this process has just read, for the job that it runs itself: checking a large file takes as long as copying it.
_at_hand: dict[uuid.UUID, TemplateFile] = {}


def start(
    *,
    by: User | None,
    gallery: Gallery,
    embeddings: Path,
    face_model: FaceModel,
    shard: str = "",
    checked: TemplateFile | None = None,
    send: bool = True,
) -> Enrolment:
    """Check a file of templates and queue the job that imports it; by=None is the operator at the command line.

    Of a gallery that is spread over several servers it takes in those people who belong to `shard` (empty: the main server): it
    is started once for each (`shards.parts`), with the file as it was `checked` before. An unfinished import of the same file is returned, to be gone on with. With send=False the caller runs the job
    (`enrolment.run_here`). Raises NotAllowed, Invalid (field embeddings), Conflict: no edition under this face model, or
    another enrolment into it is not finished.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    face_models.check_licence(face_model)
    edition = galleries.edition_of(gallery, face_model, shard)
    whole = checked or template_file.read(embeddings, edition.dimension)
    _check_not_empty(whole.rows, whole.left_out)
    read = _part(gallery, whole, shard)
    with transaction.atomic():
        run = enrolment.unfinished(gallery, edition.edition, shard, manifest_sha256=read.sha256, folder=str(read.path))
        if run is None:
            if not shard:
                galleries.check_not_retired(edition.edition)
            left_out = [*read.left_out, *_enrolled_already(gallery, shard, edition.edition, read)]
            if not gallery.shards:  # a part may be empty: it is sealed all the same
                _check_not_empty(read.rows, left_out)
            run = _take_in(by, gallery, shard, face_model, edition.edition, read, left_out)
        jobs.enqueue(kind=KIND, subject=run.id, send=send)
    if not send:
        _at_hand[run.id] = read
    return run


def _check_not_empty(rows: int, left_out: Sequence[LeftOut]) -> None:
    if len(left_out) == rows:
        sentence = f"No row of the file can be imported. Row {left_out[0].row}: {left_out[0].sentence}"
        raise Invalid(sentence, {template_file.EMBEDDINGS: [sentence]})


def _part(gallery: Gallery, whole: TemplateFile, shard: str) -> TemplateFile:
    """The rows of the people who belong to a server; what is wrong with a row is told with those of the person it names."""
    if not gallery.shards:
        return whole
    ids = galleries.people(gallery, [*whole.people, *(one.person_ref for one in whole.left_out)])
    return whole.of_people({ref for ref, person in ids.items() if shards.of_person(gallery, person) == shard})


def _enrolled_already(gallery: Gallery, shard: str, edition: int, read: TemplateFile) -> list[LeftOut]:
    """Rows whose template is in the edition: known by a keyed digest, because nobody can look into the templates."""
    imported = EnrolledPhoto.objects.filter(shard=shard, edition=edition, removed_at=None, has_photo=False)
    if not imported.exists():
        return []
    found: list[LeftOut] = []
    known_again = template_file.keyed(read.halves, _key(gallery))
    for start_at in range(0, len(known_again), CHUNK):
        chunk = known_again[start_at : start_at + CHUNK]
        known = set(imported.filter(photo_sha256__in=chunk).values_list("photo_sha256", flat=True))
        for place, one in enumerate(chunk, start_at):
            if one in known:
                file = read.attributes[place].get(template_file.PHOTO, "")
                number = int(read.kept[place]) + 1
                found.append(LeftOut(number, read.people[place], file, "same_template", _ALREADY))
    return found


def _take_in(
    by: User | None,
    gallery: Gallery,
    shard: str,
    face_model: FaceModel,
    edition: int,
    read: TemplateFile,
    left_out: Sequence[LeftOut],
) -> Enrolment:
    run = Enrolment.objects.create(
        gallery=gallery,
        edition=edition,
        shard=shard,
        face_model=face_model,
        source=Enrolment.Source.TEMPLATES,
        folder=str(read.path),
        manifest_sha256=read.sha256,
        rows=read.rows,
        started_by=by,
        started_at=timezone.now(),
    )
    EnrolmentItem.objects.bulk_create(
        (
            EnrolmentItem(
                enrolment=run,
                row=one.row,
                person_ref=one.person_ref,
                file=one.file,
                state=EnrolmentItem.State.LEFT_OUT,
                reason=one.reason,
                sentence=one.sentence,
            )
            for one in sorted(left_out, key=lambda one: one.row)
        ),
        batch_size=2000,
    )
    journal.record(
        "gallery:import:started",
        run=run.id,
        gallery=gallery.id,
        edition=edition,
        model=face_model.hash,
        origin=ORIGIN,
        templates=read.rows,
        vault_record=run.id,
        values={"file": read.sha256},
        **signature(by, Permission.KEEP_GALLERIES),
    )
    return run


@jobs.job(KIND, queue=enrolment.QUEUE, stopped=enrolment.stopped)
def _handle(running: jobs.RunningJob) -> None:
    work(Enrolment.objects.select_related("gallery", "face_model").get(pk=running.subject), running)


def work(run: Enrolment, running: jobs.RunningJob) -> None:
    """Copy the file's templates into a batch of their own and seal it; what a killed worker left is made again."""
    read = _at_hand.pop(run.id, None) or _read_again(run)
    while run.sealed_at is None and run.discarded_at is None:
        if run.batch is not None:
            batches.discard(run, reason="interrupted", again=True)
        with gate_sentences():
            batches.open_batch(run)
        loading = _Loading.of(run, read)
        _tell(running, loading, 0, "importing")
        for done in loading.copy_all(running):
            _tell(running, loading, done, "importing")
        _tell(running, loading, len(loading.rows), "sealing")
        enrolment.conclude(run, loading.sealing, left_out=run.items.count)


def _read_again(run: Enrolment) -> TemplateFile:
    read = template_file.read(Path(run.folder), run.face_model.dimension)
    if read.sha256 != run.manifest_sha256:
        raise Conflict("The file was changed since the import began. Restore it, or give this import up.")
    return _part(run.gallery, read, run.shard)


def _tell(running: jobs.RunningJob, loading: _Loading, done: int, stage: str) -> None:
    running.progress(done, len(loading.rows), stage)
    enrolment.tell(done, len(loading.rows), stage)


def _key(gallery: Gallery) -> bytes:
    return hmac.digest(keystore.create(gallery.id), b"glasscase/v1 imported templates", hashlib.sha256)


@dataclass(eq=False)
class _Loading:
    """One attempt to copy a file's rows into an open batch.

    `rows` (m,) are places in the arrays of `read`; `templates` and `people` are the ids that they get, `marks` their
    sub-galleries.
    """

    run: Enrolment
    read: TemplateFile
    rows: NDArray[np.int64]
    templates: Rows
    people: Rows
    marks: NDArray[np.int64]
    expunged: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, run: Enrolment, read: TemplateFile) -> _Loading:
        known = set(run.items.filter(reason="same_template").values_list("row", flat=True))
        rows = np.array([place for place, index in enumerate(read.kept.tolist()) if index + 1 not in known], np.int64)
        ids = galleries.people(run.gallery, read.people)
        templates = template_rows.ids(batches.templates_of(run, (read.kept[rows] + 1).tolist()))
        people = template_rows.ids(ids[read.people[place]] for place in rows.tolist())
        parts = sub_galleries.of_edition(run.edition, run.shard)
        marks = np.array([sub_galleries.marks(parts, read.attributes[place]) for place in rows.tolist()], np.int64)
        return cls(run, read, rows, templates, people, marks)

    def copy_all(self, running: jobs.RunningJob) -> Iterator[int]:
        """Copy chunk after chunk, each in a transaction of its own; gives how many rows are done."""
        for start_at in range(0, len(self.rows), CHUNK):
            with batches.writing(self.run) as at:
                # The lease is renewed inside: a worker that lost it in the meantime commits nothing.
                running.check()
                self._ask_who_was_expunged()
                self._copy(at, self._not_expunged(np.arange(start_at, min(start_at + CHUNK, len(self.rows)))))
            yield min(start_at + CHUNK, len(self.rows))

    def sealing(self) -> tuple[int, bytes]:
        """How many templates the batch holds, and their digest; inside the transaction that seals it."""
        self._ask_who_was_expunged()
        chosen = self._not_expunged(np.arange(len(self.rows)))
        self.run.imported = len(chosen)
        halves = self.read.halves[self.rows[chosen]]
        return len(chosen), template_rows.digest(
            self.templates[chosen], self.people[chosen], halves, self.marks[chosen]
        )

    def _ask_who_was_expunged(self) -> None:
        """Locks the run, as whoever expunges does: nobody is copied after they were expunged."""
        now = Enrolment.objects.select_for_update(no_key=True).values_list("expunged", flat=True).get(pk=self.run.pk)
        self.expunged = frozenset(uuid.UUID(one).bytes for one in now)

    def _not_expunged(self, among: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self.expunged:
            return among
        return np.array([place for place in among if self.people[place].tobytes() not in self.expunged], np.int64)

    def _copy(self, at: psycopg.Connection, chosen: NDArray[np.int64]) -> None:
        if not len(chosen):
            return
        templates, people, halves = self.templates[chosen], self.people[chosen], self.read.halves[self.rows[chosen]]
        with at.cursor() as cursor, cursor.copy(template_rows.COPY) as copy:
            copy.write(template_rows.HEAD)
            edition, batch = self.run.edition, self.run.batch or 0
            copy.write(template_rows.binary(edition, batch, templates, people, halves, self.marks[chosen]))
            copy.write(template_rows.TAIL)
        known_again = template_file.keyed(halves, _key(self.run.gallery))
        with database.session().cursor() as cursor, cursor.copy(_COPY_REFERENCES) as copy:
            copy.write(self._references(self.rows[chosen].tolist(), templates, people, known_again))

    def _references(self, places: list[int], templates: Rows, people: Rows, known_again: list[str]) -> str:
        """What is kept beside the templates, as lines of COPY's text form."""
        same = f"{self.run.gallery_id}\t{self.run.edition}\t{self.run.shard}\t{self.run.pk}\tf\t{timezone.now().isoformat()}"
        return "".join(
            f"{same}\t{template.tobytes().hex()}\t{person.tobytes().hex()}\t{digest}"
            f"\t{_escaped(self.read.people[place])}\t{_escaped(json.dumps(self.read.attributes[place]))}\n"
            for place, template, person, digest in zip(places, templates, people, known_again, strict=True)
        )


def _escaped(text: str) -> str:
    """For COPY's text form: tabs and ends of lines cannot occur, because every value can be shown."""
    return text.replace("\\", "\\\\")
