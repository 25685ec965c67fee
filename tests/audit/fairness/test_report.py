"""Evaluations end to end: the same report for the same input, its schema, its page, and what stops a run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from PIL import Image

from audit.fairness.acceptance import load_policy
from audit.fairness.comparisons import compare
from audit.fairness.evaluation import evaluate
from audit.fairness.evidence import Parameters, Progress
from audit.fairness.extraction import extract
from audit.fairness.figures import WATERMARK
from audit.fairness.rates import choose_threshold, split_people
from audit.fairness.report import SCHEMA, Provenance
from audit.fairness.run import Written, run, run_embeddings
from audit.fairness.sets.manifest import read_manifest
from audit.fairness.sets.rows import DatasetError
from core.faces.decode import encode_pixels
from tests.audit.fairness.test_comparisons import naive

NASTY = '<script>alert("x")</script>'
MODEL = {"name": "test model <b>", "hash": "ab" * 32}


def embeddings_file(folder: Path, people: int = 120, nasty: bool = True) -> Path:
    """Generated embeddings: 3 photos a person, a cohort whose people are more alike, two failures, a nasty name."""
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(people), 3)
    centre = rng.normal(size=(people, 24))
    centre[person[::3] % 2 == 1, 12:] = 0  # half of the dimensions: more alike
    vectors = (centre[person] + 0.35 * rng.normal(size=(len(person), 24))).astype(np.float32)
    vectors[[0, 5]] = 0
    sex = np.where(person % 2 == 1, NASTY if nasty else "m", "=female")
    sex[person == 7] = ""
    folder.mkdir(exist_ok=True)
    path = folder / "made.npz"
    np.savez(path, embeddings=vectors, person_id=np.char.add("p", person.astype(str)), sex=sex)
    return path


def make(folder: Path, source: Path, seed: int = 3, **provenance: Any) -> Written:
    return run_embeddings(
        source, ["sex"], folder, Provenance(MODEL, **provenance),
        parameters=Parameters(seed=seed, target_fmr=0.01, minimum_people=20), policy=load_policy("demo"),
    )  # fmt: skip


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = embeddings_file(tmp_path)
    one, other = make(tmp_path / "one", source), make(tmp_path / "other", source)
    assert one.sha256 == other.sha256
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    for name in names:
        if name != "run.json":
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name
    assert {
        "report.json", "report.html", "report.pdf", "rerun.zip", "run.json", "rates.csv", "cross_cohort_fmr.csv", "measures.csv",
        "det.csv", "score_shift.csv", "fmr_ratios.csv", "fnmr_at_fmr.csv", "fpir.csv", "fnir.csv", "fnir_at_fpir.csv",
        "fpir_predictions.csv", "left_out.csv",
    } == {name for name in names if not name.endswith((".svg", ".png"))}  # fmt: skip
    for figure in (
        "fmr_by_cohort_1", "fmr_between_cohorts_1", "det_1", "score_distributions", "fpir_by_gallery_size",
    ):  # fmt: skip
        assert {f"{figure}.svg", f"{figure}.png"} <= set(names)
    assert make(tmp_path / "third", source, seed=4).sha256 != one.sha256


def test_the_report_follows_its_schema_and_names_no_time_or_machine(tmp_path: Path) -> None:
    written = make(tmp_path / "out", embeddings_file(tmp_path), generated=True, label_source="generated")
    content = json.loads(written.path.read_text())
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema)
    assert content["benchmark"]["watermark"] == WATERMARK
    assert content["face_model"] == MODEL
    assert set(json.loads((tmp_path / "out" / "run.json").read_text())) >= {"seconds", "host", "numpy"}
    del content["threshold"]["value"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)


def test_the_numbers_equal_a_few_lines_of_numpy(tmp_path: Path) -> None:
    source = embeddings_file(tmp_path, nasty=False)
    written = make(tmp_path / "out", source)
    content = json.loads(written.path.read_text())
    with np.load(source) as archive:
        vectors, person, sex = archive["embeddings"], archive["person_id"], archive["sex"]
    found = vectors.any(axis=1)
    group = np.where(sex == "", "unknown", sex)
    choosing, reporting = split_people(person.tolist(), group.tolist(), 3)
    half = np.isin(person, list(reporting))
    assert content["threshold"]["people_reported_on"] == len(reporting)
    assert content["threshold"]["people_chosen_on"] == len(choosing)
    scores, impostor = naive(np.where(found[:, None], vectors, 1), person.tolist())
    chosen = np.isin(person, list(choosing)) & found
    same = (group[:, None] == group[None, :]) & np.triu(impostor, 1)
    pairs = scores[same & chosen[:, None] & chosen[None, :]]
    threshold = content["threshold"]["value"]
    assert (pairs >= threshold).mean() <= 0.01 < (pairs >= threshold - 1).mean()
    for cohort in content["divisions"][0]["cohorts"]:
        inside = half & (group == cohort["name"])
        good = inside & found
        between = same & good[:, None] & good[None, :]
        assert cohort["fmr"]["trials"] == between.sum()
        assert cohort["fmr"]["errors"] == (between & (scores >= threshold)).sum()
        genuine = np.triu(~impostor, 1) & inside[:, None] & inside[None, :]
        missed = genuine & ((scores < threshold) | ~found[:, None] | ~found[None, :])
        assert cohort["fnmr"]["trials"] == genuine.sum()
        assert cohort["fnmr"]["errors"] == missed.sum()
        assert cohort["fte"]["errors"] == (inside & ~found).sum()


def test_the_planted_difference_is_found_and_said(tmp_path: Path) -> None:
    written = make(tmp_path / "out", embeddings_file(tmp_path, nasty=False))
    (difference,) = written.result.divisions[0].fmr_differences
    assert (difference.high, difference.low) == ("m", "=female")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "most often among m:" in page
    assert "The rate among m is higher than among =female" in page


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_self_contained_and_escapes_what_comes_from_outside(tmp_path: Path) -> None:
    written = make(tmp_path / "out", embeddings_file(tmp_path), generated=True)
    source = (tmp_path / "out" / "report.html").read_text()
    page = _Page()
    page.feed(source)
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe", "object", "form"} & set(names)
    assert all((attrs.get("src") or "data:").startswith("data:") for _, attrs in page.tags)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert names.count("h1") == 1
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert ("html", {"lang": "en"}) in page.tags
    assert names.count("table") == names.count("caption") >= 6
    text = " ".join(page.text)
    assert NASTY in text
    assert "Generated people: says nothing about real ones." in text
    assert written.sha256 in text
    assert "What this does not show" in text
    assert "predicted, not measured" in text


def test_tables_have_numerators_denominators_and_no_formulas(tmp_path: Path) -> None:
    written = make(tmp_path / "out", embeddings_file(tmp_path))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "rates.csv").read_text())))
    assert {row["cohort"] for row in rows} == {"everybody", "'=female", NASTY, "unknown"}
    for row in rows:
        if row["rate"]:
            assert float(row["rate"]) == pytest.approx(int(row["errors"]) / int(row["trials"]), rel=1e-9)
        else:
            assert row["method"] == "not measurable"
    assert {row["statistic"] for row in rows} == {"fmr", "fnmr", "fte"}
    content = json.loads(written.path.read_text())
    assert set(content["tables"]) == {path.name for path in (tmp_path / "out").glob("*.csv")}


def test_labels_predicted_from_faces_are_not_accepted() -> None:
    with pytest.raises(ValueError, match="Labels predicted from faces are never accepted"):
        Provenance(MODEL, label_source="predicted")


def test_a_fixed_threshold_measures_everybody(tmp_path: Path) -> None:
    written = run_embeddings(
        embeddings_file(tmp_path), ["sex"], tmp_path / "out", Provenance(MODEL),
        parameters=Parameters(fixed_threshold=600_000),
    )  # fmt: skip
    assert written.result.threshold.value == 600_000
    assert (written.result.chosen_on, written.result.reported_on) == (0, 120)
    assert written.verdict is None
    jsonschema.validate(json.loads(written.path.read_text()), json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize("people", [2, 3])
def test_a_set_of_very_few_people_is_refused(tmp_path: Path, people: int) -> None:
    with pytest.raises(DatasetError, match="two people are needed"):
        make(tmp_path / "out", embeddings_file(tmp_path, people))
    assert not (tmp_path / "out").exists()


def test_a_set_of_few_people_shows_nothing(tmp_path: Path) -> None:
    written = make(tmp_path / "out", embeddings_file(tmp_path, people=12))
    assert written.verdict is not None
    assert written.verdict.outcome == "cannot be shown"
    assert "fewer than two cohorts have the 20 people" in (tmp_path / "out" / "report.html").read_text()


# A face model of the smallest kind: the embedding is the mean colour of the columns of the photo.
@dataclass(frozen=True)
class Box:
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class ColourIdentity:
    hash: str = "cd" * 32
    dimension: int = 24

    def as_dict(self) -> dict[str, Any]:
        return {"name": "colours", "hash": self.hash, "dimension": self.dimension}


class Colours:
    def __init__(self) -> None:
        self.embedded = 0

    def identity(self) -> ColourIdentity:
        return ColourIdentity()

    def detect(self, rgb: np.ndarray) -> list[Box]:
        """None on black photos; on every other one two faces, the right half of the photo being the larger."""
        width = rgb.shape[1] / 2
        return [] if not rgb.any() else [Box((0, 0, width / 2, 8)), Box((width, 0, 2 * width, 32))]

    def embed(self, rgb: np.ndarray, face: Box) -> np.ndarray:
        self.embedded += 1
        half = rgb[:, int(face.box[0]) : int(face.box[2])].astype(np.float32)
        return half.reshape(32, 8, -1, 3).mean(axis=(0, 2)).ravel() - 127


def photo_set(folder: Path, people: int = 24) -> Path:
    rng = np.random.default_rng(1)
    rows = ["person_id,file,sex"]
    for person in range(people):
        colours = rng.integers(0, 255, (1, 16, 3))
        for copy in "ab":
            noisy = np.clip(np.repeat(np.repeat(colours, 4, 1), 32, 0) + rng.normal(0, 9, (32, 64, 3)), 0, 255)
            (folder / f"{person}{copy}.png").write_bytes(encode_pixels(noisy.astype(np.uint8), format="PNG"))
            rows.append(f"{person},{person}{copy}.png,{'fm'[person % 2]}")
    Image.new("RGB", (64, 32)).save(folder / "black.png")
    (folder / "text.jpg").write_text("no photo")
    rows += ["0,black.png,f", "1,text.jpg,m"]
    (folder / "set.csv").write_text("\n".join(rows) + "\n")
    return folder / "set.csv"


def test_photos_are_embedded_once_and_failures_are_counted(tmp_path: Path) -> None:
    manifest, engine, cache = photo_set(tmp_path), Colours(), tmp_path / "cache"
    stages: list[Progress] = []
    options: dict[str, Any] = {"parameters": Parameters(target_fmr=0.02), "policy": load_policy("demo")}
    first = run(manifest, engine, ["sex"], tmp_path / "a", cache_dir=cache, progress=stages.append, **options)
    assert engine.embedded == 48
    assert list(dict.fromkeys(stage.stage for stage in stages)) == [
        "read", "extract", "choose threshold", "compare", "search", "write",
    ]  # fmt: skip
    for name in {stage.stage for stage in stages}:
        last = [stage for stage in stages if stage.stage == name][-1]
        assert last.done == last.total > 0
    again = run(manifest, engine, ["sex"], tmp_path / "b", cache_dir=cache, **options)
    assert engine.embedded == 48
    assert again.sha256 == first.sha256 == run(manifest, engine, ["sex"], tmp_path / "c", **options).sha256
    content = json.loads(first.path.read_text())
    assert content["benchmark"]["failures_to_extract"] == {"no_face": 1, "not_a_photo": 1}
    assert (
        "Photos with several faces, of which the one with the largest box was taken: 48."
        in (content["benchmark"]["notes"])
    )
    assert all(path.stat().st_mode & 0o077 == 0 for path in cache.rglob("*.npz"))


def test_a_run_that_was_interrupted_continues_and_a_damaged_memory_is_computed_again(tmp_path: Path) -> None:
    photos = read_manifest(photo_set(tmp_path), ["sex"])
    engine, cache = Colours(), tmp_path / "cache"

    def stop(done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(photos, engine, cache_dir=cache, progress=stop)
    assert engine.embedded == 10
    sorted(cache.rglob("*.npz"))[0].write_bytes(b"half a file")
    whole = extract(photos, engine, cache_dir=cache)
    assert engine.embedded == 10 + 39
    assert np.array_equal(whole.embeddings, extract(photos, Colours()).embeddings)
    assert not list(cache.rglob("tmp*"))


def test_the_face_with_the_largest_box_is_taken(tmp_path: Path) -> None:
    samples = extract(read_manifest(photo_set(tmp_path, people=2), []), Colours())
    with Image.open(tmp_path / "0a.png") as image:
        rgb = np.asarray(image)
    assert np.array_equal(samples.embeddings[0], Colours().embed(rgb, Box((32, 0, 64, 32))))


def test_a_photo_that_changes_during_the_run_stops_it(tmp_path: Path) -> None:
    photos = read_manifest(photo_set(tmp_path), [])
    (tmp_path / "3a.png").write_bytes((tmp_path / "4a.png").read_bytes())
    with pytest.raises(DatasetError, match=r"3a\.png changed while the evaluation ran"):
        extract(photos, Colours())


@pytest.mark.slow
def test_both_halves_of_real_portraits_are_measured(real_faces: Path, tmp_path: Path) -> None:
    """dlib on real portraits: the whole pipeline, and FNMR at FMR 1e-3 over all pairs against plain numpy."""
    from core.faces.engines import load

    manifest = real_faces / "congress" / "photos.csv"
    samples = extract(read_manifest(manifest, ["sex"]), load("dlib"), cache_dir=tmp_path)
    assert samples.extracted.all()
    found = compare(samples.embeddings, list(samples.people), samples.cohorts("sex"))
    threshold = choose_threshold(found, 1e-3, "all")
    scores, impostor = naive(samples.embeddings, list(samples.people))
    upper = np.triu(np.ones_like(impostor), 1).astype(bool)
    assert threshold.pairs == (impostor & upper).sum() == 24_010
    assert threshold.errors == (impostor & upper & (scores >= threshold.value)).sum() <= 24
    result = evaluate(samples, Parameters(axes=("sex",), fixed_threshold=threshold.value))
    missed = int((~impostor & upper & (scores < threshold.value)).sum())
    assert (result.overall.all_fnmr.errors, result.overall.all_fnmr.trials) == (missed, 80)
    assert missed <= 3
    assert result.overall.all_fmr.errors == threshold.errors
