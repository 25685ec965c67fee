"""The batch of an enrolment in the gated gallery: opened, filled chunk by chunk, sealed or given up.

Everything here can be repeated after a crash. The ids of templates and the claim secret are derived from the
enrolment's key in the key store, so a process that goes on finds what the killed one had made, and needs to remember
nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import tee
from typing import Any

import numpy as np
import psycopg
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray
from pgvector import HalfVector

from audit.log import journal
from core import keystore
from core.jobs import RunningJob
from search import galleries, photos, shards, sub_galleries, template_rows
from search.extraction import Extracted
from search.gate import client
from search.gate.client import GateRefused
from search.models import EnrolledPhoto, Enrolment, EnrolmentItem

_WAITING, _ENROLLED, _LEFT_OUT = (
    EnrolmentItem.State.WAITING,
    EnrolmentItem.State.ENROLLED,
    EnrolmentItem.State.LEFT_OUT,
)
_MOST_SWEPT = 1000
_Fresh = Mapping[int, tuple[EnrolmentItem, Extracted]]


@dataclass(frozen=True)
class _Prepared:
    """A photo whose files are on disk and whose rows are ready."""

    template: uuid.UUID
    person: uuid.UUID
    half: bytes
    vector: bytes
    marks: int
    sha256: str
    origin: uuid.UUID | None = None

    @property
    def digest(self) -> bytes:
        """As `gallery.seal` computes it for the row."""
        marks = self.marks.to_bytes(8, "big") if self.marks else b""
        return hashlib.sha256(self.template.bytes + self.person.bytes + self.vector + marks).digest()


def claim_secret(enrolment: Enrolment) -> bytes:
    """What opens and seals the batch: whoever has the database alone does not know it."""
    return _derived(enrolment, keystore.create(enrolment.id), "claim")


def templates_of(enrolment: Enrolment, rows: Iterable[int]) -> Iterator[uuid.UUID]:
    """The ids that the photos in these rows of the manifest get in this run."""
    key = keystore.create(enrolment.id)
    for row in rows:
        yield uuid.UUID(bytes=_derived(enrolment, key, f"template {row}")[:16], version=5)


def open_batch(enrolment: Enrolment) -> None:
    """Open the batch unless it is open. Raises GateRefused when another enrolment into the edition is."""
    if enrolment.batch is not None:
        return
    with shards.session(enrolment.shard) as at, transaction.atomic(durable=True):
        claim = hashlib.sha256(claim_secret(enrolment)).digest()
        try:
            enrolment.batch = client.open_batch(at, enrolment.edition, claim)
        except GateRefused:
            done = _done(enrolment, at, "gallery:batch:opened", claim=claim.hex())
            if done is None:
                raise
            enrolment.batch = done["batch"]
        enrolment.save(update_fields=["batch"])


@contextmanager
def writing(enrolment: Enrolment) -> Iterator[psycopg.Connection]:
    """One transaction of Django's rows and the server's templates; gives the connection for the templates.

    A shard commits after Django. Killed in between, the batch lacks rows, is refused when it is sealed, and made again.
    """
    with (
        shards.session(enrolment.shard) as at,
        at.transaction() if enrolment.shard else nullcontext(),
        transaction.atomic(durable=True),
    ):
        yield at


def _done(enrolment: Enrolment, at: psycopg.Connection, type_: str, **fields: Any) -> dict[str, Any] | None:
    """The entry of an act that a shard has committed already: a process was killed before it was noted here."""
    if not enrolment.shard:
        return None
    row = at.execute(
        "SELECT convert_from(body, 'UTF8')::jsonb FROM log.entry WHERE type = %s"
        " AND convert_from(body, 'UTF8')::jsonb @> %s::jsonb ORDER BY id DESC LIMIT 1",
        [type_, json.dumps({"edition": enrolment.edition, **fields})],
    ).fetchone()
    return None if row is None else dict(row[0])


def sweep(enrolment: Enrolment) -> None:
    """Delete keys and files that a killed process had made for photos without committing their rows."""
    # They belong to the chunk that was being stored, and so to the first rows that wait.
    waiting = enrolment.items.filter(state=_WAITING).order_by("row").values_list("row", flat=True)
    photos.erase(templates_of(enrolment, waiting[:_MOST_SWEPT]))


def store(
    enrolment: Enrolment, running: RunningJob, items: Sequence[EnrolmentItem], found: Sequence[Extracted]
) -> None:
    """Store one chunk: files and keys first, then all rows and what became of each photo in one transaction.

    Raises JobCancelled or LeaseLost, and then stores no row.
    """
    reasons, fresh = _told(enrolment, items, found)
    prepared = _write_files(enrolment, fresh)
    with writing(enrolment) as at:
        # The lease is renewed inside: a worker that lost it in the meantime commits nothing.
        running.check()
        waiting = enrolment.items.select_for_update().filter(row__in=[item.row for item in items], state=_WAITING)
        current = {item.row: item for item in waiting}
        for row, (reason, sentence) in reasons.items():
            if row in current:
                item = current[row]
                item.state, item.reason, item.sentence = _LEFT_OUT, reason, sentence[:300]
        # A person who was expunged in the meantime does not wait any more.
        kept = {row: one for row, one in prepared.items() if row in current}
        _copy(enrolment, at, list(kept.values()))
        for row, one in kept.items():
            item = current[row]
            item.state, item.template, item.digest = _ENROLLED, one.template, one.digest
        _remember(enrolment, [(current[row], one) for row, one in kept.items()])
        EnrolmentItem.objects.bulk_update(
            current.values(), ["state", "reason", "sentence", "template", "digest"], batch_size=500
        )
    photos.erase(one.template for row, one in prepared.items() if row not in kept)


def digest(enrolment: Enrolment) -> tuple[int, bytes]:
    """How many templates a worker stored, and SHA-256 over their digests in the order of the templates.

    The table of items is the application's own word, but only a worker knows the id that belongs to a row: an item that
    somebody slipped in does not count, and the database then refuses to seal what came with it.
    """
    whole, count = hashlib.sha256(), 0
    stored = enrolment.items.filter(state=_ENROLLED, template__isnull=False).order_by("template")
    rows, computed = tee(stored.values_list("row", "template", "digest").iterator(chunk_size=5000))
    derived = templates_of(enrolment, (row for row, _, _ in rows))
    for (_, template, one), own in zip(computed, derived, strict=True):
        if template == own and one is not None:
            whole.update(one)
            count += 1
    return count, whole.digest()


def seal(enrolment: Enrolment, count: int, whole: bytes) -> int:
    """Seal the batch of `count` templates with this digest inside the caller's transaction; returns the edition's new
    version. Raises GateRefused."""
    with shards.session(enrolment.shard) as at:
        try:
            return client.seal_batch(
                at,
                edition=enrolment.edition,
                batch=enrolment.batch or 0,
                secret=claim_secret(enrolment),
                templates=count,
                digest=whole,
            )
        except GateRefused:
            done = _done(enrolment, at, "gallery:batch:sealed", batch=enrolment.batch, digest=whole.hex())
            if done is None:
                raise
            return int(done["version"])


def discard(enrolment: Enrolment, *, reason: str, again: bool) -> None:
    """Give the batch up with everything in it; with `again` the photos wait to be enrolled into a fresh one.

    Files and keys go first: after a crash in between the batch can still not be sealed, and is given up again.
    """
    stored = enrolment.items.values_list("template", flat=True)
    photos.erase(template for template in stored if template is not None)
    sweep(enrolment)
    with shards.session(enrolment.shard) as at, transaction.atomic(durable=True):
        if enrolment.batch is not None:
            try:
                client.discard_batch(at, enrolment.edition, enrolment.batch, claim_secret(enrolment))
            except GateRefused:
                if _done(enrolment, at, "gallery:batch:discarded", batch=enrolment.batch) is None:
                    raise
        EnrolledPhoto.objects.filter(enrolment=enrolment).delete()
        enrolment.items.filter(state=_ENROLLED).update(state=_WAITING, template=None, digest=None)
        enrolment.batch = None
        enrolment.reruns += 1
        enrolment.discarded_at = None if again else timezone.now()
        enrolment.save(update_fields=["batch", "reruns", "discarded_at"])
        journal.record(
            "gallery:enrolment:failed",
            run=enrolment.id,
            gallery=enrolment.gallery_id,
            edition=enrolment.edition,
            reason=reason,
        )


def _derived(enrolment: Enrolment, key: bytes, what: str) -> bytes:
    return hmac.digest(key, f"glasscase/v1 enrolment\0{enrolment.reruns}\0{what}".encode(), hashlib.sha256)


def _told(
    enrolment: Enrolment, items: Sequence[EnrolmentItem], found: Sequence[Extracted]
) -> tuple[dict[int, tuple[str, str]], _Fresh]:
    """Rows that are left out with their reasons, and those to enrol: a photo counts once in an edition."""
    hashes = {one.sha256 for one in found if one.sha256}
    enrolled = EnrolledPhoto.objects.filter(
        shard=enrolment.shard, edition=enrolment.edition, removed_at=None, photo_sha256__in=hashes
    )
    known = set(enrolled.values_list("photo_sha256", flat=True))
    reasons: dict[int, tuple[str, str]] = {}
    fresh: dict[int, tuple[EnrolmentItem, Extracted]] = {}
    for item, one in zip(items, found, strict=True):
        if one.reason:
            reasons[item.row] = one.reason, one.sentence
        elif one.sha256 in known:
            reasons[item.row] = "same_photo", "The same photo is enrolled in this gallery edition already."
        else:
            known.add(one.sha256)
            fresh[item.row] = item, one
    return reasons, fresh


def _write_files(enrolment: Enrolment, fresh: _Fresh) -> dict[int, _Prepared]:
    templates = dict(zip(fresh, templates_of(enrolment, fresh), strict=True))
    store_halves = keystore.create_many(list(templates.values()))
    people = galleries.people(enrolment.gallery, (item.person_ref for item, _ in fresh.values()))
    # Nobody defines another while this batch is open.
    parts = sub_galleries.of_edition(enrolment.edition, enrolment.shard)
    prepared: dict[int, _Prepared] = {}
    for row, (item, one) in fresh.items():
        template, half = templates[row], photos.new_half()
        photos.write(template, database_half=half, store_half=store_halves[template], photo=one.photo, crop=one.crop)
        marks, vector = sub_galleries.marks(parts, item.attributes), HalfVector(_embedding(one)).to_binary()
        prepared[row] = _Prepared(template, people[item.person_ref], half, vector, marks, one.sha256, item.origin)
    return prepared


def _embedding(one: Extracted) -> NDArray[np.float32]:
    if one.embedding is None:
        raise ValueError("an extraction has either a reason or an embedding")
    return one.embedding


def _copy(enrolment: Enrolment, at: psycopg.Connection, prepared: Sequence[_Prepared]) -> None:
    """Binary COPY of templates and key halves. The vector's bytes are those that the digest covers."""
    if not prepared:
        return
    with at.cursor() as cursor:
        with cursor.copy(template_rows.COPY) as copy:
            # halfvec's own binary form; as bytea it passes through psycopg unchanged.
            copy.set_types(["int4", "int4", "uuid", "uuid", "bytea", "int8"])
            for one in prepared:
                copy.write_row((enrolment.edition, enrolment.batch, one.template, one.person, one.vector, one.marks))
        with cursor.copy("COPY gallery.photo_half (edition, template, half) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "uuid", "bytea"])
            for one in prepared:
                copy.write_row((enrolment.edition, one.template, one.half))
        origins = [(enrolment.edition, one.template, one.origin) for one in prepared if one.origin is not None]
        if origins:
            with cursor.copy("COPY gallery.origin (edition, template, source) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "uuid", "uuid"])
                for row in origins:
                    copy.write_row(row)


def _remember(enrolment: Enrolment, stored: Iterable[tuple[EnrolmentItem, _Prepared]]) -> None:
    now = timezone.now()
    EnrolledPhoto.objects.bulk_create(
        EnrolledPhoto(
            template=one.template,
            gallery_id=enrolment.gallery_id,
            edition=enrolment.edition,
            shard=enrolment.shard,
            enrolment=enrolment,
            person=one.person,
            person_ref=item.person_ref,
            photo_sha256=one.sha256,
            attributes=item.attributes,
            enrolled_at=now,
        )
        for item, one in stored
    )
