from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.portraits import SIDE, portrait, portrait_jpeg
from core.portraits.identity import STYLES, person
from core.portraits.scene import scene
from core.portraits.sets import COHORTS, COLUMNS, SEEDS, cohort, person_id, render_set

ROOT = Path(__file__).resolve().parents[2]


def manifest_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_seeds_give_the_same_pixels_and_others_do_not() -> None:
    first = portrait(3, 0)
    assert first.shape == (SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, portrait(3, 0))
    assert not np.array_equal(first, portrait(3, 1))
    assert not np.array_equal(first, portrait(4, 0))


def test_another_process_draws_the_same_pixels() -> None:
    script = (
        "import cv2, hashlib; cv2.setNumThreads(1); from core.portraits import portrait; "
        "print(hashlib.sha256(portrait(3, 0).tobytes()).hexdigest())"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == hashlib.sha256(portrait(3, 0).tobytes()).hexdigest()


def test_a_person_stays_and_a_photo_changes() -> None:
    assert person(5) == person(5)
    assert person(5) != person(6)
    assert scene(5000) != scene(5001)
    still = scene(5000, strength=0.0)
    assert (still.yaw, still.smile, still.noise) == (0, 0, 0)


def test_people_are_varied() -> None:
    people = [person(seed) for seed in range(300)]
    assert {p.hair.style for p in people} == set(STYLES)
    assert {p.hair.beard for p in people} == {"none", "stubble", "goatee", "full", "moustache"}
    tones = np.histogram([p.skin.tone for p in people], bins=5, range=(0, 1))[0]
    assert tones.min() > 30
    assert 0.15 < np.mean([p.glasses is not None for p in people]) < 0.4


def test_spread_moves_people_away_from_the_average() -> None:
    mild = np.std([person(seed, 0.5).eyes.apart for seed in range(100)])
    wild = np.std([person(seed, 1.0).eyes.apart for seed in range(100)])
    assert wild == pytest.approx(2 * mild, rel=0.05)


@pytest.mark.parametrize("seed", [0, 7, 14, 21])
def test_the_strongest_settings_still_give_a_picture(seed: int) -> None:
    assert portrait(seed, 0, strength=1.0, spread=1.3).std() > 20


def test_a_jpeg_of_a_portrait_carries_no_metadata() -> None:
    with Image.open(io.BytesIO(portrait_jpeg(3, 0))) as image:
        assert (image.format, image.size) == ("JPEG", (SIDE, SIDE))
        assert len(image.getexif()) == 0


def test_a_set_has_its_files_and_a_manifest_with_made_up_cohorts(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = render_set(tmp_path, 2, 2, progress=lambda done, total: seen.append((done, total)))
    rows = manifest_rows(path)
    assert tuple(rows[0]) == COLUMNS
    assert [row["person_id"] for row in rows] == ["G0000", "G0000", "G0001", "G0001"]
    assert [row["photo"] for row in rows] == ["0", "1", "0", "1"]
    assert {row["cohort"] for row in rows} <= set(COHORTS)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (tmp_path / rows[3]["file"]).read_bytes() == portrait_jpeg(1, 1)
    assert not list(tmp_path.rglob("*.partial"))


def test_what_is_drawn_is_not_drawn_again(tmp_path: Path) -> None:
    path = render_set(tmp_path, 1, 2)
    files = sorted(tmp_path.rglob("*.jpg"))
    times = [file.stat().st_mtime_ns for file in files]
    files[0].unlink()
    seen: list[tuple[int, int]] = []
    render_set(tmp_path, 1, 2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 2)]
    assert files[0].exists()
    assert files[1].stat().st_mtime_ns == times[1]
    before = path.read_bytes()
    render_set(tmp_path, 1, 2)
    assert path.read_bytes() == before


def test_sets_with_other_ranges_share_nobody_and_live_side_by_side(tmp_path: Path) -> None:
    one = render_set(tmp_path, 1, 1, manifest="enrolled.csv")
    two = render_set(tmp_path, 1, 1, first=1, first_photo=2, manifest="others.csv")
    assert one.parent == two.parent == tmp_path
    (row,), (other,) = manifest_rows(one), manifest_rows(two)
    assert row["person_id"] != other["person_id"]
    assert other["photo"] == "2"


@pytest.mark.slow
def test_two_processes_draw_the_same_set(tmp_path: Path) -> None:
    render_set(tmp_path / "two", 4, 2, processes=2)
    render_set(tmp_path / "one", 4, 2, processes=1)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.jpg"))
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_more_people_than_there_are_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="generated people"):
        render_set(tmp_path, len(SEEDS), 1, first=1)
    assert not list(tmp_path.iterdir())


def test_there_are_enough_people_and_the_cohorts_are_about_even() -> None:
    assert len(SEEDS) >= 300
    assert len(set(map(person_id, SEEDS))) == len(SEEDS)
    share = np.mean([cohort(seed) == "a" for seed in SEEDS])
    assert 0.4 < share < 0.6
    hardness = {name: np.mean([person(s).hardness for s in SEEDS if cohort(s) == name]) for name in COHORTS}
    assert abs(hardness["a"] - hardness["b"]) < 0.1
