"""Independent testing: off by default, for accredited testers, on their own photos, keeping nothing."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit import testing
from audit.fairness import scoring
from audit.fairness.extraction import extract
from audit.fairness.sets.manifest import read_manifest
from audit.models import Evaluation, TestingSession
from core.faces import registry
from tests import kits
from tests.api_client import Api, expect
from tests.audit import measured
from tests.core.log_entries import entries
from tests.people import Cast

PURPOSE = "False matches among generated people of our own"


@pytest.fixture
def kit() -> kits.Kit:
    return measured.KIT


@pytest.fixture
def evaluation(database: kits.Clone, settings: Any) -> Evaluation:
    settings.GLASSCASE_TESTING_API = True
    return measured.of(database)


def packed(manifest: Path, rows: int = 6, **extra: bytes) -> bytes:
    """The first photos of a manifest as a tester's set, with the column `cohort`."""
    out = io.BytesIO()
    table = list(csv.DictReader(io.StringIO(manifest.read_text(encoding="utf-8"), newline="")))[:rows]
    with zipfile.ZipFile(out, "w") as archive:
        lines = io.StringIO()
        writer = csv.DictWriter(lines, ["person_id", "file", "cohort"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
        archive.writestr("manifest.csv", lines.getvalue())
        for row in table:
            archive.writestr(row["file"], (manifest.parent / row["file"]).read_bytes())
        for name, data in extra.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_it_is_off_unless_the_installation_opens_it(cast: Cast) -> None:
    tester = Api().as_(cast.theo)
    expect(tester("GET", "/testing/sessions/"), 404)
    expect(Api().as_(cast.axel)("GET", "/testing/sessions/"), 403)
    assert not entries("testing:session:opened")


def test_a_tester_gets_the_scores_that_the_face_model_gives_and_the_log_names_the_session(
    cast: Cast, evaluation: Evaluation
) -> None:
    tester = Api().as_(cast.theo)
    refused = tester.post("/testing/sessions/", 422, face_model="0" * 64, purpose=PURPOSE)
    assert list(refused["fields"]) == ["face_model"]
    session = tester.post("/testing/sessions/", 201, face_model=evaluation.face_model, purpose=PURPOSE)
    [opened] = entries("testing:session:opened")
    assert (opened["session"], opened["actor"]) == (session["id"], str(cast.theo.pk))

    manifest = measured.manifest()
    answer = tester("POST", f"/testing/sessions/{session['id']}/scores/", packed(manifest), "application/octet-stream")
    result = expect(answer, 200)
    assert (result["photos"], result["extracted"], result["failures"]) == (6, 6, [])
    assert len(result["rows"]) == 15

    # The same photos by the library itself.
    photos = read_manifest(manifest, ("cohort",))
    samples = extract(photos, registry.engine())
    mine = samples.embeddings[:6].astype(float)
    expected = np.round((mine @ mine.T)[np.triu_indices(6, 1)] * 1e6) / 1e6
    assert np.abs(np.array([row[0] for row in result["rows"]]) - expected).max() <= 2e-6
    assert [row[1] for row in result["rows"]] == [
        int(samples.people[a] == samples.people[b]) for a in range(6) for b in range(a + 1, 6)
    ]
    [scored] = entries("testing:set:scored")
    assert (scored["session"], scored["photos"], scored["extracted"]) == (session["id"], 6, 6)
    kept = TestingSession.objects.get()
    assert (kept.sets, kept.photos) == (1, 6)


def test_nothing_of_a_set_is_left_on_disk(
    cast: Cast, evaluation: Evaluation, database: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    session = testing.open_session(by=cast.theo, face_model=evaluation.face_model, purpose=PURPOSE)

    def files() -> set[Path]:
        here = {path for path in database.home.rglob("*") if path.is_file() and "/pg" not in str(path)}
        return here | set(tmp_path.rglob("*"))

    before = files()
    testing.score(by=cast.theo, session=session, data=packed(measured.manifest(), 3))
    assert {path.name for path in files() - before} <= {"lock"}


def test_sessions_end_belong_to_one_tester_and_are_limited(
    cast: Cast, evaluation: Evaluation, monkeypatch: Any
) -> None:
    tester = Api().as_(cast.theo)
    session = tester.post("/testing/sessions/", 201, face_model=evaluation.face_model, purpose=PURPOSE)
    from core import people

    other = people.add(by=None, username="tess", full_name="Tess Two", agency=None, roles=["tester"])
    expect(Api().as_(other)("GET", f"/testing/sessions/{session['id']}/"), 404)
    data = packed(measured.manifest(), 2)
    monkeypatch.setattr(testing, "SETS_IN_TWO_DAYS", 1)
    address = f"/testing/sessions/{session['id']}/scores/"
    expect(tester("POST", address, data, "application/octet-stream"), 200)
    assert "two days" in expect(tester("POST", address, data, "application/octet-stream"), 409)["sentence"]
    with testing._alone():
        assert "being scored" in expect(tester("POST", address, data, "application/octet-stream"), 409)["sentence"]
    expect(tester("DELETE", f"/testing/sessions/{session['id']}/"), 200)
    expect(tester("DELETE", f"/testing/sessions/{session['id']}/"), 409)
    assert "over" in expect(tester("POST", address, data, "application/octet-stream"), 409)["sentence"]
    assert len(entries("testing:set:scored")) == 1
    assert len(entries("testing:session:closed")) == 1


def test_a_set_that_cannot_be_used_is_refused_with_a_sentence(cast: Cast, evaluation: Evaluation) -> None:
    tester = Api().as_(cast.theo)
    session = tester.post("/testing/sessions/", 201, face_model=evaluation.face_model, purpose=PURPOSE)
    answer = tester("POST", f"/testing/sessions/{session['id']}/scores/", b"no zip", "application/octet-stream")
    assert "not a ZIP file" in expect(answer, 422)["fields"]["set"][0]
    assert not entries("testing:set:scored")


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not a ZIP file"),
        (zipped(photo__jpg=b"x"), "no manifest.csv"),
        (zipped(manifest__csv=b"name\nx\n"), "needs the columns"),
        (zipped(manifest__csv=b"\xff\xfe"), "UTF-8"),
        (zipped(manifest__csv=b"person_id,file\na,../x.jpg\n"), "no file of that name"),
        (zipped(manifest__csv=b"person_id,file\n,a.jpg\n", a__jpg=b"x"), "person_id"),
        (zipped(manifest__csv=b"person_id,file\na,a.jpg\nb,a.jpg\n", a__jpg=b"x"), "twice"),
        (zipped(manifest__csv=b"person_id,file\na,a.jpg\n", a__jpg=b"x"), "2 to 200"),
        (zipped(manifest__csv=b"person_id,file\n", bomb=b"\0" * 65_000_000), "unpacks to more"),
    ],
)
def test_a_hostile_or_careless_set_has_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(scoring.UnusableSet, match=sentence):
        scoring.read(data)


def test_a_member_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(zipped(manifest__csv=b"person_id,file\na,a.jpg\nb,b.jpg\n", a__jpg=b"\0" * 5000, b__jpg=b"y"))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        directory = archive.start_dir
    place = data.find((5000).to_bytes(4, "little"), directory)
    data[place : place + 4] = (10).to_bytes(4, "little")
    with pytest.raises(scoring.UnusableSet, match="damaged"):
        scoring.read(bytes(data))


def test_a_set_with_a_damaged_photo_is_refused_and_not_taken_for_a_fault_of_ours() -> None:
    """Damaged compressed bytes ended the process: 503, and the tester was told to call the operator."""
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr("manifest.csv", "person_id,file\n1,a.jpg\n2,b.jpg\n", zipfile.ZIP_STORED)
            archive.writestr("a.jpg", bytes(range(256)) * 40)
            archive.writestr("b.jpg", b"b" * 50)
        data = bytearray(out.getvalue())
        start = data.index(b"a.jpg", data.index(b"2,b.jpg")) + 5
        data[start : start + 60] = b"\xff" * 60
        with pytest.raises(scoring.UnusableSet, match="damaged"):
            scoring.read(bytes(data))
