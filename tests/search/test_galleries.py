"""Galleries, editions and face models: who may, and what has to be true first."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from core import jobs
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.faces import registry
from core.faces.engines import UnusableModel
from search import enrolment, face_models, galleries
from search.models import FaceModel, Gallery
from tests.people import Cast
from tests.search.shelf import BlockEngine, Shelf, SturdyEngine

Entries = Callable[..., list[dict[str, Any]]]


def wanted(cast: Cast, **changes: Any) -> dict[str, Any]:
    plain = {"by": cast.carl, "agency": cast.agency, "name": "bookings", "legal_basis": "booking", "retention_days": 30}
    return {**plain, **changes}


def test_a_gallery_is_created_with_its_entry_and_without_its_name_in_the_log(cast: Cast, entries: Entries) -> None:
    gallery = galleries.create(**wanted(cast, name="  Arrests   2026 "))
    assert gallery.name == "Arrests 2026"
    [entry] = entries("gallery:gallery:created", gallery=gallery.id)
    assert (entry["legal_basis"], entry["retention_days"], entry["role"]) == ("booking", 30, "custodian")
    assert "Arrests" not in json.dumps(entry)
    assert galleries.find("Arrests 2026") == galleries.find(str(gallery.id)) == gallery
    assert galleries.current_edition(gallery) is None
    with pytest.raises(NotFound):
        galleries.find(str(uuid.uuid4()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 81),
        ("name", "a\x00b"),
        ("legal_basis", "because"),
        ("retention_days", 0),
        ("retention_days", 40_000),
        ("description", "x" * 501),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_created(cast: Cast, entries: Entries, field: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        galleries.create(**wanted(cast, **{field: value}))
    assert list(refused.value.field_errors) == [field]
    assert Gallery.objects.count() == 0
    assert not entries("gallery:gallery:created")


def test_a_name_is_taken_once(cast: Cast, entries: Entries) -> None:
    galleries.create(**wanted(cast))
    with pytest.raises(Conflict, match="already"):
        galleries.create(**wanted(cast))
    assert len(entries("gallery:gallery:created")) == 1


@pytest.mark.parametrize("who", ["olivia", "sam", "erin", "cora", "bea", "axel", "ada"])
def test_only_custodians_create_galleries(cast: Cast, who: str) -> None:
    with pytest.raises(NotAllowed):
        galleries.create(**wanted(cast, by=getattr(cast, who)))
    assert Gallery.objects.count() == 0


def test_a_custodian_keeps_the_galleries_of_the_own_agency_only(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        galleries.create(**wanted(cast, agency=cast.other_agency))


def test_an_edition_needs_the_right_secret_of_another_person(shelf: Shelf, entries: Entries) -> None:
    cast = shelf.cast
    gallery = galleries.create(**wanted(cast, name="second"))
    asked: dict[str, Any] = {"by": cast.carl, "gallery": gallery, "face_model": shelf.model}
    with pytest.raises(NotAllowed, match="Another person"):
        galleries.register_edition(**asked, approver=cast.carl, secret=cast.secrets[cast.carl.id])
    with pytest.raises(Invalid):
        galleries.register_edition(**asked, approver=cast.sam, secret="guess")
    with pytest.raises(Invalid, match="not the approval secret"):
        galleries.register_edition(**asked, approver=cast.sam, secret=cast.secrets[cast.sue.id])
    assert galleries.editions(gallery) == []
    assert entries("gate:proposal:made", approver=cast.sam.id)
    edition = galleries.register_edition(**asked, approver=cast.sam, secret=cast.secrets[cast.sam.id])
    current = galleries.current_edition(gallery)
    assert current is not None
    assert (current.edition, current.model, current.version) == (edition, shelf.model.hash, 0)
    with pytest.raises(Conflict, match="already"):
        galleries.register_edition(**asked, approver=cast.sam, secret=cast.secrets[cast.sam.id])


def test_a_second_edition_is_searched_only_after_the_switch(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, entries: Entries
) -> None:
    cast, secret = shelf.cast, shelf.cast.secrets[shelf.cast.sam.id]
    model = face_models.register(SturdyEngine())
    edition = galleries.register_edition(
        by=cast.carl, gallery=shelf.gallery, face_model=model, approver=cast.sam, secret=secret
    )
    current = galleries.current_edition(shelf.gallery)
    assert current is not None
    assert current.edition == shelf.edition
    galleries.switch_edition(by=cast.carl, gallery=shelf.gallery, edition=edition, approver=cast.sam, secret=secret)
    current = galleries.current_edition(shelf.gallery)
    assert current is not None
    assert (current.edition, current.dimension) == (edition, 64)
    assert galleries.edition_of(shelf.gallery, shelf.model).edition == shelf.edition
    assert entries("gallery:edition:switched", edition=edition)


def test_a_licence_that_is_not_permissive_needs_somebody_who_answers_for_it(cast: Cast, entries: Entries) -> None:
    gallery = galleries.create(**wanted(cast))
    model = face_models.register(BlockEngine("non-commercial"))
    asked: dict[str, Any] = {"by": cast.carl, "gallery": gallery, "face_model": model}
    secret = cast.secrets[cast.sam.id]
    with pytest.raises(Conflict, match="non-commercial"):
        galleries.register_edition(**asked, approver=cast.sam, secret=secret)
    assert not entries("gate:proposal:made")
    with pytest.raises(NotAllowed):
        face_models.acknowledge(by=cast.olivia, face_model=model)
    model = face_models.acknowledge(by=cast.carl, face_model=model)
    [entry] = entries("model:licence:acknowledged", model=model.hash)
    assert (entry["licence_status"], entry["actor"]) == ("non-commercial", str(cast.carl.id))
    with pytest.raises(Conflict, match="already"):
        face_models.acknowledge(by=cast.carl, face_model=model)
    galleries.register_edition(**{**asked, "face_model": model}, approver=cast.sam, secret=secret)


def test_a_licence_that_changed_is_acknowledged_anew(cast: Cast) -> None:
    model = face_models.acknowledge(by=cast.carl, face_model=face_models.register(BlockEngine("unknown")))
    assert face_models.register(BlockEngine("unknown")).acknowledged_at == model.acknowledged_at
    assert face_models.register(BlockEngine("non-commercial")).acknowledged_at is None
    assert FaceModel.objects.count() == 1


def test_the_default_face_model_is_permissive_and_found_by_its_hash(cast: Cast) -> None:
    engine = face_models.engine()
    model = face_models.register(engine)
    face_models.check_licence(model)
    assert (model.name, model.dimension) == ("dlib", 128)
    assert face_models.engine(model.hash) is engine
    assert face_models.current_names() == ["dlib"]
    with pytest.raises(Conflict, match="permissive"):
        face_models.acknowledge(by=cast.carl, face_model=model)
    with pytest.raises(NotFound):
        face_models.engine("0" * 64)
    with pytest.raises(UnusableModel, match="there are: dlib"):
        face_models.engine("buffalo_l")


def test_a_face_model_of_other_files_is_not_taken_for_the_registered_one(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = BlockEngine()
    changed._identity = type(changed._identity)(**{**vars(changed._identity), "files": {"blocks": "1" * 64}})
    monkeypatch.setattr(registry, "engine", lambda name, models_dir=None: changed)
    with pytest.raises(UnusableModel, match="were changed"):
        face_models.engine(shelf.model.hash)


def test_models_of_a_directory_of_the_operator_are_named(real_faces: Path, cast: Cast, settings: Any) -> None:
    settings.GLASSCASE_MODELS_DIR = real_faces / "insightface" / "models"
    assert face_models.current_names() == ["dlib", "scrfd_mbf"]
    model = face_models.register(face_models.engine("scrfd_mbf"))
    assert (model.name, model.dimension, model.licence_status) == ("scrfd_mbf", 128, "unknown")


def test_the_id_of_a_person_is_stable_in_a_gallery_and_says_nothing_elsewhere(shelf: Shelf) -> None:
    other = galleries.create(**wanted(shelf.cast, name="second"))
    assert galleries.person(shelf.gallery, "B-1") == galleries.person(shelf.gallery, "B-1")
    assert galleries.person(shelf.gallery, "B-1") != galleries.person(shelf.gallery, "B-2")
    assert galleries.person(shelf.gallery, "B-1") != galleries.person(other, "B-1")


def test_photos_older_than_the_retention_rule_are_overdue(shelf: Shelf) -> None:
    from datetime import timedelta

    from django.utils import timezone

    shelf.enrol(shelf.manifest(2))
    assert not galleries.overdue(shelf.gallery)
    old = shelf.gallery.photos.order_by("person_ref")[0]
    old.enrolled_at = timezone.now() - timedelta(days=31)
    old.save()
    assert list(galleries.overdue(shelf.gallery)) == [old]


def test_the_commands_create_register_and_log_who_used_them(
    cast: Cast, entries: Entries, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(cast.secrets[cast.sam.id] + "\n")
    call_command(
        "create_gallery", "bookings", agency="riverton-pd", legal_basis="booking", retention_days=30, user="carl"
    )
    assert json.loads(capsys.readouterr().out)["name"] == "bookings"
    call_command("register_edition", "bookings", approver="sam", secret_file=str(secret))
    assert json.loads(capsys.readouterr().out)["edition"] == 1
    [used] = entries("core:command:used", user=cast.carl.id)
    assert used["command"] == "create_gallery"
    with pytest.raises(CommandError, match="already"):
        call_command("register_edition", "bookings", approver="sam", secret_file=str(secret))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("register_edition", "bookings", approver="sam", secret_file=str(tmp_path / "none"))
    with pytest.raises(CommandError, match="permissive"):
        call_command("acknowledge_licence", "dlib", user="carl")


def test_acting_in_somebodys_name_is_refused_where_it_is_switched_off(
    cast: Cast, settings: Any, entries: Entries
) -> None:
    settings.GLASSCASE_ALLOW_AS = False
    with pytest.raises(CommandError, match="switched off"):
        call_command(
            "create_gallery", "bookings", agency="riverton-pd", legal_basis="booking", retention_days=30, user="carl"
        )
    settings.GLASSCASE_ALLOW_AS = True
    with pytest.raises(CommandError, match="no active person"):
        call_command(
            "create_gallery", "bookings", agency="riverton-pd", legal_basis="booking", retention_days=30, user="nobody"
        )
    assert Gallery.objects.count() == 0
    assert not entries("core:command:used")


def test_run_jobs_enrols_without_celery(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    run = shelf.start(shelf.manifest(2))
    call_command("run_jobs", once=True)
    run.refresh_from_db()
    assert run.version == 1
    assert jobs.run(enrolment.job_of(run).id) is None
