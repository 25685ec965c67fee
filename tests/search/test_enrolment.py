"""Enrolling a manifest: what is stored, what is left out and why, and what interruptions change (nothing)."""

from __future__ import annotations

import io
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.core.management import CommandError, call_command
from pgvector import HalfVector
from PIL import Image

from core import database, jobs, keystore
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.faces.decode import decode
from core.models import Job, JobState, User
from search import batches, enrolment, extraction, face_models, galleries, manifest, photos, removal
from search.models import EnrolledPhoto, Enrolment, EnrolmentItem
from tests.search.shelf import BlockEngine, Shelf, all_of, draw, write_manifest

Entries = Callable[..., list[dict[str, Any]]]


class Killed(BaseException):
    """Stands for the end of the process; tests/crash does it with SIGKILL."""


def test_photos_of_faces_are_enrolled_and_open_with_both_halves_only(
    real_shelf: Shelf, portraits: Callable[..., Path], as_superuser: psycopg.Connection, entries: Entries
) -> None:
    source = portraits(3, 2)
    run, job = real_shelf.enrol(source)
    assert job.state == JobState.DONE
    assert (run.version, enrolment.report(run).enrolled) == (1, 6)
    assert real_shelf.kept(as_superuser) == all_of(6)
    edition = galleries.current_edition(real_shelf.gallery)
    assert edition is not None
    assert (edition.version, edition.templates, edition.dimension) == (1, 6, 128)
    assert EnrolledPhoto.objects.values("person").distinct().count() == 3
    assert set(EnrolledPhoto.objects.values_list("attributes__cohort", flat=True)) <= {"a", "b"}

    item = EnrolmentItem.objects.filter(enrolment=run).order_by("row")[0]
    stored = as_superuser.execute(
        "SELECT t.embedding::text, h.half FROM gallery.template t JOIN gallery.photo_half h USING (edition, template) "
        "WHERE template = %s",
        [item.template],
    ).fetchone()
    assert stored is not None
    assert item.template is not None
    engine = face_models.engine()
    rgb = decode((source.parent / item.file).read_bytes()).rgb
    [face] = engine.detect(rgb)
    np.testing.assert_allclose(
        HalfVector.from_text(stored[0]).to_numpy(), engine.embed(rgb, face).astype(np.float16), atol=1e-3
    )
    half = bytes(stored[1])
    with Image.open(io.BytesIO(photos.read(item.template, half))) as photo:
        assert (photo.format, photo.size) == ("JPEG", (rgb.shape[1], rgb.shape[0]))
    with Image.open(io.BytesIO(photos.read(item.template, half, photos.CROP))) as crop:
        assert np.array_equal(np.asarray(crop), engine.aligned_crop(rgb, face))
    sealed = photos.path(item.template, photos.PHOTO).read_bytes()
    assert b"JFIF" not in sealed
    with pytest.raises(keystore.Unsealable):
        photos.read(item.template, bytes(32))
    keystore.destroy(item.template)
    with pytest.raises(NotFound):
        photos.read(item.template, half)

    [started] = entries("gallery:enrolment:started", run=run.id)
    [finished] = entries("gallery:enrolment:finished", run=run.id)
    assert started["photos"] == 6
    assert (finished["enrolled"], finished["left_out"], finished["actor"]) == (6, 0, str(real_shelf.cast.carl.id))
    assert item.person_ref not in json.dumps([started, finished])


def test_every_photo_that_is_left_out_has_a_reason(shelf: Shelf, as_superuser: psycopg.Connection) -> None:
    folder = shelf.folder
    draw(folder / "good.png", 1)
    draw(folder / "copy.png", 1)
    draw(folder / "none.png", 2, faces=0)
    draw(folder / "two.png", 3, faces=2)
    draw(folder / "small.png", 4, width=20)
    (folder / "text.jpg").write_text("not a photo")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and nothing more")
    (folder / "folder.png").mkdir()
    outside = folder.parent / f"outside-{uuid.uuid4().hex}.png"
    draw(outside, 5)
    (folder / "link.png").symlink_to(outside)
    files = ["good.png", "copy.png", "none.png", "two.png", "small.png", "text.jpg", "cut.jpg", "gone.png"]
    files += ["folder.png", "link.png", f"../{outside.name}", str(outside), "good.png", "", "a\x00b.png"]
    rows = [{"person_id": f"P{number}", "file": file} for number, file in enumerate(files)]
    path = write_manifest(folder, [*rows, {"person_id": "", "file": "good2.png"}])

    run, job = shelf.enrol(path)
    assert job.state == JobState.DONE
    found = enrolment.report(run)
    assert {one.row: one.reason for one in found.left_out} == {
        2: "same_photo",
        3: "no_face",
        4: "several_faces",
        5: "too_small",
        6: "unreadable",
        7: "unreadable",
        8: "missing_file",
        9: "missing_file",
        10: "outside_folder",
        11: "outside_folder",
        12: "outside_folder",
        13: "same_photo",
        14: "bad_row",
        15: "bad_row",
        16: "bad_row",
    }
    assert all(one.sentence.endswith(".") for one in found.left_out)
    assert "20 pixels" in next(one.sentence for one in found.left_out if one.reason == "too_small")
    assert (found.enrolled, found.waiting, found.photos) == (1, 0, 16)
    assert shelf.kept(as_superuser) == all_of(1)


