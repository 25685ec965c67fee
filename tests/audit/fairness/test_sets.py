"""Manifests and embeddings, row by row: what is used, what is left out and which sentence says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit.fairness.cohorts import CohortError, clean, cohort_labels, columns_of, label_in
from audit.fairness.sets.embeddings import read_embeddings
from audit.fairness.sets.manifest import read_manifest
from audit.fairness.sets.rows import DatasetError


def write_set(folder: Path, rows: str, files: dict[str, bytes], header: str = "person_id,file,sex") -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    manifest = folder / "set.csv"
    manifest.write_text(f"{header}\n{rows}")
    return manifest


def test_every_row_that_is_left_out_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (tmp_path / "secret.jpg").write_bytes(b"s")
    folder.mkdir()
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    rows = (
        "ann,a.jpg,f\nann,a.jpg,f\nann,copy.jpg,f\nbob,a.jpg,m\nbob,gone.jpg,m\nbob,../secret.jpg,m\n"
        f"bob,{tmp_path}/secret.jpg,m\nbob,link.jpg,m\n,b.jpg,m\nbob,,m\nbob,b.jpg,m,extra\nbob,sub,m\nbob,b.jpg,\n"
    )
    files = {"a.jpg": b"a", "copy.jpg": b"a", "b.jpg": b"b", "sub/x": b""}
    found = read_manifest(write_set(folder, rows, files), ["sex"])
    assert [(photo.person, photo.file) for photo in found.photos] == [("ann", "a.jpg"), ("bob", "b.jpg")]
    assert found.labels == {"sex": ("f", "unknown")}
    assert [(item.row, item.code) for item in found.left_out] == [
        (3, "duplicate"), (4, "duplicate"), (5, "two_people"), (6, "missing"), (7, "outside"), (8, "outside"),
        (9, "outside"), (10, "no_person"), (11, "no_file"), (12, "too_many_cells"), (13, "missing"),
    ]  # fmt: skip
    assert found.left_out[2].reason == "Line 5: a.jpg is the same photo as in line 2, where it shows ann."
    assert found.left_out[4].reason == "Line 7: ../secret.jpg lies outside the manifest's folder."


def test_the_set_hash_changes_with_a_file_or_the_manifest_and_with_nothing_else(tmp_path: Path) -> None:
    files = {"a.jpg": b"a", "b.jpg": b"b"}
    rows = "ann,a.jpg,f\nbob,b.jpg,m\n"
    one = read_manifest(write_set(tmp_path / "one", rows, files), ["sex"]).set_hash
    assert one == read_manifest(write_set(tmp_path / "two", rows, files), []).set_hash
    assert one != read_manifest(write_set(tmp_path / "three", rows, files | {"b.jpg": b"B"}), ["sex"]).set_hash
    assert one != read_manifest(write_set(tmp_path / "four", rows.replace(",m", ",x"), files), ["sex"]).set_hash


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"person_id,photo\nann,a.jpg\n", 'no column "file"'),
        (b"", 'no column "person_id"'),
        (b"person_id,file\nann,a.jpg\n", 'no column "sex"'),
        (b"person_id,file,sex,sex\nann,a.jpg,f,f\n", "two columns with the same name"),
        (b"\xff\xfe\x00bad", "not UTF-8"),
        (b'person_id,file,sex\nann,"a.jpg,f\n', "is not CSV"),
        (b"person_id,file,sex\nann,gone.jpg,f\n", "No row of set.csv can be used. The first reason: Line 2: gone.jpg"),
        (b"person_id,file,sex\n", "No row of set.csv can be used."),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "set.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=sentence):
        read_manifest(tmp_path / "set.csv", ["sex"])


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv", [])


def test_labels_belong_to_people(tmp_path: Path) -> None:
    rows = "ann,1,\nann,2,Female\nbob,3,male\nbob,4,female\ncy,5,FEMALE\n"
    found = read_manifest(write_set(tmp_path, rows, {str(i): bytes([i]) for i in range(1, 6)}), ["sex"])
    assert found.labels["sex"] == ("Female", "Female", "unknown", "unknown", "Female")
    assert found.notes == ('Person bob has different labels in "sex": counted as unknown.',)


def test_birth_years_become_decades_and_columns_intersect() -> None:
    assert [label_in("birth_year", value) for value in ("1957", "2001", "57", "1750", "", "19570")] == [
        "born 1950s", "born 2000s", "unknown", "unknown", "unknown", "unknown",
    ]  # fmt: skip
    assert columns_of("sex x birth_year") == ("sex", "birth_year")
    labels = {"sex": ["f", "m", "unknown"], "age": ["old", "unknown", "old"]}
    assert cohort_labels(labels, "sex x age", 3) == ["f x old", "unknown", "unknown"]
    assert cohort_labels({}, "", 2) == ["everybody", "everybody"]
    with pytest.raises(CohortError, match=r'no cohort column "region" \(there are: age, sex\)'):
        cohort_labels(labels, "region", 3)
    with pytest.raises(CohortError, match="different columns"):
        columns_of("sex x sex")


@pytest.mark.parametrize("blank", ["", "  ", "N/A", "Unknown", "?", "-", "x" * 81, "\x00"])
def test_blank_and_over_long_labels_are_unknown(blank: str) -> None:
    assert clean(blank) == "unknown"


def test_labels_lose_control_characters_only() -> None:
    assert clean(" <b>East\u202e\n Asia</b> ") == "<b>East Asia</b>"


def save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_embeddings_are_read_with_failures_and_duplicates_named(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0, 0], [np.nan, 1], [1, 0], [1, 0], [3, 4], [1, np.inf]], np.float32)
    path = save(
        tmp_path / "e.npz", embeddings=vectors, person_id=np.array(["a", "a", "b", "a", "b", "b", ""]),
        sex=np.array(["f", "f", "m", "f", "m", "", "m"]), birth_year=np.arange(1950, 1957),
    )  # fmt: skip
    found = read_embeddings(path)
    assert list(found.people) == ["a", "a", "b", "b"]
    assert found.extracted.tolist() == [True, False, False, True]
    assert found.labels["sex"] == ("f", "f", "m", "m")
    assert found.labels["birth_year"] == ("born 1950s",) * 4
    assert [(item.row, item.code) for item in found.left_out] == [(4, "duplicate"), (5, "two_people"), (7, "no_person")]
    assert [item.reason for item in found.failures] == [
        "Row 2: its embedding is zero: a failure to extract.",
        "Row 3: its embedding is not a number: a failure to extract.",
    ]
    assert np.isfinite(found.embeddings).all()


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"person_id": np.array(["a"])}, 'no array "embeddings"'),
        ({"embeddings": np.ones((1, 2))}, 'no array "person_id"'),
        ({"embeddings": np.ones(3), "person_id": np.array(["a"] * 3)}, "must be a table of floats"),
        ({"embeddings": np.ones((2, 2), int), "person_id": np.array(["a"] * 2)}, "must be a table of floats"),
        ({"embeddings": np.ones((2, 5000)), "person_id": np.array(["a"] * 2)}, "at most 4096 columns"),
        ({"embeddings": np.ones((2, 2)), "person_id": np.array(["a"])}, "for each of the 2 embeddings"),
        ({"embeddings": np.ones((1, 2)), "person_id": np.array(["a"]), "sex": np.ones(1)}, '"sex" must hold one text'),
        ({"embeddings": np.zeros((1, 2)), "person_id": np.array(["a"])}, "no usable embedding"),
        (
            {"embeddings": np.array([np.ones(2), np.ones(3)], dtype=object), "person_id": np.array(["a", "b"])},
            "Embeddings of different lengths cannot be compared",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_a_sentence(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        read_embeddings(save(tmp_path / "e.npz", **arrays))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04rubbish"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"e\.npz"):
        read_embeddings(tmp_path / "e.npz")


def test_a_plain_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "e.npz").open("wb") as stream:
        np.save(stream, np.ones((2, 2)))
    with pytest.raises(DatasetError, match="plain arrays"):
        read_embeddings(tmp_path / "e.npz")
