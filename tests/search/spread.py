"""A gallery that is spread over three servers, beside one with the same templates on the main server alone.

The two shards are databases of their own on the tests' server, with gate, log, keys and signer of their own: to the product they
are servers like any other. Three real servers are in test_three_servers.py.
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
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.conf import settings
from django.utils import timezone
from pgvector import HalfVector
from psycopg.sql import SQL, Identifier

from audit import shard_name
from audit.log import sequencer, signer
from core import approvers, database, keystore, shard_file, shards
from core.models import User
from core.shards import Shard
from search import face_models, galleries, photos, readings, trail
from search import shards as servers
from search.gate import client, params
from search.models import EnrolledPhoto, Enrolment, Gallery, SearchRequest
from tests import kits, run
from tests.search.stage import PEOPLE, THRESHOLD, Stage, enrolled, running_log

NAMES = ("north", "south")
CROWD = 40
STRANGERS = 6000  # so that the crowd is far less than one in a hundred pairs of the few by which a server measures


def make_shards() -> dict[str, Shard]:
    """Two shards of the installation that Django is connected to: a list, homes, and migrated databases that know their names."""
    place = shard_file.place(Path(settings.GLASSCASE_HOME))
    place.parent.mkdir(mode=0o711)
    place.write_text("".join(f'[{name}]\ndatabase = "{shard_database(name)}"\n' for name in NAMES))
    for name in NAMES:
        home = place.parent / name
        home.mkdir(mode=0o711)
        for shared in ("run", "secrets"):
            (home / shared).symlink_to((run.HOME / shared).resolve())
        with run.server(run.HOME).connect() as superuser:
            kits.copy_database(superuser, "template", shard_database(name))
        shard_name.give(shards.named(name))
    return shards.configured()


def running(shard: Shard, *, sign: bool = True) -> contextlib.AbstractContextManager[None]:
    """Sequencer and signer of a shard at work in the background."""
    return _at_work(
        shard.home / "signer",
        shard.origin(settings.GLASSCASE_LOG_ORIGIN),
        shards.connect(shard, "sequencer"),
        shards.connect(shard, "signer"),
        sign,
    )


@contextlib.contextmanager
def _at_work(keys: Path, origin: str, one: psycopg.Connection, other: psycopg.Connection, sign: bool) -> Iterator[None]:
    stop = threading.Event()

    def work() -> None:
        with (
            contextlib.suppress(sequencer.Frozen, psycopg.OperationalError),
            one,
            other,
            signer.open_signer(keys, origin) as signing,
        ):
            signing.step(other)
            while not stop.wait(0.02):
                sequencer.step(one)
                if sign:
                    signing.step(other)

    thread = threading.Thread(target=work, name="log of a shard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


@dataclass
class Spread:
    """The stage with a gallery over main, north and south (`gallery`), and the same templates on main alone (`whole`)."""

    stage: Stage
    shards: dict[str, Shard]
    gallery: Gallery
    whole: Gallery
    at: dict[str, list[uuid.UUID]] = field(default_factory=dict)

    def secret(self, user: User) -> str:
        return self.stage.cast.secrets[user.id]

    def request(self, gallery: Gallery | None = None, **changes: Any) -> Any:
        return self.stage.approved(gallery=(gallery or self.gallery).name, **changes)

    def connection(self, name: str) -> contextlib.AbstractContextManager[psycopg.Connection]:
        return servers.place(name)

    def _two(self, own: psycopg.Connection, act: str, wanted: dict[str, Any]) -> list[uuid.UUID]:
        """Proposals of both approvers at one gate."""
        return [
            client.propose(own, act=act, params=wanted, approver=one.id, secret=approvers.normalise(self.secret(one)))
            for one in (self.stage.cast.sam, self.stage.cast.sue)
        ]

    def adopt(self, threshold: int = THRESHOLD) -> None:
        """In every gate, as the two approvers of an adoption sign for each."""
        values: dict[str, Any] = {
            "model": self.stage.model.hash,
            "report": secrets.token_hex(32),
            "verdict": "met",
            "policy": "demo",
            "threshold": threshold,
            "expires": int((time.time() + 86400) * 1000),
        }
        for name in ("", *self.shards):
            with self.connection(name) as own:
                two = self._two(own, "gate:adopt_evaluation", params.adopt_evaluation(**values))
                client.adopt_evaluation(own, proposals=two, **values)

    def set_policy(self, setting: str, value: int) -> None:
        """In every gate, as two approvers sign for each."""
        wanted = params.set_policy(setting=setting, value=value)
        for name in ("", *self.shards):
            with self.connection(name) as own:
                two = self._two(own, "gate:set_policy", wanted)
                client.set_policy(own, setting=setting, value=value, proposals=two)

    def listed(self, gallery: Gallery, **changes: Any) -> tuple[SearchRequest, list[tuple[int, uuid.UUID]]]:
        """A finished search, with scores and templates: those of one score (in steps of 10^-3) in the order of their ids."""
        request = self.request(gallery, **changes)
        assert self.stage.run(request) == "done"
        assert request.state == "done", request.problem
        found = readings.open_candidates(by=self.stage.cast.erin, request=request).candidates
        assert [one.rank for one in found] == list(range(1, len(found) + 1))
        scores = [one.score_milli or 0 for one in found]
        assert scores == sorted(scores, reverse=True)
        among = [(one.score_milli or 0, one.template) for one in found]
        return request, sorted(among, key=lambda one: (-one[0], one[1]))

    def enrol_strangers(self) -> None:
        """So many people in the spread gallery that on every server two stages leave few; nobody of them is a candidate."""
        rng = np.random.default_rng(5)
        drawn = rng.standard_normal((STRANGERS, self.stage.model.dimension)).astype(np.float32)
        rows = [(uuid.uuid4(), f"S{number}", row / np.linalg.norm(row)) for number, row in enumerate(drawn)]
        self.enrol(self.gallery, rows)

    def code(self, name: str) -> None:
        """Builds the codes of one server's part."""
        with self.connection(name) as own:
            [edition] = client.editions(own, self.gallery.id)
            done, whole = 0, 1
            while done != whole:
                done, whole = client.build_codes(own, edition.edition, 2000)

    def enrol(self, gallery: Gallery, rows: list[tuple[uuid.UUID, str, np.ndarray]]) -> None:
        """One sealed batch in each server, by the product's own rule of who belongs where."""
        persons = {template: galleries.person(gallery, ref) for template, ref, _ in rows}
        for name in gallery.shards or ["main"]:
            shard = "" if name == "main" else name
            mine = sorted(
                (row for row in rows if servers.of_person(gallery, persons[row[0]]) == shard), key=lambda row: row[0]
            )
            with self.connection(name) as own:
                [edition] = client.editions(own, gallery.id)
                secret = secrets.token_bytes(32)
                batch = client.open_batch(own, edition.edition, hashlib.sha256(secret).digest())
                parts = []
                statement = "COPY gallery.template (edition, batch, template, person, embedding) FROM STDIN"
                with own.cursor() as cursor, cursor.copy(statement) as copy:
                    for template, _, vector in mine:
                        values = edition.edition, batch, template, persons[template], HalfVector(vector).to_text()
                        copy.write_row(values)
                for template, ref, vector in mine:
                    parts.append(
                        hashlib.sha256(
                            template.bytes + persons[template].bytes + HalfVector(vector).to_binary()
                        ).digest()
                    )
                    if ref.startswith("G") and gallery == self.gallery:
                        self._photo(own, edition.edition, shard, template, ref)
                client.seal_batch(
                    own,
                    edition=edition.edition,
                    batch=batch,
                    secret=secret,
                    templates=len(mine),
                    digest=hashlib.sha256(b"".join(parts)).digest(),
                )
            if gallery == self.gallery:
                self.at.setdefault(name, []).extend(template for template, _, _ in mine)

    def _photo(self, own: psycopg.Connection, edition: int, shard: str, template: uuid.UUID, ref: str) -> None:
        data, photo, crop, _ = enrolled(int(ref[1:]))
        half = photos.new_half()
        photos.write(template, database_half=half, store_half=keystore.create(template), photo=photo, crop=crop)
        own.execute("INSERT INTO gallery.photo_half VALUES (%s, %s, %s)", [edition, template, half])
        run_ = Enrolment.objects.create(
            gallery=self.gallery,
            edition=edition,
            shard=shard,
            face_model=self.stage.model,
            folder="/nowhere",
            manifest_sha256="0" * 64,
            started_by=self.stage.cast.carl,
            started_at=timezone.now(),
        )
        EnrolledPhoto.objects.create(
            template=template,
            gallery=self.gallery,
            edition=edition,
            shard=shard,
            enrolment=run_,
            person=galleries.person(self.gallery, ref),
            person_ref=ref,
            photo_sha256=hashlib.sha256(data).hexdigest(),
            enrolled_at=timezone.now(),
        )