def test_a_photo_counts_once_in_an_edition_and_a_run_that_adds_nothing_seals_nothing(
    shelf: Shelf, as_superuser: psycopg.Connection, entries: Entries
) -> None:
    shelf.enrol(shelf.manifest(3))
    run, job = shelf.enrol(shelf.manifest(3, name="again.csv"))
    assert job.state == JobState.DONE
    assert enrolment.report(run).reasons == {"same_photo": 3}
    assert run.discarded_at is not None
    assert run.version is None
    assert shelf.kept(as_superuser) == all_of(3)
    assert entries("gallery:enrolment:failed", run=run.id, reason="nobody_enrolled")
    # The batch is closed: the next enrolment goes through.
    later, _ = shelf.enrol(shelf.manifest(2, first=10, name="later.csv"))
    assert later.version == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no column 'person_id'"),
        (b"person_id,file\n", "has no rows"),
        (b"person,file\n1,a.png\n", "no column 'person_id'"),
        (b"person_id\n1\n", "no column 'file'"),
        (b"person_id,file,file\n1,a,b\n", "different names"),
        ("person_id,file\nJosé,a.png\n".encode("latin-1"), "not UTF-8"),
        (b'person_id,file\n"1,a.png\n', "not a CSV table"),
    ],
)
def test_a_manifest_that_is_no_such_table_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(Invalid, match=sentence) as refused:
        manifest.read(tmp_path / "manifest.csv")
    assert list(refused.value.field_errors) == ["manifest"]


def test_a_missing_manifest_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        manifest.read(tmp_path / "none.csv")


POINTS = ["prepared", "stored", "sealing"]


