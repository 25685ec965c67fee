"""A police agency with a case, a gallery of generated people under the default face model, and an officer who may search.

Built through the product's own functions; nothing here is a stand-in.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from django.utils import timezone
from pgvector import HalfVector

from audit.log import sequencer, signer
from core import database, jobs, keystore
from core.faces.decode import decode, encode_pixels
from core.models import Job, User
from core.portraits import portrait_jpeg
from search import approvals, cases, face_models, galleries, intake, photos, requests
from search.gate import client, params
from search.models import Case, EnrolledPhoto, Enrolment, FaceModel, Gallery, SearchRequest
from search.requests import RequestFields
from tests.people import Cast

NUMBER = "2026-00147"
OFFENCE = "robbery"
THRESHOLD = 900_000
STORY = (
    "On 12 May 2026 at 22:15 two men broke the rear window of the pharmacy at 410 Oak Avenue and beat the owner when he "
    "came down with a torch. The picture shows the taller one under the lamp; the owner says that man hit him. Prints and "
    "the plate of their van led nowhere."
)
OTHER_STORY = (
    "A clerk of the petrol station on Route 9 was stabbed while closing on Sunday evening. A passer-by photographed the "
    "attacker from across the street as he climbed into a grey van. The knife was found, without prints."
)
# People whom the default detector finds in each of these photos.
PEOPLE = (0, 1, 2)
STRANGER = 7


@cache
def photo_of(person: int) -> bytes:
    """Photo 1 of a person, as it is searched for."""
    return portrait_jpeg(person, 1)


@cache
def enrolled(person: int) -> tuple[bytes, bytes, bytes, np.ndarray]:
    """Photo 0 of a person: the file, its clean form, its aligned crop and its embedding; computed once a test process."""
    engine = face_models.engine()
    data = portrait_jpeg(person, 0)
    rgb = decode(data).rgb
    [face] = engine.detect(rgb)
    crop = encode_pixels(engine.aligned_crop(rgb, face), format="PNG")
    return data, encode_pixels(rgb), crop, engine.embed(rgb, face)


@dataclass
class Stage:
    cast: Cast
    case: Case
    gallery: Gallery
    model: FaceModel
    templates: dict[int, uuid.UUID] = field(default_factory=dict)

    def fields(self, **changes: Any) -> RequestFields:
        return RequestFields(
            **{
                "case_number": NUMBER,
                "purpose": "identify_suspect",
                "offence": OFFENCE,
                "legal_basis": "probable_cause",
                "justification": STORY,
                "gallery": self.gallery.name,
                "probe_kind": "photo",
                **changes,
            }
        )

    def drafted(self, person: int = PEOPLE[0], by: User | None = None, data: bytes | None = None) -> SearchRequest:
        """A draft with a checked photo: photo 1 of a person whose photo 0 is enrolled."""
        given = photo_of(person) if data is None else data
        request = intake.receive(by=by or self.cast.olivia, data=given, send=False)
        return self.checked(request)

    def checked(self, request: SearchRequest) -> SearchRequest:
        job = Job.objects.get(kind=intake.PROBE_CHECK, subject=request.id, state="queued")
        assert jobs.run(job.id) == "done"
        request.refresh_from_db()
        return request

    def submitted(self, person: int = PEOPLE[0], **changes: Any) -> SearchRequest:
        return requests.submit(by=self.cast.olivia, request=self.drafted(person), fields=self.fields(**changes))

    def approved(self, person: int = PEOPLE[0], **changes: Any) -> SearchRequest:
        return self.approve(self.submitted(person, **changes))

    def approve(self, request: SearchRequest, by: User | None = None) -> SearchRequest:
        approver = by or self.cast.sam
        return approvals.approve(by=approver, request=request, secret=self.cast.secrets[approver.id])

    def run(self, request: SearchRequest) -> str | None:
        """Works the live job of the request once, as a worker does; returns the job's state."""
        job = Job.objects.get(kind=requests.SEARCH, subject=request.id, state="queued")
        state = jobs.run(job.id)
        request.refresh_from_db()
        return state

    def done(self, person: int = PEOPLE[0], **changes: Any) -> SearchRequest:
        """A finished search; needs a running log."""
        request = self.approved(person, **changes)
        assert self.run(request) == "done"
        assert request.state == "done", request.problem
        return request

    def proposals(self, act: str, wanted: dict[str, Any], *who: User) -> list[uuid.UUID]:
        with database.connect("app") as own:
            return [
                client.propose(
                    own, act=act, params=wanted, approver=one.id, secret=self.cast.secrets[one.id].replace("-", "")
                )
                for one in who
            ]

    def set_policy(self, setting: str, value: int) -> None:
        """Through the gate, with two approvers."""
        wanted = params.set_policy(setting=setting, value=value)
        two = self.proposals("gate:set_policy", wanted, self.cast.sam, self.cast.sue)
        with database.connect("app") as own:
            client.set_policy(own, setting=setting, value=value, proposals=two)

    def adopt(self, *, threshold: int = THRESHOLD, hours: float = 24, verdict: str = "met") -> None:
        values: dict[str, Any] = {
            "model": self.model.hash,
            "report": secrets.token_hex(32),
            "verdict": verdict,
            "policy": "demo",
            "threshold": threshold,
            "expires": int((time.time() + hours * 3600) * 1000),
        }
        two = self.proposals("gate:adopt_evaluation", params.adopt_evaluation(**values), self.cast.sam, self.cast.sue)
        with database.connect("app") as own:
            client.adopt_evaluation(own, proposals=two, **values)

    def enrol(self, people: tuple[int, ...] = PEOPLE) -> None:
        """Photo 0 of each, as one sealed batch."""
        edition = galleries.current_edition(self.gallery)
        assert edition is not None
        now = timezone.now()
        run = Enrolment.objects.create(
            gallery=self.gallery,
            edition=edition.edition,
            face_model=self.model,
            folder="/nowhere",
            manifest_sha256="0" * 64,
            started_by=self.cast.carl,
            started_at=now,
        )
        secret = secrets.token_bytes(32)
        rows: list[tuple[uuid.UUID, uuid.UUID, np.ndarray]] = []
        with database.connect("app") as own:
            batch = client.open_batch(own, edition.edition, hashlib.sha256(secret).digest())
            for person in people:
                data, photo, crop, vector = enrolled(person)
                template, identity = uuid.uuid4(), galleries.person(self.gallery, f"G{person:04d}")
                half = photos.new_half()
                photos.write(
                    template,
                    database_half=half,
                    store_half=keystore.create(template),
                    photo=photo,
                    crop=crop,
                )
                own.execute("INSERT INTO gallery.photo_half VALUES (%s, %s, %s)", [edition.edition, template, half])
                rows.append((template, identity, vector))
                self.templates[person] = template
                EnrolledPhoto.objects.create(
                    template=template,
                    gallery=self.gallery,
                    edition=edition.edition,
                    enrolment=run,
                    person=identity,
                    person_ref=f"G{person:04d}",
                    photo_sha256=hashlib.sha256(data).hexdigest(),
                    enrolled_at=now,
                )
            for template, identity, vector in rows:
                own.execute(
                    "INSERT INTO gallery.template (edition, batch, template, person, embedding) VALUES (%s, %s, %s, %s, %s)",
                    [edition.edition, batch, template, identity, HalfVector(vector).to_text()],
                )
            parts = [
                hashlib.sha256(t.bytes + p.bytes + HalfVector(v).to_binary()).digest()
                for t, p, v in sorted(rows, key=lambda row: row[0])
            ]
            client.seal_batch(
                own,
                edition=edition.edition,
                batch=batch,
                secret=secret,
                templates=len(rows),
                digest=hashlib.sha256(b"".join(parts)).digest(),
            )
        run.sealed_at = timezone.now()
        run.save()


