"""Removing and expunging: rows, files and keys go; searches find nothing more; a crash in between is made good."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from core import database
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from search import galleries, photos, removal
from search.gate import client
from search.models import EnrolledPhoto, EnrolmentItem
from tests.search.shelf import Shelf, draw, write_manifest

Entries = Callable[..., list[dict[str, Any]]]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def full(shelf: Shelf) -> Shelf:
    """Five photos of four people."""
    path = shelf.manifest(4)
    draw(shelf.folder / "second.png", 90)
    text = path.read_text() + "P0,second.png,f\n"
    path.write_text(text)
    shelf.enrol(path)
    return shelf


def asked(shelf: Shelf, **changes: Any) -> dict[str, Any]:
    cast = shelf.cast
    return {"by": cast.carl, "approver": cast.sam, "secret": cast.secrets[cast.sam.id], **changes}


def of(shelf: Shelf, person: str) -> list[uuid.UUID]:
    return list(shelf.gallery.photos.filter(person_ref=person).values_list("template", flat=True))


def test_removed_photos_lose_files_keys_and_names_and_are_searched_no_more(
    full: Shelf, as_superuser: psycopg.Connection, entries: Entries
) -> None:
    gone = of(full, "P0")
    assert removal.remove(gallery=full.gallery, templates=gone, **asked(full)) == 2
    kept = full.kept(as_superuser)
    # The gate keeps the numbers of a removed photo, for replays, and never scans them again.
    assert kept == {"templates": 5, "halves": 5, "rows": 3, "photos": 3, "crops": 3, "keys": 3}
    removed = as_superuser.execute("SELECT template FROM gallery.removed").fetchall()
    assert {row[0] for row in removed} == set(gone)
    edition = galleries.current_edition(full.gallery)
    assert edition is not None
    assert (edition.version, edition.templates) == (2, 3)
    assert not EnrolmentItem.objects.filter(person_ref="P0").exists()
    assert entries("gallery:template:removed", edition=full.edition, templates=2)
    [erased] = entries("gallery:photos:erased", gallery=full.gallery.id)
    assert (erased["photos"], erased["reason"], erased["actor"]) == (2, "removed", str(full.cast.carl.id))
    with pytest.raises(NotFound):
        photos.read(gone[0], bytes(32))


def test_an_expunged_person_leaves_nothing(full: Shelf, as_superuser: psycopg.Connection, entries: Entries) -> None:
    person = galleries.person(full.gallery, "P0")
    assert removal.expunge(person=person, **asked(full)) == 2
    assert full.kept(as_superuser) == dict.fromkeys(("templates", "halves", "rows", "photos", "crops", "keys"), 3)
    rows = EnrolmentItem.objects.filter(template=None) | EnrolmentItem.objects.filter(person_ref="")
    assert {(row.person_ref, row.file, json.dumps(row.attributes)) for row in rows} == {("", "", "{}")}
    assert entries("gallery:person:expunged", person=person, templates=2)
    [erased] = entries("gallery:photos:erased", gallery=full.gallery.id)
    assert (erased["photos"], erased["reason"]) == (2, "expunged")
    with pytest.raises(NotFound):
        removal.expunge(person=person, **asked(full))


def test_somebody_who_was_removed_before_can_be_expunged_by_name(full: Shelf, as_superuser: psycopg.Connection) -> None:
    """Removing leaves the numbers in the gate; expunging takes them as well."""
    removal.remove(gallery=full.gallery, templates=of(full, "P1"), **asked(full))
    assert removal.expunge(person=galleries.person(full.gallery, "P1"), gallery=full.gallery, **asked(full)) == 1
    assert full.kept(as_superuser) == dict.fromkeys(("templates", "halves", "rows", "photos", "crops", "keys"), 4)


def test_a_removed_photo_can_be_enrolled_again(full: Shelf, as_superuser: psycopg.Connection) -> None:
    removal.remove(gallery=full.gallery, templates=of(full, "P2"), **asked(full))
    run, _ = full.enrol(write_manifest(full.folder, [{"person_id": "P2", "file": "photo2.png"}], "back.csv"))
    assert run.version == 3
    assert len(of(full, "P2")) == 1


@pytest.mark.parametrize("kind", ["remove", "expunge"])
def test_a_process_that_was_killed_before_the_erasure_is_made_good(
    full: Shelf, as_superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, kind: str, entries: Entries
) -> None:
    def killed(templates: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(photos, "erase", killed)
        templates, person = of(full, "P0"), galleries.person(full.gallery, "P0")
        acts = {
            "remove": lambda: removal.remove(gallery=full.gallery, templates=templates, **asked(full)),
            "expunge": lambda: removal.expunge(person=person, **asked(full)),
        }
        with pytest.raises(Killed):
            acts[kind]()
    assert not entries("gallery:photos:erased")
    assert full.kept(as_superuser)["photos"] == 5
    assert removal.finish_erasures() == 2
    assert removal.finish_erasures() == 0
    kept = full.kept(as_superuser)
    assert {kept[name] for name in ("rows", "photos", "crops", "keys")} == {3}
    [erased] = entries("gallery:photos:erased")
    assert (erased["photos"], erased["reason"]) == (2, "resumed")


def test_a_wrong_secret_removes_nothing_and_is_in_the_log(
    full: Shelf, as_superuser: psycopg.Connection, entries: Entries
) -> None:
    before = full.kept(as_superuser)
    wrong = asked(full, secret=full.cast.secrets[full.cast.sue.id])
    with pytest.raises(Invalid, match="not the approval secret"):
        removal.remove(gallery=full.gallery, templates=of(full, "P0"), **wrong)
    with pytest.raises(Invalid, match="not the approval secret"):
        removal.expunge(person=galleries.person(full.gallery, "P0"), **wrong)
    assert full.kept(as_superuser) == before
    assert EnrolledPhoto.objects.filter(removed_at=None).count() == 5
    assert len(entries("gate:proposal:made", act="gallery:remove")) == 1
    assert len(entries("gate:proposal:made", act="gallery:expunge")) == 1
    assert not entries("gallery:photos:erased")


@pytest.mark.parametrize("who", ["olivia", "sue", "ada", "bea"])
def test_only_a_custodian_removes_and_expunges(full: Shelf, who: str) -> None:
    by = getattr(full.cast, who)
    with pytest.raises(NotAllowed):
        removal.remove(gallery=full.gallery, templates=of(full, "P0"), **asked(full, by=by))
    with pytest.raises(NotAllowed):
        removal.expunge(person=galleries.person(full.gallery, "P0"), **asked(full, by=by))
    assert EnrolledPhoto.objects.count() == 5


def test_a_legal_hold_keeps_a_person(full: Shelf, as_superuser: psycopg.Connection) -> None:
    person = galleries.person(full.gallery, "P0")
    client.place_hold(database.session(), person)
    with pytest.raises(Conflict, match="legal hold"):
        removal.expunge(person=person, **asked(full))
    assert full.kept(as_superuser)["photos"] == 5
    assert EnrolmentItem.objects.filter(person_ref="P0").count() == 2


def test_photos_of_another_gallery_are_not_found(full: Shelf) -> None:
    other = galleries.create(
        by=full.cast.carl, agency=full.cast.agency, name="second", legal_basis="consent", retention_days=30
    )
    with pytest.raises(NotFound):
        removal.remove(gallery=other, templates=of(full, "P0"), **asked(full))
    with pytest.raises(Invalid):
        removal.remove(gallery=full.gallery, templates=[], **asked(full))
    assert EnrolledPhoto.objects.count() == 5


def test_the_commands_remove_and_expunge(
    full: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_superuser: psycopg.Connection
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(full.cast.secrets[full.cast.sam.id])
    common = {"approver": "sam", "secret_file": str(secret), "user": "carl"}
    call_command("remove", "bookings", person="P0", **common)
    assert json.loads(capsys.readouterr().out)["removed"] == 2
    call_command("expunge", "bookings", "P1", **common)
    assert json.loads(capsys.readouterr().out)["templates"] == 1
    call_command("expunge", "bookings", "P0", **common)
    assert json.loads(capsys.readouterr().out)["templates"] == 2
    with pytest.raises(CommandError, match="Nobody"):
        call_command("expunge", "bookings", "P9", **common)
    assert full.kept(as_superuser) == dict.fromkeys(("templates", "halves", "rows", "photos", "crops", "keys"), 2)
