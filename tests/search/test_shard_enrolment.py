"""Enrolling into a gallery that is spread over several servers: everybody on one of them, and every batch sealed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pgvector import HalfVector

from core import approvers, database
from search import batches, face_models, galleries, template_import
from search import shards as servers
from search.gate import client
from search.models import EnrolledPhoto, Enrolment
from tests import kits
from tests.search import shelf as shelves
from tests.search import spread as world
from tests.search.spread import NAMES, away
from tests.search.test_template_import import save, vectors


@pytest.fixture
def over_three(shelf: shelves.Shelf) -> Iterator[shelves.Shelf]:
    """The shelf, with a gallery over main, north and south instead of its own."""
    cast = shelf.cast
    try:
        world.make_shards()
        cast.secrets[cast.sam.id] = approvers.enrol(cast.sam, "somebody@agency.example")
        shelf.gallery = galleries.create(
            by=cast.carl, agency=cast.agency, name="spread", legal_basis="booking", retention_days=30
        )
        given: dict[str, Any] = {"by": cast.carl, "approver": cast.sam, "secret": cast.secrets[cast.sam.id]}
        galleries.spread(gallery=shelf.gallery, over=NAMES, **given)
        galleries.register_edition(
            gallery=shelf.gallery, face_model=face_models.register(face_models.engine()), **given
        )
        yield shelf
    finally:
        for name in NAMES:
            kits.drop_database(world.shard_database(name))


def enroll(shelf: shelves.Shelf, photos: int) -> dict[str, Any]:
    out = StringIO()
    call_command("enroll", "spread", manifest=shelf.manifest(photos), workers=1, verbosity=0, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return found


def held(name: str) -> tuple[int, int]:
    """Version and templates of the only edition on a server."""
    with servers.place(name) as own:
        edition = client.editions(own)[-1]
        return edition.version, edition.templates


def test_everybody_is_enrolled_on_one_server_and_all_are_sealed(over_three: shelves.Shelf) -> None:
    said = enroll(over_three, 12)
    by_shard = {one["shard"]: one["enrolled"] for one in said["shards"]}
    assert sum(by_shard.values()) == 12
    assert set(by_shard) == {"main", *NAMES}
    for name, count in by_shard.items():
        assert held(name) == (1, count)
        photos = EnrolledPhoto.objects.filter(gallery=over_three.gallery, shard="" if name == "main" else name)
        assert photos.count() == count
        assert {servers.of_person(over_three.gallery, one.person) or "main" for one in photos} <= {name}


def test_a_server_to_which_nobody_belongs_is_sealed_empty_once(over_three: shelves.Shelf) -> None:
    said = enroll(over_three, 1)
    assert sorted(one["enrolled"] for one in said["shards"]) == [0, 0, 1]
    assert [held(name)[0] for name in ("main", *NAMES)] == [1, 1, 1]
    with pytest.raises(SystemExit):
        enroll(over_three, 1)
    assert [held(name)[0] for name in ("main", *NAMES)] == [1, 1, 1], "the same photo again adds nothing anywhere"


def test_a_part_that_was_never_sealed_is_named_with_what_to_do(over_three: shelves.Shelf) -> None:
    with away("south"), pytest.raises(CommandError, match="south"):
        enroll(over_three, 12)
    [edition] = client.editions(database.session(), over_three.gallery.id)
    named = "south" if held("north")[0] else "north"
    with pytest.raises(servers.ServerTrouble, match=f"on the server {named} was never sealed.*manage.py enroll"):
        servers.list_of(over_three.gallery, edition)
    enroll(over_three, 12)
    assert len(servers.list_of(over_three.gallery, edition)) == 3


def test_a_manifest_goes_on_when_a_server_is_back(over_three: shelves.Shelf) -> None:
    with away("south"), pytest.raises(CommandError, match="south"):
        enroll(over_three, 12)
    enroll(over_three, 12)
    assert sum(held(name)[1] for name in ("main", *NAMES)) == 12
    assert {one.sealed_at is None for one in Enrolment.objects.filter(gallery=over_three.gallery)} == {False}


@pytest.mark.parametrize("after", ["open_batch", "seal_batch"])
def test_what_a_shard_has_done_and_a_killed_process_not_noted_is_found_in_its_log(
    over_three: shelves.Shelf, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(client, after)

    def killed(own: psycopg.Connection, *given: Any, **named: Any) -> Any:
        done = real(own, *given, **named)
        if own.info.dbname != database.database_name():
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patched:
        patched.setattr(client, after, killed)
        with pytest.raises(KeyboardInterrupt):
            enroll(over_three, 12)
    # What had been finished before finds its photos enrolled already.
    enroll(over_three, 12)
    assert sum(held(name)[1] for name in ("main", *NAMES)) == 12
    assert [held(name)[0] for name in ("main", *NAMES)] == [1, 1, 1]


def test_rows_that_a_shard_lost_with_its_connection_are_enrolled_again(
    over_three: shelves.Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django has committed, the shard has not: the batch is refused when it is sealed, and made again."""
    remember = batches._remember
    lost: list[str] = []

    def lose(enrolment: Enrolment, stored: Any) -> None:
        remember(enrolment, stored)
        if enrolment.shard and not lost:
            lost.append(enrolment.shard)
            with away(enrolment.shard):
                pass

    monkeypatch.setattr(batches, "_remember", lose)
    with pytest.raises(CommandError):
        enroll(over_three, 12)
    assert lost
    enroll(over_three, 12)
    assert sum(held(name)[1] for name in ("main", *NAMES)) == 12


