"""Reading the photos of a gallery again by another face model: who lets it happen, what is carried over, what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from PIL import Image

from core import database, jobs
from core.database import connect_superuser
from core.exceptions import Conflict, Invalid, NotAllowed, Unavailable
from core.faces import registry
from core.models import Job, JobState
from search import enrolment, face_models, galleries, photos, reembedding, removal
from search.exceptions import gate_sentences
from search.gate import client, params
from search.models import EnrolledPhoto, Enrolment, EnrolmentItem, FaceModel
from search.proposals import Signature, propose
from tests.api_client import Api
from tests.search.shelf import SIDE, BlockEngine, Shelf, SturdyEngine, write_manifest
from tests.search.test_template_import import save, take, vectors
from tests.search.test_views_decisions import signed_in

Entries = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("log_at_work")


class Killed(BaseException):
    """Stands for the end of the process; tests/crash does it with SIGKILL."""


@pytest.fixture
def other(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> FaceModel:
    """A second face model with an edition of the shelf's gallery, in this process as well."""
    engines = {"dlib": BlockEngine(), "other": SturdyEngine()}
    monkeypatch.setattr(registry, "engine", lambda name, models_dir=None: engines[name])
    model = face_models.register(engines["other"])
    galleries.register_edition(
        by=shelf.cast.carl, gallery=shelf.gallery, face_model=model, approver=shelf.cast.sam, secret=secret(shelf)
    )
    return model


def secret(shelf: Shelf) -> str:
    return shelf.cast.secrets[shelf.cast.sam.id]


def signatures(shelf: Shelf) -> list[Signature]:
    return [Signature(one, shelf.cast.secrets[one.id]) for one in (shelf.cast.sam, shelf.cast.sue)]


def begin(shelf: Shelf, model: FaceModel, signed: list[Signature] | None = None) -> Enrolment:
    return reembedding.start(
        by=shelf.cast.carl,
        gallery=shelf.gallery,
        face_model=model,
        signatures=signatures(shelf) if signed is None else signed,
        send=False,
    )


def finish(run: Enrolment, told: enrolment.Told | None = None) -> Job:
    job = enrolment.run_here(run, told=told)
    run.refresh_from_db()
    return job