def crowd() -> list[tuple[uuid.UUID, str, np.ndarray]]:
    """The three people of the stage, and many more who look like the first one, each a little less."""
    rng = np.random.default_rng(11)
    first = enrolled(PEOPLE[0])[3]
    rows = [(uuid.uuid4(), f"G{person:04d}", enrolled(person)[3]) for person in PEOPLE]
    for number in range(CROWD):
        noise = rng.standard_normal(first.size)
        vector = first + (0.05 + 0.35 * number / CROWD) * noise / np.linalg.norm(noise)
        rows.append((uuid.uuid4(), f"P{number}", (vector / np.linalg.norm(vector)).astype(np.float32)))
    return rows


@contextlib.contextmanager
def running_logs(made: dict[str, Shard], without: tuple[str, ...] = ()) -> Iterator[None]:
    """Sequencer and signer of every server, but only the signers of those named in `without`."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(running_log(settings.GLASSCASE_HOME, settings.GLASSCASE_LOG_ORIGIN))
        for name, shard in made.items():
            stack.enter_context(running(shard, sign=name not in without))
        yield


def build(stage: Stage, made: dict[str, Shard]) -> Spread:
    cast = stage.cast
    for user in (cast.sam, cast.sue):
        # Enrolled again, because a shard's gate knows nobody's secret.
        cast.secrets[user.id] = approvers.enrol(user, "somebody@agency.example")

    def made_gallery(name: str) -> Gallery:
        return galleries.create(by=cast.carl, agency=cast.agency, name=name, legal_basis="booking", retention_days=3650)

    # Who is on which server follows from the gallery's key: with this one each of them has one of the three people.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keystore, "create", lambda record: keystore.keep(record, lambda: bytes([7]) * 32))
        galleries_ = [made_gallery("spread")]
    galleries_.append(made_gallery("whole"))
    spread = Spread(stage, made, *galleries_)
    spread.adopt()
    galleries.spread(
        by=cast.carl, gallery=spread.gallery, over=NAMES, approver=cast.sam, secret=spread.secret(cast.sam)
    )
    model = face_models.register(face_models.engine())
    everybody = crowd()
    for gallery in galleries_:
        galleries.register_edition(
            by=cast.carl, gallery=gallery, face_model=model, approver=cast.sam, secret=spread.secret(cast.sam)
        )
        spread.enrol(gallery, everybody)
    return spread


def shard_database(name: str) -> str:
    return f"{database.database_name()}_{name}"


@contextlib.contextmanager
def away(name: str) -> Iterator[None]:
    """A shard that cannot be reached: nobody gets in, and whoever was in is thrown out."""
    made = Identifier(shard_database(name))
    with run.server(run.HOME).connect() as superuser:
        superuser.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(made))
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [shard_database(name)]
        )
        try:
            yield
        finally:
            superuser.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(made))


def logged(name: str, type_: str, request: SearchRequest) -> list[dict[str, Any]]:
    """The entries of a type about a request in the log of a server."""
    with servers.place(name) as own:
        return [dict(one.fields) for one in trail.entries(own, request.id) if one.type == type_]
