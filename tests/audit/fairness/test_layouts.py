"""The published layouts are read as they were published, and everything that is not used says why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from audit.fairness.sets import freezing
from audit.fairness.sets.freezing import FrozenSet
from audit.fairness.sets.layouts import LAYOUTS
from audit.fairness.sets.rows import DatasetError
from tests.audit.fairness import layout_files


def frozen(layout: str, source: Path) -> FrozenSet:
    return freezing.freeze("set", LAYOUTS[layout].read(source))


def codes(found: FrozenSet) -> Counter[str]:
    return Counter(item.code for item in found.photos.left_out)


def test_lfw_has_its_folds_and_kinds_of_pairs(tmp_path: Path) -> None:
    found = frozen("lfw", layout_files.lfw(tmp_path, people=6, folds=3, each=2))
    assert Counter((pair.fold, pair.same) for pair in found.pairs) == {
        (fold, same): 2 for fold in (1, 2, 3) for same in (True, False)
    }
    assert found.pairs[0].file_a == "Ann_A/Ann_A_0001.jpg"
    assert (len(found.photos.photos), found.columns) == (12, ())


def test_lfw_takes_labels_from_a_people_csv(tmp_path: Path) -> None:
    folder = layout_files.lfw(tmp_path)
    lines = ["person_id,sex", "Ann_A,female", "Ann_B,male", "Ann_B,female", ",male"]
    (folder / "lfw" / "people.csv").write_text("\n".join(lines), encoding="utf-8")
    found = frozen("lfw", folder)
    people = dict(zip(found.photos.people, found.photos.labels["sex"], strict=True))
    assert (people["Ann_A"], people["Ann_B"], people["Ann_C"]) == ("female", "male", "unknown")
    assert codes(found) == {"bad_person": 2}
    assert any(
        note == 'People without a label in "sex", counted as a cohort of their own: 4.' for note in found.photos.notes
    )


def test_a_missing_photo_takes_its_pairs_with_it_and_says_so(tmp_path: Path) -> None:
    folder = layout_files.lfw(tmp_path)
    (folder / "lfw/Ann_A/Ann_A_0002.jpg").unlink()
    found = frozen("lfw", folder)
    whole = 3 * 2 * 2
    assert codes(found)["missing"] == 1
    assert codes(found)["pair"] == whole - len(found.pairs) > 0
    assert all("Ann_A_0002" not in pair.file_a + pair.file_b for pair in found.pairs)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("10\t300\nAnn\t1\t2\n", "announces 6000 pairs and has 1"),
        ("", "holds no pair"),
        ("person,file\n", "holds no pair"),
        ("0\t5\n", "announces no pairs"),
    ],
)
def test_a_pair_list_that_is_none_is_refused(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "pairs.txt").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=sentence):
        frozen("lfw", tmp_path)


def test_a_pair_list_cannot_name_files_outside_the_set(tmp_path: Path) -> None:
    folder = layout_files.lfw(tmp_path / "set")
    layout_files.put(tmp_path, ["secret/secret_0001.jpg"])
    with (folder / "pairs.txt").open("a", encoding="utf-8") as file:
        file.write("../../secret\t1\tAnn_A\t1\n")
    lines = (folder / "pairs.txt").read_text(encoding="utf-8").splitlines()
    (folder / "pairs.txt").write_text("\n".join(lines[1:]), encoding="utf-8")
    (tmp_path / "secret" / "secret_0001.jpg").rename(tmp_path / "secret" / "..secret_0001.jpg")
    found = frozen("lfw", folder)
    assert not any("secret" in photo.file for photo in found.photos.photos)
    assert codes(found)["outside"] + codes(found)["missing"] == 1


def test_rfw_has_four_groups_of_pairs_in_folds_of_600(tmp_path: Path) -> None:
    found = frozen("rfw", layout_files.rfw(tmp_path, people=4))
    assert set(found.photos.labels["race"]) == set(layout_files.GROUPS)
    assert Counter(pair.same for pair in found.pairs) == {True: 16, False: 16}
    assert {pair.fold for pair in found.pairs} == {1}  # fewer than 600 pairs a group
    assert found.pairs[0].file_a == "African/m.000/m.000_0001.jpg"


def test_rfw_without_a_group_is_refused(tmp_path: Path) -> None:
    folder = layout_files.rfw(tmp_path)
    (folder / "txts/Asian/Asian_pairs.txt").unlink()
    with pytest.raises(DatasetError, match=r"Missing: txts/Asian/Asian_pairs\.txt"):
        frozen("rfw", folder)


def test_bfw_is_read_from_its_table(tmp_path: Path) -> None:
    folder = layout_files.bfw(tmp_path)
    table = folder / "bfw-datatable.csv"
    first = table.read_text(encoding="utf-8").splitlines()[1]
    lies = [first.replace(",1,0,0,", ",0,0,0,"), first.replace("1,asian", "x,asian", 1), first + ",more"]
    with table.open("a", encoding="utf-8") as file:
        file.write("\n".join(lies) + "\n")
    found = frozen("bfw", folder)
    assert found.columns == ("ethnicity", "sex", "subgroup")
    assert set(found.photos.labels["subgroup"]) == {"asian_females", "white_males"}
    assert Counter((pair.fold, pair.same) for pair in found.pairs).total() == 12
    assert codes(found) == {"contradiction": 1, "bad_pair": 2}


def test_demogpairs_takes_sex_and_race_from_the_lists(tmp_path: Path) -> None:
    folder = layout_files.demogpairs(tmp_path)
    with (folder / "Metadata" / "Asian_Females.txt").open("a", encoding="utf-8") as file:
        file.write("no photo here\n")
    found = frozen("demogpairs", folder)
    assert len(found.photos.photos) == 18
    people = dict(zip(found.photos.people, found.photos.labels["race"], strict=True))
    assert (people["p00"], people["p10"], people["p20"]) == ("Asian", "Black", "White")
    assert Counter(found.photos.labels["sex"]) == {"female": 12, "male": 6}
    assert codes(found) == {"bad_row": 1}


def test_fairface_says_that_it_shows_no_false_non_matches(tmp_path: Path) -> None:
    found = frozen("fairface", layout_files.fairface(tmp_path))
    assert len(set(found.photos.people)) == len(found.photos.photos) == 4
    assert "no false non-matches" in found.photos.notes[0]
    assert found.photos.labels["race"] == ("East Asian", "Black", "Black", "unknown")
    assert (
        'Cohort "East Asian" in "race" has one person: false matches within it cannot be measured.'
        in found.photos.notes
    )


def test_morph_knows_the_year_of_birth(tmp_path: Path) -> None:
    found = frozen("morph", layout_files.morph(tmp_path))
    assert found.photos.labels["birth_year"] == ("born 1950s", "born 1950s", "born 1970s", "unknown")
    assert found.photos.labels["sex"] == ("male", "male", "female", "male")
    assert len(set(found.photos.people)) == 3


def test_a_folder_per_person(tmp_path: Path) -> None:
    layout_files.put(tmp_path, ["ann/a.jpg", "ann/deep/b.PNG", "ben/c.webp", "ben/notes.txt", "stray.jpg"])
    found = frozen("folders", tmp_path)
    assert Counter(found.photos.people) == {"ann": 2, "ben": 1}
    assert codes(found) == {"no_photo": 1}


def test_a_manifest_keeps_all_of_its_cohort_columns_whatever_they_are_called(tmp_path: Path) -> None:
    layout_files.put(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    nasty = '<script>alert("x")</script>'
    (tmp_path / "set.csv").write_text(
        f'\ufeffperson_id,file,sex,region\nann,a.jpg,"{nasty.replace(chr(34), chr(34) * 2)}",{"x" * 5000}\n'
        "ben,b.jpg,m,north\ncat,../c.jpg,f,south\ndan,../../etc/passwd,f,south\n",
        encoding="utf-8",
    )
    found = frozen("manifest", tmp_path / "set.csv")
    assert found.photos.labels["sex"] == (nasty, "m")
    assert found.photos.labels["region"] == ("unknown", "north")  # too long to be a label
    assert codes(found) == {"outside": 2}


def test_a_cell_without_an_end_is_explained(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text('person_id,file\nann,"' + "x" * 200_000 + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a cell has more than 131,072 characters. Is a quotation mark missing\?"):
        frozen("manifest", tmp_path / "set.csv")


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DatasetError, match=r"^There is no .*\.$|^Below .*\.$"):
        frozen(layout, tmp_path / "nowhere")


def test_one_person_is_no_set(tmp_path: Path) -> None:
    layout_files.put(tmp_path, ["ann/a.jpg", "ann/b.jpg"])
    with pytest.raises(DatasetError, match="one person only"):
        frozen("folders", tmp_path)


@pytest.mark.parametrize("column", ["sha256"])
def test_a_cohort_cannot_take_the_name_of_what_is_frozen(tmp_path: Path, column: str) -> None:
    layout_files.put(tmp_path, ["a.jpg"])
    (tmp_path / "set.csv").write_text(f"person_id,file,{column}\nann,a.jpg,f\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="cannot be called"):
        frozen("manifest", tmp_path / "set.csv")


def test_a_frozen_set_reads_back_as_it_was(tmp_path: Path) -> None:
    folder = layout_files.rfw(tmp_path / "rfw")
    made = frozen("rfw", folder)
    freezing.write(made, tmp_path / "frozen", folder / "data")
    again = freezing.read_frozen(tmp_path / "frozen")
    assert again.photos.labels == made.photos.labels
    assert [photo.sha256 for photo in again.photos.photos] == [photo.sha256 for photo in made.photos.photos]
    assert (again.pairs, again.photos.left_out, again.photos.notes) == (
        made.pairs,
        made.photos.left_out,
        made.photos.notes,
    )
    assert again.photos.set_hash == made.photos.set_hash == freezing.list_sha256(tmp_path / "frozen")
    assert freezing.changes(tmp_path / "frozen", made.photos.set_hash) == []


def test_every_kind_of_change_is_found(tmp_path: Path) -> None:
    folder = layout_files.rfw(tmp_path / "rfw")
    made = frozen("rfw", folder)
    freezing.write(made, tmp_path / "frozen", folder / "data")
    (folder / "data/African/m.000/m.000_0001.jpg").write_bytes(b"another")
    (folder / "data/Asian/m.010/m.010_0001.jpg").unlink()
    found = freezing.changes(tmp_path / "frozen", made.photos.set_hash)
    assert {(change.what, change.code) for change in found} == {
        ("African/m.000/m.000_0001.jpg", "changed"),
        ("Asian/m.010/m.010_0001.jpg", "missing"),
    }
    for name, old, new in (("manifest.csv", "African\n", "Asian\n"), ("pairs.csv", ",1\n", ",0\n")):
        path = tmp_path / "frozen" / name
        before = path.read_text(encoding="utf-8")
        path.write_text(before.replace(old, new, 1), encoding="utf-8")
        assert freezing.changes(tmp_path / "frozen", made.photos.set_hash)[0].what == "manifest.csv"
        path.write_text(before, encoding="utf-8")
    (tmp_path / "frozen" / "set.json").write_text("{}", encoding="utf-8")
    assert freezing.changes(tmp_path / "frozen", made.photos.set_hash)[0].code == "missing"
