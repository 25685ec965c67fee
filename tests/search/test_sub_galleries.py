"""Sub-galleries through services, pages, API and commands: defined once, marked at enrolment, searched alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from core.exceptions import Conflict, Invalid, NotAllowed
from core.models import JobState
from core.portraits import portrait_jpeg
from search import enrolment, measured, readings, sub_galleries, template_import
from search.exceptions import SearchRefused
from search.gate.client import SubGallery
from search.models import Enrolment
from tests.api_client import Api
from tests.people import Cast
from tests.search.shelf import Shelf, draw, write_manifest
from tests.search.stage import PEOPLE, Stage
from tests.search.test_views_decisions import signed_in

Entries = Callable[..., list[dict[str, Any]]]
WASHINGTON = ["county:washington"]


def define(cast: Cast, gallery: Any, name: str = "washington", matches: list[str] | None = None) -> SubGallery:
    return sub_galleries.define(
        by=cast.carl,
        gallery=gallery,
        name=name,
        matches=WASHINGTON if matches is None else matches,
        approver=cast.sam,
        secret=cast.secrets[cast.sam.id],
    )


def manifest(folder: Path, rows: list[dict[str, str]], name: str = "manifest.csv") -> Path:
    for number, row in enumerate(rows):
        row["file"] = f"{name}{number}.png"
        draw(folder / row["file"], 1000 + sum(name.encode()) + number)
    return write_manifest(folder, rows, name)


def sizes(edition: int) -> dict[str, int]:
    return {one.name: one.templates for one in sub_galleries.of_edition(edition)}


values = st.sampled_from(["a", "b", "c d"])


@given(
    st.lists(st.dictionaries(st.sampled_from(["x", "y"]), st.lists(values, min_size=1), min_size=1), max_size=5),
    st.dictionaries(st.sampled_from(["x", "y", "z"]), values),
)
def test_a_photo_has_the_marks_of_the_parts_whose_every_column_it_matches(
    wanted: list[dict[str, list[str]]], attributes: dict[str, str]
) -> None:
    parts = [
        SubGallery(
            gallery=None,  # type: ignore[arg-type]
            edition=1,
            name=str(place),
            matches=tuple(f"{column}:{value.replace(' ', '_')}" for column, found in one.items() for value in found),
            mark=1 << place,
            templates=0,
        )
        for place, one in enumerate(wanted)
    ]
    expected = sum(
        1 << place
        for place, one in enumerate(wanted)
        if all(attributes.get(column) in found for column, found in one.items())
    )
    shouted = {column.upper(): f"  {value.upper()} " for column, value in attributes.items()}
    assert sub_galleries.marks(parts, shouted) == expected


def test_photos_enrolled_after_the_definition_are_in_it_by_their_manifest(shelf: Shelf, entries: Entries) -> None:
    shelf.enrol(manifest(shelf.folder, [{"person_id": "early", "county": "Washington", "sex": "f"}], "early.csv"))
    define(shelf.cast, shelf.gallery)
    define(shelf.cast, shelf.gallery, "women-of-two-counties", ["County:WASHINGTON", "county:Benton ", "sex:F"])
    rows = [
        {"person_id": "P1", "county": "Washington", "sex": "f"},
        {"person_id": "P2", "county": " WASHINGTON", "sex": "m"},
        {"person_id": "P3", "county": "Benton", "sex": "F"},
        {"person_id": "P4", "county": "", "sex": "f"},
    ]
    _, job = shelf.enrol(manifest(shelf.folder, rows))
    assert job.state == JobState.DONE, job.problem
    assert sizes(shelf.edition) == {"washington": 2, "women-of-two-counties": 2}
    [first, second] = entries("gallery:sub_gallery:defined", gallery=shelf.gallery.id)
    assert (first["sub_gallery"], first["matches"], first["mark"]) == ("washington", WASHINGTON, 0)
    assert second["matches"] == ["county:benton", "county:washington", "sex:f"]
    assert second["approver"] == str(shelf.cast.sam.id)


def test_imported_templates_are_marked_too(shelf: Shelf, as_superuser: psycopg.Connection) -> None:
    define(shelf.cast, shelf.gallery)
    vectors = np.random.default_rng(1).standard_normal((3, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = shelf.folder / "templates.npz"
    county = np.array(["Washington", "Benton", "washington"])
    np.savez(path, embeddings=vectors, person_id=np.array(["A", "B", "C"]), county=county)
    run = template_import.start(
        by=shelf.cast.carl, gallery=shelf.gallery, embeddings=path, face_model=shelf.model, send=False
    )
    assert enrolment.run_here(run).state == JobState.DONE
    assert sizes(shelf.edition) == {"washington": 2}
    found = as_superuser.execute("SELECT count(*) FROM gallery.template WHERE marks = 1").fetchone()
    assert found == (2,)


def test_what_cannot_be_defined_is_refused_with_a_sentence_and_defines_nothing(shelf: Shelf) -> None:
    cast = shelf.cast
    for name, matches, field in (
        ("Washington", WASHINGTON, "name"),
        ("", WASHINGTON, "name"),
        ("washington", [], "matches"),
        ("washington", ["washington"], "matches"),
        ("washington", ["county:"], "matches"),
        ("washington", ["county:Łódź"], "matches"),
        ("washington", [f"county:{number}" for number in range(65)], "matches"),
    ):
        with pytest.raises(Invalid) as wrong:
            define(cast, shelf.gallery, name, matches)
        assert list(wrong.value.field_errors) == [field]
    asked = {"gallery": shelf.gallery, "name": "washington", "matches": WASHINGTON}
    with pytest.raises(NotAllowed):
        sub_galleries.define(by=cast.olivia, **asked, approver=cast.sam, secret=cast.secrets[cast.sam.id])
    with pytest.raises(NotAllowed):
        sub_galleries.define(by=cast.carl, **asked, approver=cast.carl, secret="any")
    with pytest.raises(Invalid):
        sub_galleries.define(by=cast.carl, **asked, approver=cast.sam, secret="guess")
    assert sizes(shelf.edition) == {}
    define(cast, shelf.gallery)
    with pytest.raises(Conflict, match="never changed"):
        define(cast, shelf.gallery, matches=["county:benton"])


def test_nothing_is_defined_while_an_enrolment_is_open(shelf: Shelf) -> None:
    from search import batches

    run = shelf.start(manifest(shelf.folder, [{"person_id": "P1", "county": "Washington"}]))
    batches.open_batch(run)
    with pytest.raises(Conflict, match="An enrolment into this gallery is open"):
        define(shelf.cast, shelf.gallery)


def test_the_command_defines_one_and_says_so(shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "secret"
    secret.write_text(shelf.cast.secrets[shelf.cast.sam.id])
    secret.chmod(0o600)
    given = {"approver": "sam", "secret_file": str(secret)}
    call_command("define_sub_gallery", "bookings", "washington", matches=["County:Washington"], **given)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["sub_gallery"], said["matches"]) == ("washington", WASHINGTON)
    with pytest.raises(CommandError, match="never changed"):
        call_command("define_sub_gallery", "bookings", "washington", matches=["county:benton"], **given)
    with pytest.raises(CommandError, match="column:value"):
        call_command("define_sub_gallery", "bookings", "other", matches=["county"], **given)
    assert sizes(shelf.edition) == {"washington": 0}


# Searching


@pytest.fixture
def parted(stage: Stage, tmp_path: Path) -> Stage:
    """A part of the gallery that holds the first person's further photo, and not the second's."""
    define(stage.cast, stage.gallery)
    Enrolment.objects.update(sealed_at=timezone.now())  # the stage sealed its batch, and not its row
    rows = []
    for person, county in ((PEOPLE[0], "Washington"), (PEOPLE[1], "Benton")):
        file = f"{person}.jpg"
        (tmp_path / file).write_bytes(portrait_jpeg(person, 2))
        rows.append({"person_id": f"G{person:04d}", "file": file, "county": county})
    run = enrolment.start(
        by=stage.cast.carl,
        gallery=stage.gallery,
        manifest=write_manifest(tmp_path, rows),
        face_model=stage.model,
        send=False,
    )
    assert enrolment.run_here(run).state == JobState.DONE
    return stage


def test_a_search_of_a_part_finds_who_is_in_it_and_says_so_everywhere(
    parted: Stage, log_at_work: None, entries: Entries
) -> None:
    request = parted.done(PEOPLE[0], sub_gallery="washington", threshold=900_000)
    for type_ in ("search:request:submitted", "search:intent:filed", "search:probe:bound", "search:result:stored"):
        [entry] = entries(type_, request=request.id)
        assert entry["sub_gallery"] == "washington"
    [entry] = entries("search:result:stored", request=request.id)
    assert (entry["sub_templates"], entry["templates"]) == (1, 5)
    assert measured.gallery_size(request) == 1
    # The person's other photo is in the gallery and reaches the threshold; it is not in this part.
    found = readings.open_candidates(by=parted.cast.erin, request=request).candidates
    assert len(found) == 1
    assert found[0].template not in parted.templates.values()
    assert (
        "washington and nobody else"
        in signed_in(parted.cast.olivia).get(reverse("search", args=[request.pk])).content.decode()
    )
    page = signed_in(parted.cast.erin).post(reverse("candidates", args=[request.pk]), follow=True).content.decode()
    assert "only its part <strong>washington</strong> was searched" in page


def test_who_is_outside_the_part_is_not_found(parted: Stage, log_at_work: None) -> None:
    request = parted.done(PEOPLE[1], sub_gallery="washington", threshold=900_000)
    found = readings.open_candidates(by=parted.cast.erin, request=request).candidates
    assert f"G{PEOPLE[1]:04d}" not in [one.photo.person_ref for one in found if one.photo]
    assert {one.photo.attributes["county"] for one in found if one.photo} <= {"Washington"}


def test_an_unknown_or_empty_part_is_refused_with_a_sentence_and_an_entry(
    stage: Stage, database: Any, entries: Entries
) -> None:
    with pytest.raises(SearchRefused) as refused:
        stage.submitted(sub_gallery="nowhere")
    assert (refused.value.status, [one.field for one in refused.value.refusals]) == (422, ["sub_gallery"])
    assert "It has none: leave the field empty" in refused.value.refusals[0].sentence
    define(stage.cast, stage.gallery)
    officer = Api().as_(stage.cast.olivia)
    draft = stage.drafted()
    fields = {name: value for name, value in vars(stage.fields()).items() if value not in (None, "")}
    for name, sentence in (("Wäshington\n'; --", "It has: washington."), ("washington", "Nobody is enrolled")):
        problem = officer.post(f"/requests/{draft.pk}/submit/", 422, **fields | {"sub_gallery": name})
        assert sentence in json.dumps(problem)
    draft.refresh_from_db()
    assert draft.state == "draft"
    reasons = [reason for entry in entries("search:request:refused") for reason in entry["reasons"]]
    assert reasons == ["gallery:unknown_sub_gallery"] * 2 + ["gallery:empty_sub_gallery"]


def test_the_form_offers_the_parts_and_says_what_is_wrong_at_the_field(stage: Stage) -> None:
    officer = signed_in(stage.cast.olivia)
    assert "Part of the gallery" not in officer.get(reverse("search_new")).content.decode()
    define(stage.cast, stage.gallery)
    page = officer.get(reverse("search_new")).content.decode()
    assert "Part of the gallery" in page
    assert '<option value="washington">washington (0 photos)</option>' in page
    draft = stage.drafted()
    data = {name: value for name, value in vars(stage.fields()).items() if isinstance(value, str)}
    data |= {"gallery": str(stage.gallery.pk), "sub_gallery": "nowhere", "chosen_face": "1", "do": "submit"}
    answer = officer.post(reverse("search_edit", args=[draft.pk]), data)
    assert answer.status_code == 422
    assert "has no such sub-gallery" in answer.content.decode()


def test_page_and_api_of_a_gallery_list_its_parts(shelf: Shelf) -> None:
    define(shelf.cast, shelf.gallery)
    shelf.enrol(manifest(shelf.folder, [{"person_id": "P1", "county": "Washington"}]))
    page = signed_in(shelf.cast.olivia).get(reverse("gallery", args=[shelf.gallery.pk])).content.decode()
    assert "parts that can be searched alone" in page
    assert "county:washington" in page
    told = Api().as_(shelf.cast.olivia).get(f"/galleries/{shelf.gallery.pk}/")
    assert told["sub_galleries"] == [
        {"edition": shelf.edition, "name": "washington", "matches": WASHINGTON, "templates": 1}
    ]
