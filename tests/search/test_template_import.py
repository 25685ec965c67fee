"""Importing templates that somebody else computed: what is refused, what is stored, and what is never taken for a photo."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pgvector import HalfVector

from core import jobs
from core.exceptions import Conflict, Invalid, NotAllowed
from core.models import JobState
from search import (
    batches,
    enrolment,
    galleries,
    readings,
    removal,
    reviews,
    template_file,
    template_import,
    template_rows,
)
from search.comparison import Finding
from search.models import EnrolledPhoto, Enrolment
from tests.enforcement.own_gallery import Row
from tests.enforcement.own_gallery import digest as digest_of_rows
from tests.enforcement.world import digest
from tests.search.reviewing import differs, opened, same
from tests.search.shelf import Shelf, all_of
from tests.search.stage import STRANGER, Stage, enrolled
from tests.search.test_views_decisions import signed_in

Entries = Callable[..., list[dict[str, Any]]]
DIMENSION = 128


class Killed(BaseException):
    """Stands for the end of the process; tests/crash does it with SIGKILL."""


def vectors(number: int, seed: int = 5, dimension: int = DIMENSION) -> NDArray[np.float32]:
    found = np.random.default_rng(seed).standard_normal((number, dimension)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def save(shelf: Shelf, embeddings: NDArray[Any], people: list[str] | None = None, **columns: Any) -> Path:
    path = shelf.folder / "templates.npz"
    people = [f"P{number}" for number in range(len(embeddings))] if people is None else people
    np.savez(path, embeddings=embeddings, person_id=np.array(people), **columns)
    return path


def take(shelf: Shelf, path: Path, told: enrolment.Told | None = None) -> tuple[Enrolment, Any]:
    run = template_import.start(
        by=shelf.cast.carl, gallery=shelf.gallery, embeddings=path, face_model=shelf.model, send=False
    )
    job = enrolment.run_here(run, told=told)
    run.refresh_from_db()
    return run, job


def stored(superuser: psycopg.Connection) -> list[tuple[Any, ...]]:
    return superuser.execute(
        "SELECT t.template, p.person_ref, t.embedding::text, p.person = t.person FROM gallery.template t"
        " JOIN search_enrolledphoto p USING (template, edition) ORDER BY p.person_ref"
    ).fetchall()


def test_what_is_in_the_file_is_what_is_stored_and_nothing_else(
    shelf: Shelf, as_superuser: psycopg.Connection, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_import, "CHUNK", 3)
    given_ = vectors(8)
    path = save(
        shelf,
        given_,
        [f"P{number // 2} \\N" for number in range(8)],
        sex=np.array(["f", ""] * 4),
        photo=np.array([f"a\\{number}.jpg" for number in range(8)]),
        born=np.arange(1980, 1988),
    )
    run, job = take(shelf, path)
    assert job.state == JobState.DONE
    assert (run.version, run.rows, run.imported) == (1, 8, 8)
    found = stored(as_superuser)
    assert [row[1] for row in found] == [f"P{number // 2} \\N" for number in range(8)]
    assert all(row[3] for row in found)
    expected = {HalfVector(vector).to_text() for vector in given_}
    assert {HalfVector.from_text(row[2]).to_text() for row in found} == expected
    assert shelf.kept(as_superuser) == all_of(0) | {"templates": 8, "rows": 8}
    photo = EnrolledPhoto.objects.filter(attributes__born="1980").get()
    assert photo.attributes == {"sex": "f", "photo": "a\\0.jpg", "born": "1980"}
    assert not photo.has_photo
    assert photo.person == galleries.person(shelf.gallery, "P0 \\N")

    [started] = entries("gallery:import:started", run=run.id)
    assert (started["origin"], started["model"]) == ("stated_by_importer", shelf.model.hash)
    [finished] = entries("gallery:enrolment:finished", run=run.id)
    assert (finished["enrolled"], finished["left_out"]) == (8, 0)
    assert not entries("gallery:enrolment:failed")
    assert galleries.imported(shelf.gallery) == {run.edition: 8}


def test_every_row_that_is_left_out_has_a_reason_and_the_rest_is_imported(
    shelf: Shelf, as_superuser: psycopg.Connection
) -> None:
    given_ = vectors(10).astype(np.float64)
    given_[1] = np.nan
    given_[2] = 0
    given_[3] *= 1.02
    given_[4] *= 1e7
    given_[5] = given_[0]
    given_[6] = given_[0]
    people = ["A", "B", "C", "D", "E", "A", "Somebody else", "", "H\n", "I"]
    run, job = take(shelf, save(shelf, given_, people))
    assert job.state == JobState.DONE
    found = enrolment.report(run)
    assert {one.row: one.reason for one in found.left_out} == {
        2: "not_a_number",
        3: "no_embedding",
        4: "not_unit_length",
        5: "not_a_number",
        6: "duplicate",
        7: "two_people",
        8: "bad_row",
    }
    assert all(one.sentence.endswith(".") for one in found.left_out)
    assert "1.02" in next(one.sentence for one in found.left_out if one.row == 4)
    assert (found.photos, found.enrolled, found.waiting) == (10, 3, 0)
    assert shelf.kept(as_superuser)["templates"] == 3
    assert EnrolledPhoto.objects.filter(person_ref="H").exists()  # a line's end around a reference is not part of it


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"person_id": np.array(["a"])}, 'no array "embeddings"'),
        ({"embeddings": vectors(1)}, 'no array "person_id"'),
        ({"embeddings": vectors(2), "person_id": np.array(["a"])}, "for each of the 2"),
        (
            {"embeddings": vectors(1, dimension=64), "person_id": np.array(["a"])},
            "64 numbers; this face model's have 128",
        ),
        ({"embeddings": np.ones((1, 128), int), "person_id": np.array(["a"])}, "table of floats"),
        ({"embeddings": vectors(1), "person_id": np.array([None], object)}, "plain arrays"),
        ({"embeddings": vectors(1) * 3, "person_id": np.array(["a"])}, "No row of the file.*length 3"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_with_a_sentence(
    shelf: Shelf, arrays: dict[str, Any], sentence: str, entries: Entries
) -> None:
    path = shelf.folder / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(Invalid, match=sentence) as refused:
        take(shelf, path)
    assert list(refused.value.field_errors) == ["embeddings"]
    assert not Enrolment.objects.exists()
    assert not entries("gallery:batch:opened")


def test_a_file_that_is_no_archive_is_refused_with_a_sentence(shelf: Shelf) -> None:
    path = shelf.folder / "bad.npz"
    for content in (b"", b"PK\x03\x04 cut", b"not one"):
        path.write_bytes(content)
        with pytest.raises(Invalid, match=r"bad\.npz"):
            take(shelf, path)
    np.save(shelf.folder / "plain.npy", vectors(1))
    with pytest.raises(Invalid, match="plain arrays"):
        take(shelf, shelf.folder / "plain.npy")
    with pytest.raises(Invalid, match="can be read"):
        take(shelf, shelf.folder / "none.npz")


def test_templates_that_are_there_already_are_not_imported_twice(
    shelf: Shelf, as_superuser: psycopg.Connection
) -> None:
    first = vectors(4)
    take(shelf, save(shelf, first))
    second = np.concatenate([first[:2], vectors(2, seed=6)])
    run, _ = take(shelf, save(shelf, second))
    found = enrolment.report(run)
    assert {one.row: one.reason for one in found.left_out} == {1: "same_template", 2: "same_template"}
    assert (found.enrolled, run.version) == (2, 2)
    assert shelf.kept(as_superuser)["templates"] == 6
    with pytest.raises(Invalid, match="No row of the file"):
        take(shelf, save(shelf, first))


POINTS = ["copied", "sealing"]


@pytest.mark.parametrize("point", POINTS)
def test_an_import_that_was_cut_off_is_made_again_and_nothing_is_there_twice(
    shelf: Shelf, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, point: str, entries: Entries
) -> None:
    monkeypatch.setattr(template_import, "CHUNK", 4)
    path = save(shelf, vectors(10))
    with monkeypatch.context() as patched:

        def told(done: int, total: int, stage: str) -> None:
            if (stage, done) == (("importing", 8) if point == "copied" else ("sealing", 10)):
                raise Killed

        with pytest.raises(Killed):
            take(shelf, path, told)
        patched.setattr(template_import, "_at_hand", {})
        run, job = take(shelf, path)
    assert job.state == JobState.DONE
    assert (run.version, run.reruns, run.imported) == (1, 1, 10)
    assert shelf.kept(as_superuser)["templates"] == 10
    assert len(entries("gallery:import:started")) == 1
    assert [entry["reason"] for entry in entries("gallery:enrolment:failed")] == ["interrupted"]


def test_a_worker_reads_the_file_itself_and_refuses_one_that_was_changed(shelf: Shelf) -> None:
    path = save(shelf, vectors(3))
    run = template_import.start(by=None, gallery=shelf.gallery, embeddings=path, face_model=shelf.model)
    assert run.id not in template_import._at_hand
    save(shelf, vectors(3, seed=9))
    assert jobs.run(enrolment.job_of(run).id) == JobState.FAILED
    assert "was changed" in enrolment.job_of(run).problem
    save(shelf, vectors(3))
    again = template_import.start(by=None, gallery=shelf.gallery, embeddings=path, face_model=shelf.model)
    assert again.id == run.id
    assert jobs.run(enrolment.job_of(run).id) == JobState.DONE


def test_a_row_that_somebody_slipped_in_is_thrown_out(
    shelf: Shelf, mallory: psycopg.Connection, as_superuser: psycopg.Connection
) -> None:
    from tests.search.test_enrolment import slip_in

    slipped: list[uuid.UUID] = []

    def told(done: int, total: int, stage: str) -> None:
        if stage == "sealing" and not slipped:
            slipped.append(slip_in(mallory, Enrolment.objects.get()))

    run, job = take(shelf, save(shelf, vectors(5)), told)
    assert job.state == JobState.DONE
    assert (run.version, run.reruns) == (1, 1)
    assert shelf.kept(as_superuser)["templates"] == 5


def test_who_is_expunged_while_an_import_runs_is_not_brought_back_by_it(
    shelf: Shelf, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_import, "CHUNK", 2)
    people = ["A", "B", "C", "D", "A", "E"]

    def told(done: int, total: int, stage: str) -> None:
        if (done, stage) == (2, "importing"):
            removal.expunge(
                by=shelf.cast.carl,
                person=galleries.person(shelf.gallery, "A"),
                approver=shelf.cast.sam,
                secret=shelf.cast.secrets[shelf.cast.sam.id],
            )

    run, job = take(shelf, save(shelf, vectors(6), people), told)
    assert job.state == JobState.DONE
    assert (run.imported, run.version is not None) == (4, True)
    assert [row[1] for row in stored(as_superuser)] == ["B", "C", "D", "E"]
    assert shelf.kept(as_superuser)["rows"] == 4


def test_only_a_custodian_imports_and_one_enrolment_at_a_time(shelf: Shelf) -> None:
    path = save(shelf, vectors(2))
    with pytest.raises(NotAllowed):
        template_import.start(by=shelf.cast.olivia, gallery=shelf.gallery, embeddings=path, face_model=shelf.model)
    run = template_import.start(
        by=shelf.cast.carl, gallery=shelf.gallery, embeddings=path, face_model=shelf.model, send=False
    )
    with pytest.raises(Conflict, match="not finished"):
        shelf.start(shelf.manifest(1))
    enrolment.discard(by=shelf.cast.carl, enrolment=run)
    shelf.enrol(shelf.manifest(1))


def test_the_command_tells_what_was_imported_and_what_was_left_out(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    given_ = vectors(3)
    given_[1] *= 5
    path = save(shelf, given_)
    errors = io.StringIO()
    call_command("import_templates", "bookings", embeddings=path, model=shelf.model.hash, stderr=errors)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["templates"], said["imported"], said["left_out"], said["version"]) == (3, 2, 1, 1)
    assert said["reasons"] == {"not_unit_length": 1}
    assert "Row 2, P1: The embedding has the length 5" in errors.getvalue()
    with pytest.raises(CommandError, match="never registered"):
        call_command("import_templates", "bookings", embeddings=path, model="0" * 64)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(st.integers(1, 40), st.integers(16, 70), st.integers(0, 2**32 - 1))
def test_the_digest_in_blocks_is_the_one_row_by_row(count: int, dimension: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (uuid.UUID(bytes=rng.bytes(16)), uuid.UUID(bytes=rng.bytes(16)), vector)
        for vector in vectors(count, seed, dimension)
    ]
    halves, _ = template_file._halves(np.stack([row[2] for row in rows]))
    templates, people = template_rows.ids(row[0] for row in rows), template_rows.ids(row[1] for row in rows)
    assert template_rows.digest(templates, people, halves, np.zeros(count, np.int64)) == digest(rows)
    marks = rng.integers(0, 3, count)
    marked = [Row(*row[:2], HalfVector(row[2]).to_binary(), int(mark)) for row, mark in zip(rows, marks, strict=True)]
    assert template_rows.digest(templates, people, halves, marks) == digest_of_rows(marked)


def test_the_templates_get_ids_that_only_the_worker_knows(shelf: Shelf) -> None:
    run, _ = take(shelf, save(shelf, vectors(3)))
    run.reruns = 0
    assert set(EnrolledPhoto.objects.values_list("template", flat=True)) == set(batches.templates_of(run, [1, 2, 3]))


def test_a_candidate_without_a_photo_can_be_read_and_never_become_a_lead(
    stage: Stage, log_at_work: None, tmp_path: Path
) -> None:
    Enrolment.objects.update(sealed_at=timezone.now(), version=1)  # the stage's own, which the gate has sealed
    path = tmp_path / "stranger.npz"
    np.savez(path, embeddings=enrolled(STRANGER)[3][None], person_id=np.array(["X-77"]))
    run = template_import.start(
        by=stage.cast.carl, gallery=stage.gallery, embeddings=path, face_model=stage.model, send=False
    )
    assert enrolment.run_here(run).state == JobState.DONE
    request = stage.done(STRANGER)
    client = signed_in(stage.cast.erin)
    page = client.post(reverse("candidates", args=[request.pk])).content.decode()
    assert "X-77" in page
    assert "No photo was imported with this template" in page
    template = EnrolledPhoto.objects.get(has_photo=False).template
    assert f"/crop/{template}" not in page
    reading = opened(stage.cast.erin, request)
    assert not next(row for row in reading.candidates if row.template == template).can_be_seen
    with pytest.raises(Conflict, match="not kept"):
        readings.photo(by=stage.cast.erin, view=reading.view, template=template)
    others = [differs(row.template) for row in reading.candidates if row.template != template]
    with pytest.raises(Invalid) as refused:
        reviews.decide(by=stage.cast.erin, request=request, view=reading.view, findings=[same(template), *others])
    assert "no photo of this candidate" in str(refused.value.field_errors[f"{template}:conclusion"])
    reviews.decide(
        by=stage.cast.erin,
        request=request,
        view=reading.view,
        findings=[Finding(template=str(template), conclusion="inconclusive"), *others],
    )
    carl = signed_in(stage.cast.carl)
    gallery_page = carl.get(reverse("gallery", args=[stage.gallery.pk])).content.decode()
    assert "1 template was computed elsewhere" in " ".join(gallery_page.split())
    assert "is the word of whoever imported it" in gallery_page
    import_page = carl.get(reverse("enrolment", args=[run.pk])).content.decode()
    assert "the word of whoever imported them: Carl" in " ".join(import_page.split())