def build(cast: Cast) -> Stage:
    """Utah's law pack, because it asks for a narrative and no warrant."""
    cast.agency.law_pack = "utah"
    cast.agency.case_number_pattern = r"[0-9]{4}-[0-9]{5}"
    cast.agency.case_number_example = "2026-00147"
    cast.agency.save()
    for user in (cast.olivia, cast.oscar, cast.sam, cast.sue, cast.carl):
        user.agency = cast.agency
    case = cases.open_case(by=cast.sam, number=NUMBER, offence=OFFENCE, officers=[cast.olivia])
    gallery = galleries.create(
        by=cast.carl, agency=cast.agency, name="bookings", legal_basis="booking", retention_days=3650
    )
    model = face_models.register(face_models.engine())
    galleries.register_edition(
        by=cast.carl, gallery=gallery, face_model=model, approver=cast.sam, secret=cast.secrets[cast.sam.id]
    )
    stage = Stage(cast, case, gallery, model)
    stage.adopt()
    stage.enrol()
    return stage


@contextlib.contextmanager
def running_log(home: Any, origin: str, *, sign: bool = True) -> Iterator[None]:
    """Sequencer and signer at work in the background, as their processes are."""
    stop = threading.Event()
    name = database.database_name()

    def work() -> None:
        with (
            # A frozen log ends both processes, whichever of them sees it first.
            contextlib.suppress(sequencer.Frozen, signer.LogFrozen),
            database.connect("sequencer", dbname=name) as one,
            database.connect("signer", dbname=name) as other,
            signer.open_signer(home / "signer", origin) as signing,
        ):
            while not stop.wait(0.05):
                sequencer.step(one)
                if sign:
                    signing.step(other)

    thread = threading.Thread(target=work, name="log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