def dark(shelf: Shelf, name: str = "dark.png") -> str:
    """A photo that the first face model reads and the other does not."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[0, 0] = 1, 100, 0
    Image.fromarray(pixels, "RGB").save(shelf.folder / name)
    return name


def new_rows(superuser: psycopg.Connection, edition: int) -> dict[str, tuple[Any, ...]]:
    rows = superuser.execute(
        "SELECT p.person_ref, t.person, p.attributes, vector_dims(t.embedding), t.template FROM gallery.template t"
        " JOIN search_enrolledphoto p USING (template, edition) WHERE t.edition = %s",
        [edition],
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_people_photos_and_attributes_are_carried_over_and_what_is_missing_is_reported(
    shelf: Shelf, other: FaceModel, as_superuser: psycopg.Connection, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    monkeypatch.setattr(reembedding, "SLICE", 3)
    shelf.enrol(shelf.manifest(7))
    shelf.enrol(write_manifest(shelf.folder, [{"person_id": "D", "file": dark(shelf)}], "dark.csv"))
    take(shelf, save(shelf, vectors(1), ["I"]))
    before = new_rows(as_superuser, shelf.edition)

    run = begin(shelf, other)
    assert finish(run).state == JobState.DONE
    found = enrolment.report(run)
    assert (found.photos, found.enrolled, found.waiting, run.version) == (9, 7, 0, 1)
    assert {one.person_ref: one.reason for one in found.left_out} == {"D": "no_face", "I": "no_photo"}
    after = new_rows(as_superuser, run.edition)
    assert set(after) == {f"P{number}" for number in range(7)}
    assert all(after[ref][:2] == before[ref][:2] for ref in after)
    assert {row[2] for row in after.values()} == {64}
    assert {row[3] for row in after.values()} & {row[3] for row in before.values()} == set()
    halves = dict(
        as_superuser.execute("SELECT template, half FROM gallery.photo_half").fetchall()  # type: ignore[arg-type]
    )
    for ref, row in after.items():
        kept = photos.read(row[3], halves[row[3]])
        assert kept == photos.read(before[ref][3], halves[before[ref][3]]), "kept as it is, not encoded again"

    [opened] = entries("gallery:reembedding:opened")
    assert (opened["source"], opened["edition"], len(opened["approvers"])) == (shelf.edition, run.edition, 2)
    assert [entry["templates"] for entry in entries("gallery:reembedding:drawn")] == [3, 3, 2]
    assert galleries.people_missing(shelf.gallery, run.edition) == 2


def test_two_different_people_have_to_approve(shelf: Shelf, other: FaceModel, entries: Entries) -> None:
    shelf.enrol(shelf.manifest(2))
    sam, sue = signatures(shelf)
    for signed in ([], [sam], [sam, sam]):
        with pytest.raises(Invalid, match="Two different"):
            begin(shelf, other, signed)
    with pytest.raises(Invalid, match="approval secret"):
        begin(shelf, other, [sam, Signature(sue.approver, sam.secret)])
    with pytest.raises(NotAllowed):
        reembedding.start(
            by=shelf.cast.olivia, gallery=shelf.gallery, face_model=other, signatures=[sam, sue], send=False
        )
    with pytest.raises(Conflict, match="nothing to read again"):
        begin(shelf, shelf.model)
    assert not Enrolment.objects.filter(source=Enrolment.Source.REEMBEDDED).exists()
    assert not entries("gallery:reembedding:opened")


@pytest.mark.parametrize("at", [2, 4])
def test_one_that_was_cut_off_goes_on_without_another_approval_and_draws_nothing_twice(
    shelf: Shelf,
    other: FaceModel,
    as_superuser: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    entries: Entries,
    at: int,
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    monkeypatch.setattr(reembedding, "SLICE", 4)
    shelf.enrol(shelf.manifest(9))

    def told(done: int, total: int, stage: str) -> None:
        if (done, stage) == (at, "enrolling"):
            raise Killed

    run = begin(shelf, other)
    with pytest.raises(Killed):
        finish(run, told)
    again = begin(shelf, other, [])
    assert again.id == run.id
    assert finish(again).state == JobState.DONE
    assert len(new_rows(as_superuser, run.edition)) == 9
    assert [entry["templates"] for entry in entries("gallery:reembedding:drawn")] == [4, 4, 1]
    assert len(entries("gallery:reembedding:opened")) == 1


def test_it_can_be_paused_and_gone_on_with(
    shelf: Shelf, other: FaceModel, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    shelf.enrol(shelf.manifest(6))
    run = begin(shelf, other)

    def told(done: int, total: int, stage: str) -> None:
        if done == 2:
            enrolment.pause(by=shelf.cast.carl, enrolment=run)

    assert finish(run, told).state == JobState.CANCELLED
    assert run.sealed_at is None
    with pytest.raises(Conflict, match="not running"):
        enrolment.pause(by=shelf.cast.carl, enrolment=run)
    with pytest.raises(NotAllowed):
        enrolment.resume(by=shelf.cast.olivia, enrolment=run)
    enrolment.resume(by=shelf.cast.carl, enrolment=run)
    assert jobs.run(enrolment.job_of(run).id) == JobState.DONE
    assert len(new_rows(as_superuser, run.edition)) == 6
    run.refresh_from_db()
    with pytest.raises(Conflict, match="ended"):
        enrolment.resume(by=shelf.cast.carl, enrolment=run)


@pytest.mark.parametrize("when", [0, 4])
def test_who_is_expunged_or_removed_while_it_runs_stays_out(
    shelf: Shelf, other: FaceModel, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    shelf.enrol(shelf.manifest(6))
    approval: dict[str, Any] = {"by": shelf.cast.carl, "approver": shelf.cast.sam, "secret": secret(shelf)}
    early, late = "P1", "P5"  # read before and after the act when it comes at 4

    def told(done: int, total: int, stage: str) -> None:
        if (done, stage) == (when, "enrolling") and EnrolledPhoto.objects.filter(person_ref=early).exists():
            removal.expunge(**approval, person=galleries.person(shelf.gallery, early))
            kept = EnrolledPhoto.objects.get(person_ref=late, edition=shelf.edition)
            removal.remove(**approval, gallery=shelf.gallery, templates=[kept.template])
            if when:
                mine = EnrolledPhoto.objects.get(person_ref="P0", edition=shelf.edition)
                removal.remove(**approval, gallery=shelf.gallery, templates=[mine.template])

    run = begin(shelf, other)
    assert finish(run, told).state == JobState.DONE, run.items.values_list("reason")
    expected = {"P0", "P2", "P3", "P4"} if when == 0 else {"P2", "P3", "P4"}
    assert set(new_rows(as_superuser, run.edition)) == expected
    files = {file.name.split(".")[0] for file in (shelf.home / "media" / "enrolled").rglob("*.photo")}
    assert files == {str(one) for one in EnrolledPhoto.objects.values_list("template", flat=True)}
    assert run.sealed_at is not None


def test_a_photo_that_is_removed_is_removed_from_both_editions(
    shelf: Shelf, other: FaceModel, as_superuser: psycopg.Connection
) -> None:
    shelf.enrol(shelf.manifest(3))
    run = begin(shelf, other)
    assert finish(run).state == JobState.DONE
    newer = EnrolledPhoto.objects.get(person_ref="P1", edition=run.edition)
    removed = removal.remove(
        by=shelf.cast.carl,
        gallery=shelf.gallery,
        templates=[newer.template],
        approver=shelf.cast.sam,
        secret=secret(shelf),
    )
    assert removed == 2
    rows = as_superuser.execute("SELECT edition FROM gallery.removed ORDER BY edition").fetchall()
    assert rows == [(shelf.edition,), (run.edition,)]
    assert not EnrolledPhoto.objects.filter(person_ref="P1").exists()
    assert EnrolledPhoto.objects.count() == 4


def test_a_row_that_somebody_slipped_in_ends_it_because_keys_are_given_once(
    shelf: Shelf, other: FaceModel, mallory: psycopg.Connection, as_superuser: psycopg.Connection
) -> None:
    shelf.enrol(shelf.manifest(3))
    run = begin(shelf, other)

    def told(done: int, total: int, stage: str) -> None:
        if stage == "sealing":
            mallory.execute(
                "INSERT INTO gallery.template (edition, batch, template, person, embedding)"
                " VALUES (%s, %s, gen_random_uuid(), gen_random_uuid(), ('[1' || repeat(',0', 63) || ']')::halfvec)",
                [run.edition, run.batch],
            )

    job = finish(run, told)
    assert job.state == JobState.FAILED
    assert run.discarded_at is not None
    assert new_rows(as_superuser, run.edition) == {}
    assert as_superuser.execute("SELECT count(*) FROM gallery.origin").fetchone() == (0,)


def test_the_commands_read_again_and_switch_only_with_what_is_missing_named(
    shelf: Shelf, other: FaceModel, capsys: pytest.CaptureFixture[str], tmp_path: Path, entries: Entries
) -> None:
    shelf.enrol(shelf.manifest(3))
    shelf.enrol(write_manifest(shelf.folder, [{"person_id": "D", "file": dark(shelf)}], "dark.csv"))
    files = []
    for one in signatures(shelf):
        files.append(str(tmp_path / one.approver.username))
        Path(files[-1]).write_text(one.secret)
    names = [one.approver.username for one in signatures(shelf)]
    call_command("reembed", "bookings", model=other.hash, approver=names, secret_file=files, workers=1)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["enrolled"], said["left_out"], said["people_missing"]) == (3, 1, 1)
    with pytest.raises(CommandError, match="1 people"):
        call_command("switch_edition", "bookings", said["edition"], approver=names[0], secret_file=files[0])
    call_command("switch_edition", "bookings", said["edition"], approver=names[0], secret_file=files[0], missing=1)
    assert [entry["missing"] for entry in entries("gallery:edition:switched")] == [1]
    current = galleries.current_edition(shelf.gallery)
    assert current is not None
    assert current.edition == said["edition"]


def test_an_edition_that_is_being_filled_is_not_switched_to(shelf: Shelf, other: FaceModel) -> None:
    shelf.enrol(shelf.manifest(2))
    run = begin(shelf, other)
    with pytest.raises(Conflict, match="not finished"):
        galleries.switch_edition(
            by=shelf.cast.carl,
            gallery=shelf.gallery,
            edition=run.edition,
            approver=shelf.cast.sam,
            secret=secret(shelf),
            missing=2,
        )
    enrolment.discard(by=shelf.cast.carl, enrolment=run)
    assert not EnrolmentItem.objects.filter(enrolment=run, state="enrolled").exists()


def switch(shelf: Shelf, edition: int, missing: int) -> None:
    galleries.switch_edition(
        by=shelf.cast.carl,
        gallery=shelf.gallery,
        edition=edition,
        approver=shelf.cast.sam,
        secret=secret(shelf),
        missing=missing,
    )


def test_who_is_being_enrolled_is_not_lost_by_a_switch(shelf: Shelf, other: FaceModel) -> None:
    target = galleries.edition_of(shelf.gallery, other).edition
    run = shelf.start(shelf.manifest(2))
    with pytest.raises(Conflict, match=f"into edition {shelf.edition} is not finished"):
        switch(shelf, target, 0)
    assert finish(run).state == JobState.DONE
    with pytest.raises(Conflict, match="2 people"):
        switch(shelf, target, 0)
    switch(shelf, target, 2)


def test_nobody_is_enrolled_or_imported_where_nobody_searches_any_more(shelf: Shelf, other: FaceModel) -> None:
    target = galleries.edition_of(shelf.gallery, other).edition
    manifest = shelf.manifest(2)
    before = enrolment.start(  # into the edition that will be searched
        by=shelf.cast.carl, gallery=shelf.gallery, manifest=manifest, face_model=other, send=False
    )
    assert finish(before).state == JobState.DONE
    switch(shelf, target, 0)
    with pytest.raises(Conflict, match="not searched any more"):
        shelf.start(manifest)
    with pytest.raises(Conflict, match="not searched any more"):
        take(shelf, save(shelf, vectors(1), ["I"]))
    assert Enrolment.objects.count() == 1


def test_an_enrolment_that_waits_while_the_gate_itself_is_switched_says_so(shelf: Shelf, other: FaceModel) -> None:
    target = galleries.edition_of(shelf.gallery, other).edition
    run = shelf.start(shelf.manifest(2))
    asked: dict[str, Any] = {"gallery": shelf.gallery.id, "edition": target, "missing": 0}
    proposal = propose(
        by=shelf.cast.carl,
        act="gallery:switch_edition",
        params=params.switch_edition(**asked),
        approver=shelf.cast.sam,
        secret=secret(shelf),
    )
    client.switch_edition(database.session(), **asked, proposal=proposal)
    job = finish(run)
    assert job.state == JobState.FAILED
    assert "not searched any more" in job.problem
    assert run.batch is None


def test_what_is_being_enrolled_belongs_to_no_reembedding(
    shelf: Shelf, other: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    shelf.enrol(shelf.manifest(2))

    def told(done: int, total: int, stage: str) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        shelf.enrol(shelf.manifest(4, first=2, name="more.csv"), told)
    run = begin(shelf, other)
    assert finish(run).state == JobState.DONE
    assert sorted(run.items.values_list("person_ref", flat=True)) == ["P0", "P1"]


def test_a_removal_looks_again_for_copies_when_nothing_can_be_sealed_any_more(
    shelf: Shelf, other: FaceModel, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.enrol(shelf.manifest(3))
    run = begin(shelf, other)
    real = removal.propose

    def sealed_in_between(**values: Any) -> Any:
        made = real(**values)
        assert finish(run).state == JobState.DONE
        return made

    monkeypatch.setattr(removal, "propose", sealed_in_between)
    kept = EnrolledPhoto.objects.get(person_ref="P1", edition=shelf.edition)
    asked: dict[str, Any] = {"by": shelf.cast.carl, "approver": shelf.cast.sam, "secret": secret(shelf)}
    with pytest.raises(Conflict, match="remove it again"):
        removal.remove(gallery=shelf.gallery, templates=[kept.template], **asked)
    assert as_superuser.execute("SELECT count(*) FROM gallery.removed").fetchone() == (0,)
    monkeypatch.setattr(removal, "propose", real)
    assert removal.remove(gallery=shelf.gallery, templates=[kept.template], **asked) == 2
    assert as_superuser.execute("SELECT count(DISTINCT edition) FROM gallery.removed").fetchone() == (2,)


def test_what_the_database_refuses_at_the_end_of_a_removal_is_a_sentence_too(
    shelf: Shelf, other: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.enrol(shelf.manifest(1))
    assert finish(begin(shelf, other)).state == JobState.DONE
    photo = EnrolledPhoto.objects.get(edition=shelf.edition)
    monkeypatch.setattr(removal, "_same_photos", lambda gallery, templates: set())
    asked: dict[str, Any] = {"by": shelf.cast.carl, "approver": shelf.cast.sam, "secret": secret(shelf)}
    with pytest.raises(Conflict, match="would still be found there"):
        removal.remove(gallery=shelf.gallery, templates=[photo.template], **asked)
    assert EnrolledPhoto.objects.filter(removed_at=None).count() == 2


def test_acts_that_meet_in_the_database_are_no_fault_of_the_server(
    shelf: Shelf, other: FaceModel, as_superuser: psycopg.Connection
) -> None:
    first, second = shelf.edition, galleries.edition_of(shelf.gallery, other).edition
    lock = "SELECT FROM gallery.edition WHERE edition = %s FOR UPDATE"

    def in_the_other_order(mine: int, theirs: int) -> None:
        with connect_superuser(as_superuser.info.dbname) as own, gate_sentences(), own.transaction():
            own.execute("SET LOCAL deadlock_timeout = '10ms'")
            own.execute(lock, [mine])
            both.wait()
            own.execute(lock, [theirs])

    both = Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(in_the_other_order, *order) for order in ((first, second), (second, first))]
        gave_way = [end.exception() for end in ends if end.exception() is not None]
    assert [type(one) for one in gave_way] == [Unavailable]
    assert "try again" in str(gave_way[0])


def test_a_custodian_reads_again_pauses_goes_on_and_switches_on_the_pages(
    shelf: Shelf, other: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    shelf.enrol(shelf.manifest(4))
    shelf.enrol(write_manifest(shelf.folder, [{"person_id": "D", "file": dark(shelf)}], "dark.csv"))
    target = galleries.edition_of(shelf.gallery, other).edition
    carl = signed_in(shelf.cast.carl)
    gallery = reverse("gallery", args=[shelf.gallery.pk])
    page = " ".join(carl.get(gallery).content.decode().split())
    assert "5 people would not be found any more" in page
    address = reverse("edition_reembed", args=[shelf.gallery.pk, target])
    sam, sue = signatures(shelf)
    form = {
        f"reembed-{target}-{name}": value
        for name, value in {
            "approver_1": sam.approver.pk,
            "secret_1": sam.secret,
            "approver_2": sue.approver.pk,
            "secret_2": "wrong",
        }.items()
    }
    refused = carl.post(address, form)
    assert refused.status_code == 422
    assert sam.secret not in refused.content.decode()
    started = carl.post(address, form | {f"reembed-{target}-secret_2": sue.secret})
    run = Enrolment.objects.get(source=Enrolment.Source.REEMBEDDED)
    assert started["Location"] == reverse("enrolment", args=[run.pk])
    pause, resume = (reverse(f"enrolment_{name}", args=[run.pk]) for name in ("pause", "resume"))
    assert carl.post(pause).status_code == 302
    assert carl.post(pause).status_code == 409
    page = " ".join(carl.get(started["Location"]).content.decode().split())
    assert "The enrolment is paused." in page
    assert "Templates in edition" in page
    assert carl.post(resume).status_code == 302
    assert jobs.run(enrolment.job_of(run).id) == JobState.DONE
    page = " ".join(carl.get(gallery).content.decode().split())
    assert "1 person would not be found any more" in page
    switch = reverse("edition_switch", args=[shelf.gallery.pk, target])
    values = {f"switch-{target}-approver": sam.approver.pk, f"switch-{target}-secret": sam.secret}
    assert carl.post(switch, values | {f"switch-{target}-missing": 0}).status_code == 409
    assert carl.post(switch, values | {f"switch-{target}-missing": 1}).status_code == 302
    current = galleries.current_edition(shelf.gallery)
    assert current is not None
    assert current.edition == target


def test_the_same_by_api(shelf: Shelf, other: FaceModel) -> None:
    shelf.enrol(shelf.manifest(3))
    target = galleries.edition_of(shelf.gallery, other).edition
    carl = Api().as_(shelf.cast.carl)
    address = f"/galleries/{shelf.gallery.pk}/editions/{target}/"
    both = [{"approver": one.approver.username, "secret": one.secret} for one in signatures(shelf)]
    carl.post(f"{address}reembed/", 422, signatures=both[:1])
    carl.post(f"{address}reembed/", 422, signatures=[both[0], both[0]])
    run = carl.post(f"{address}reembed/", 201, signatures=both)
    assert run["kind"] == "reembedded"
    carl.post(f"/enrolments/{run['id']}/pause/")
    carl.post(f"/enrolments/{run['id']}/resume/")
    assert jobs.run(enrolment.job_of(enrolment.find(run["id"])).id) == JobState.DONE
    carl.post(f"/enrolments/{run['id']}/resume/", 409)
    editions = carl.get(f"/galleries/{shelf.gallery.pk}/")["editions"]
    assert [(one["edition"], one["people_missing"]) for one in editions] == [(shelf.edition, 0), (target, 0)]
    carl.post(f"{address}current/", 409, missing=2, **both[0])
    carl.post(f"{address}current/", **both[0])
    assert [one["is_current"] for one in carl.get(f"/galleries/{shelf.gallery.pk}/")["editions"]] == [False, True]