# Templates that somebody else computed


def import_(shelf: shelves.Shelf, **of: Any) -> dict[str, Any]:
    out = StringIO()
    path = save(shelf, vectors(20), **of)
    given = {"embeddings": path, "model": shelf.model.name, "verbosity": 0}
    call_command("import_templates", "spread", stdout=out, stderr=StringIO(), **given)
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return found


def everything(name: str) -> list[tuple[str, str, bool]]:
    """Who is on a server: reference, template as it is stored, and whether it is of the person whose id the reference has."""
    shard = "" if name == "main" else name
    known = {one.template: one for one in EnrolledPhoto.objects.filter(shard=shard)}
    place = database.database_name() if name == "main" else world.shard_database(name)
    with database.connect_superuser(place) as own:
        rows = own.execute("SELECT template, person, embedding::text FROM gallery.template").fetchall()
    assert {row[0] for row in rows} == set(known)
    return [(known[template].person_ref, text, known[template].person == person) for template, person, text in rows]


def test_an_imported_template_is_on_the_server_of_its_person_as_it_was_in_the_file(over_three: shelves.Shelf) -> None:
    people = [f"P{number // 2}" for number in range(20)]
    people[7] = ""
    said = import_(over_three, people=people)
    assert {one["shard"] for one in said["shards"]} == {"main", *NAMES}
    assert [sum(one[what] for one in said["shards"]) for what in ("templates", "imported", "left_out")] == [20, 19, 1]
    assert [held(name)[0] for name in ("main", *NAMES)] == [1, 1, 1], "sealed, also where nobody belongs"
    found = []
    for name in ("main", *NAMES):
        rows = everything(name)
        assert all(right for _, _, right in rows)
        ids = {servers.of_person(over_three.gallery, galleries.person(over_three.gallery, ref)) for ref, _, _ in rows}
        assert ids <= {"" if name == "main" else name}
        found += [(ref, text) for ref, text, _ in rows]
    given = [(ref, HalfVector(row).to_list()) for ref, row in zip(people, vectors(20), strict=True) if ref]
    assert sorted((ref, HalfVector.from_text(text).to_list()) for ref, text in found) == sorted(given)
    with pytest.raises(SystemExit):
        import_(over_three, people=people)
    assert sum(held(name)[1] for name in ("main", *NAMES)) == 19, "the same templates again add nothing anywhere"


@pytest.mark.slow
def test_an_import_goes_on_when_a_server_is_back(over_three: shelves.Shelf) -> None:
    with away("south"), pytest.raises(CommandError, match="south"):
        import_(over_three)
    assert [held(name)[0] for name in ("main", *NAMES)] == [0, 0, 0], "nothing begins before all can"
    import_(over_three)
    assert sum(held(name)[1] for name in ("main", *NAMES)) == 20


@pytest.mark.slow
def test_imported_rows_that_a_shard_lost_with_its_connection_are_imported_again(
    over_three: shelves.Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django has committed, the shard has not."""
    copy = template_import._Loading._copy
    lost: list[str] = []

    def lose(loading: Any, at: psycopg.Connection, chosen: Any) -> None:
        copy(loading, at, chosen)
        if loading.run.shard and not lost:
            lost.append(loading.run.shard)
            with away(loading.run.shard):
                pass

    with monkeypatch.context() as patched:
        patched.setattr(template_import._Loading, "_copy", lose)
        with pytest.raises(CommandError):
            import_(over_three)
    assert lost
    import_(over_three)
    assert sum(held(name)[1] for name in ("main", *NAMES)) == 20
    assert sum(len(everything(name)) for name in ("main", *NAMES)) == 20