@pytest.mark.parametrize("point", POINTS)
def test_an_enrolment_that_was_cut_off_goes_on_without_loss_or_repetition(
    shelf: Shelf, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, point: str, entries: Entries
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 4)
    path = shelf.manifest(10)
    extracted: list[str] = []
    real_extract = extraction.extract

    def counting(task: extraction.Task) -> extraction.Extracted:
        extracted.append(str(task.place))
        return real_extract(task)

    monkeypatch.setattr(extraction, "extract", counting)
    calls = 0

    def cut(real: Callable[..., Any], at: int, after: bool) -> Callable[..., Any]:
        def once(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            result = real(*args, **kwargs) if after or calls != at else None
            if calls == at:
                raise Killed
            return result

        return once

    with monkeypatch.context() as patched:
        if point == "prepared":  # files and keys of the second chunk are there, its rows are not
            patched.setattr(batches, "_write_files", cut(batches._write_files, 2, after=True))
        elif point == "stored":  # the second chunk is committed, nobody was told
            patched.setattr(batches, "store", cut(batches.store, 2, after=True))
        else:
            patched.setattr(batches, "seal", cut(batches.seal, 1, after=True))
        run = shelf.start(path)
        with pytest.raises(Killed):
            enrolment.run_here(run)
    again = shelf.start(path)
    assert again.id == run.id
    job = enrolment.run_here(again)
    run.refresh_from_db()
    assert job.state == JobState.DONE
    assert run.version == 1
    assert shelf.kept(as_superuser) == all_of(10)
    assert len(set(extracted)) == 10
    assert len(extracted) <= 10 + 4
    assert len(entries("gallery:batch:opened")) == 1
    assert len(entries("gallery:enrolment:started")) == 1
    assert len(entries("gallery:enrolment:finished")) == 1


def slip_in(mallory: psycopg.Connection, run: Enrolment) -> uuid.UUID:
    """What the app role's password allows: a template of one's own in the open batch."""
    template = uuid.uuid4()
    vector = np.zeros(128, np.float32)
    vector[0] = 1
    mallory.execute(
        "INSERT INTO gallery.template (edition, batch, template, person, embedding) "
        "SELECT %s, max(batch), %s, %s, %s FROM search_enrolment WHERE id = %s",
        [run.edition, template, uuid.uuid4(), HalfVector(vector).to_text(), run.id],
    )
    return template


def test_a_row_that_somebody_slipped_in_is_thrown_out_and_the_photos_are_enrolled_again(
    shelf: Shelf, mallory: psycopg.Connection, as_superuser: psycopg.Connection, entries: Entries
) -> None:
    run = shelf.start(shelf.manifest(5))
    slipped: list[uuid.UUID] = []

    def told(done: int, total: int, stage: str) -> None:
        if stage == "sealing" and not slipped:
            slipped.append(slip_in(mallory, run))

    job = enrolment.run_here(run, told=told)
    run.refresh_from_db()
    assert job.state == JobState.DONE
    assert (run.version, run.reruns) == (1, 1)
    assert shelf.kept(as_superuser) == all_of(5)
    found = as_superuser.execute("SELECT 1 FROM gallery.template WHERE template = %s", slipped).fetchone()
    assert found is None
    assert entries("gallery:enrolment:failed", run=run.id, reason="foreign_rows")
    assert [entry["templates"] for entry in entries("gallery:batch:discarded")] == [6]


def test_rows_that_are_slipped_in_twice_end_the_enrolment_and_nothing_is_kept(
    shelf: Shelf, mallory: psycopg.Connection, as_superuser: psycopg.Connection, entries: Entries
) -> None:
    run = shelf.start(shelf.manifest(5))

    def told(done: int, total: int, stage: str) -> None:
        if stage == "sealing":
            slip_in(mallory, run)

    job = enrolment.run_here(run, told=told)
    run.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "Somebody added rows" in job.problem
    assert run.discarded_at is not None
    assert shelf.kept(as_superuser) == all_of(0)
    assert len(entries("gallery:enrolment:failed", run=run.id, reason="foreign_rows")) == 2
    assert not entries("gallery:batch:sealed")


def test_a_forged_item_does_not_make_a_slipped_row_countable(
    shelf: Shelf, mallory: psycopg.Connection, as_superuser: psycopg.Connection
) -> None:
    run = shelf.start(shelf.manifest(3))
    forged: list[uuid.UUID] = []

    def told(done: int, total: int, stage: str) -> None:
        if stage == "sealing" and not forged:
            forged.append(slip_in(mallory, run))
            row = as_superuser.execute(
                "SELECT sha256(uuid_send(template) || uuid_send(person) || public.halfvec_send(embedding)) "
                "FROM gallery.template WHERE template = %s",
                forged,
            ).fetchone()
            assert row is not None
            mallory.execute(
                "INSERT INTO search_enrolmentitem (enrolment_id, row, person_ref, file, attributes, state, reason, "
                "sentence, template, digest) VALUES (%s, 99, 'M', 'm.png', '{}', 'enrolled', '', '', %s, %s)",
                [run.id, forged[0], row[0]],
            )

    enrolment.run_here(run, told=told)
    gone = as_superuser.execute("SELECT count(*) FROM gallery.template WHERE template = %s", forged).fetchone()
    assert gone == (0,)


def test_a_worker_that_lost_its_lease_stores_nothing(shelf: Shelf, as_superuser: psycopg.Connection) -> None:
    run = shelf.start(shelf.manifest(3))
    job = enrolment.job_of(run)

    def told(done: int, total: int, stage: str) -> None:
        if stage == "enrolling" and done == 0:
            Job.objects.filter(id=job.id).update(attempts=7)  # another worker has it

    enrolment._manner.set(enrolment._Manner(1, told))
    try:
        jobs.run(job.id)
    finally:
        enrolment._manner.set(enrolment._ALONE)
    kept = shelf.kept(as_superuser)
    assert (kept["templates"], kept["rows"], kept["halves"]) == (0, 0, 0)


def test_a_cancelled_enrolment_stops_and_can_be_gone_on_with(
    shelf: Shelf, as_superuser: psycopg.Connection, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    path = shelf.manifest(6)

    def told(done: int, total: int, stage: str) -> None:
        if done == 2:
            jobs.cancel(enrolment.job_of(run), by=shelf.cast.carl)

    run = shelf.start(path)
    assert enrolment.run_here(run, told=told).state == JobState.CANCELLED
    assert EnrolledPhoto.objects.count() == 2
    [entry] = entries("gallery:enrolment:failed", run=run.id)
    assert (entry["reason"], entry["actor"]) == ("cancelled", str(shelf.cast.carl.id))
    again, job = shelf.enrol(path)
    assert again.id == run.id
    assert job.state == JobState.DONE
    assert shelf.kept(as_superuser) == all_of(6)


def test_another_manifest_waits_until_the_unfinished_one_is_given_up(
    shelf: Shelf, as_superuser: psycopg.Connection
) -> None:
    def told(done: int, total: int, stage: str) -> None:
        if stage == "sealing":
            raise Killed

    run = shelf.start(shelf.manifest(3))
    with pytest.raises(Killed):
        enrolment.run_here(run, told=told)
    other = shelf.manifest(2, first=10, name="other.csv")
    with pytest.raises(Conflict, match="not finished"):
        shelf.start(other)
    enrolment.discard(by=shelf.cast.carl, enrolment=run)
    assert shelf.kept(as_superuser) == all_of(0)
    with pytest.raises(Conflict, match="ended"):
        enrolment.discard(by=shelf.cast.carl, enrolment=run)
    shelf.enrol(other)
    assert shelf.kept(as_superuser) == all_of(2)


def test_a_face_model_whose_files_changed_ends_the_enrolment(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, as_superuser: psycopg.Connection
) -> None:
    from core.faces import registry

    run = shelf.start(shelf.manifest(2))
    changed = BlockEngine()
    changed._identity = type(changed._identity)(**{**vars(changed._identity), "files": {"blocks": "1" * 64}})
    monkeypatch.setattr(registry, "engine", lambda name, models_dir=None: changed)
    job = enrolment.run_here(run)
    assert job.state == JobState.FAILED
    assert "were changed" in job.problem
    assert shelf.kept(as_superuser) == all_of(0)


def test_somebody_expunged_during_the_enrolment_is_not_enrolled(
    shelf: Shelf, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "CHUNK", 2)
    shelf.enrol(shelf.manifest(1, first=1, name="first.csv"))
    draw(shelf.folder / "other.png", 50)
    rows = [{"person_id": f"P{number}", "file": f"photo{number}.png"} for number in (5, 6, 7)]
    for number in (5, 6, 7):
        draw(shelf.folder / f"photo{number}.png", number)
    rows.insert(0, {"person_id": "P1", "file": "other.png"})
    draw(shelf.folder / "later.png", 51)
    rows.append({"person_id": "P1", "file": "later.png"})
    run = shelf.start(write_manifest(shelf.folder, rows, "second.csv"))

    def told(done: int, total: int, stage: str) -> None:
        if done == 2:
            removal.expunge(
                by=shelf.cast.carl,
                person=galleries.person(shelf.gallery, "P1"),
                approver=shelf.cast.sam,
                secret=shelf.cast.secrets[shelf.cast.sam.id],
            )

    assert enrolment.run_here(run, told=told).state == JobState.DONE
    assert shelf.kept(as_superuser) == all_of(3)
    assert enrolment.report(run).reasons == {"expunged": 2}
    assert not EnrolmentItem.objects.filter(person_ref="P1").exists()


@pytest.mark.parametrize("who", ["olivia", "sam", "ada", "bea"])
def test_only_a_custodian_of_the_agency_enrols(shelf: Shelf, who: str) -> None:
    path = shelf.manifest(1)
    by: User = getattr(shelf.cast, who)
    with pytest.raises(NotAllowed):
        enrolment.start(by=by, gallery=shelf.gallery, manifest=path, face_model=shelf.model)
    assert Enrolment.objects.count() == 0
    assert Job.objects.count() == 0


def test_the_command_enrols_and_its_last_line_says_what_became_of_the_photos(
    real_shelf: Shelf,
    portraits: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = portraits(3, 2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    call_command("enroll", "bookings", manifest=source, workers=1)
    shown = capsys.readouterr()
    summary = json.loads(shown.out.splitlines()[-1])
    assert (summary["photos"], summary["enrolled"], summary["left_out"], summary["version"]) == (6, 6, 0, 1)
    assert summary["photos_per_second"] > 0
    assert "6/6" in shown.err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    call_command("enroll", "bookings", manifest=portraits(1, 1, first=3), workers=1)
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit) as ended:
        call_command("enroll", "bookings", "--manifest", str(source), "--workers", "1", "--as", "carl", verbosity=0)
    assert ended.value.code == 3


def test_the_command_says_what_to_do_when_there_is_no_edition(shelf: Shelf) -> None:
    galleries.create(
        by=shelf.cast.carl, agency=shelf.cast.agency, name="empty", legal_basis="consent", retention_days=30
    )
    with pytest.raises(CommandError, match="register_edition"):
        call_command("enroll", "empty", manifest=shelf.manifest(1))
    with pytest.raises(CommandError, match="no gallery"):
        call_command("enroll", "nowhere", manifest=shelf.manifest(1))


def test_the_claim_is_not_in_the_database(shelf: Shelf, mallory: psycopg.Connection) -> None:
    """Who has the app role's password cannot seal or discard somebody else's batch."""
    from search.gate import client

    run = shelf.start(shelf.manifest(1))
    batches.open_batch(run)
    assert run.batch is not None
    for secret in (run.id.bytes, str(run.id).encode(), b"", database.role_name("app").encode()):
        with pytest.raises(client.GateRefused) as refused:
            client.discard_batch(mallory, run.edition, run.batch, secret)
        assert refused.value.rule == "claim"
