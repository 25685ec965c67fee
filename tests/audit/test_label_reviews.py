"""Reviews of labels: the pairs most alike seen side by side, verdicts that are only added to, and rates with and without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from audit import evaluation_work, label_reviews, reports
from audit.fairness.reproduce import reproduce
from audit.fairness.sets.excluded import read_excluded
from audit.fairness.sets.rows import DatasetError
from audit.models import Evaluation, LabelReview, LabelVerdict
from core import database
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.faces import registry
from tests import kits
from tests.audit import measured
from tests.audit.test_reports import signed_in
from tests.core.log_entries import entries
from tests.people import Cast


@pytest.fixture
def kit() -> kits.Kit:
    return measured.KIT


@pytest.fixture
def evaluation(database: kits.Clone) -> Evaluation:
    return measured.of(database)


def record(evaluation: Evaluation) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(evaluation.folder) / "report.json").read_bytes())
    return content


def first_pair(evaluation: Evaluation) -> label_reviews.Images:
    a, b = record(evaluation)["lookalikes"][0]["images"]
    return min(a, b), max(a, b)


def say(carl: Client, evaluation: Evaluation, images: tuple[int, int], verdict: str) -> Any:
    return carl.post(reverse("report_labels", args=[evaluation.pk]), {f"pair-{images[0]}-{images[1]}": verdict})


def test_each_page_of_photos_is_an_entry_before_a_photo_is_shown(cast: Cast, evaluation: Evaluation) -> None:
    carl, address = signed_in(cast.carl), reverse("report_labels", args=[evaluation.pk])
    page = label_reviews.view(by=cast.carl, evaluation=evaluation, page=1)
    [entry] = entries("evaluation:labels:viewed")
    assert (entry["run"], entry["viewer"], entry["first"]) == (str(evaluation.pk), str(cast.carl.pk), 1)
    assert entry["last"] == len(page.pairs) <= label_reviews.PAGE_SIZE
    assert [pair.score for pair in page.pairs] == sorted((pair.score for pair in page.pairs), reverse=True)
    text = carl.get(address).content.decode()
    assert f"Pairs 1 to {page.last} of {page.total}" in text
    assert len(entries("evaluation:labels:viewed")) == 2
    for side in page.pairs[0].sides:
        assert side.person in text
        assert side.file in text
        shown = carl.get(reverse("report_label_photo", args=[evaluation.pk, side.ticket]))
        assert shown.content.startswith(b"\xff\xd8\xff")
    assert page.pairs[0].sides[0].person != page.pairs[0].sides[1].person
    assert carl.get(address, {"page": "99"}).status_code == 404
    assert len(entries("evaluation:labels:viewed")) == 2


def test_a_photo_is_shown_to_nobody_but_whom_its_page_was_made_for(cast: Cast, evaluation: Evaluation) -> None:
    ticket = label_reviews.view(by=cast.carl, evaluation=evaluation, page=1).pairs[0].sides[0].ticket
    address = reverse("report_label_photo", args=[evaluation.pk, ticket])
    assert signed_in(cast.axel).get(address).status_code == 403
    cast.cora.roles = ["custodian"]
    cast.cora.save()
    assert signed_in(cast.cora).get(address).status_code == 404
    assert signed_in(cast.carl).get(address + "x").status_code == 404
    with pytest.raises(NotAllowed):
        label_reviews.view(by=cast.bea, evaluation=evaluation, page=1)


def test_verdicts_are_added_to_and_the_last_one_holds(cast: Cast, evaluation: Evaluation) -> None:
    carl, images = signed_in(cast.carl), first_pair(evaluation)
    assert say(carl, evaluation, images, "different").status_code == 302
    assert not LabelReview.objects.exists(), "that is what the set says"
    say(carl, evaluation, images, "same")
    say(carl, evaluation, images, "unclear")
    assert [one.verdict for one in LabelReview.objects.order_by("reviewed_at")] == ["same", "unclear"]
    assert label_reviews.verdicts(evaluation)[images] == LabelVerdict.UNCLEAR
    assert label_reviews.wrong(evaluation) == []
    assert [(one["same"], one["unclear"]) for one in entries("evaluation:labels:reviewed")] == [(1, 0), (0, 1)]
    for wrong in ({(0, 10**6): "same"}, {images: "perhaps"}):
        with pytest.raises(Invalid):
            label_reviews.save(by=cast.carl, evaluation=evaluation, verdicts_by_images=wrong)
    with pytest.raises(NotAllowed):
        label_reviews.save(by=cast.axel, evaluation=evaluation, verdicts_by_images={images: "same"})
    for statement in ("UPDATE audit_labelreview SET verdict = 'same'", "DELETE FROM audit_labelreview"):
        with database.connect("app") as own, pytest.raises(psycopg.errors.InsufficientPrivilege):
            own.execute(statement)


def test_measured_again_a_report_has_rates_with_and_without_the_wrong_pairs(cast: Cast, evaluation: Evaluation) -> None:
    with pytest.raises(Conflict):
        label_reviews.measure_again(by=cast.carl, evaluation=evaluation)
    carl, images = signed_in(cast.carl), first_pair(evaluation)
    say(carl, evaluation, images, "same")
    assert carl.post(reverse("report_measure_again", args=[evaluation.pk])).status_code == 302
    again = Evaluation.objects.get(published_at=None)
    assert again.excluded == [list(pair) for pair in label_reviews.wrong(evaluation)]
    assert "without 1 pair whose labels a review found wrong" in again.title
    again = evaluation_work.run_here(again)
    assert entries("evaluation:run:started")[-1]["excluded"] == 1

    before, after = record(evaluation), record(again)
    assert before["overall"]["without_excluded"] is None
    for name in ("fmr", "fnmr", "fte", "det", "scores"):
        assert after["overall"][name] == before["overall"][name], "what is said first is with all labels"
    assert (after["verdict"], after["threshold"]) == (before["verdict"], before["threshold"])
    pairs_of_photos = measured.PHOTOS**2
    fewer = after["overall"]["without_excluded"]["fmr"]
    assert fewer["trials"] == before["overall"]["fmr"]["trials"] - pairs_of_photos
    score, threshold = before["lookalikes"][0]["score"], before["threshold"]["value"]
    assert (fewer["errors"] < before["overall"]["fmr"]["errors"]) == (score >= threshold)

    said = "Without 1 pair whose labels a review found wrong"
    html = (Path(again.folder) / "report.html").read_text(encoding="utf-8")
    assert said[1:] in html
    assert "Pairs whose labels are wrong" not in (Path(evaluation.folder) / "report.html").read_text(encoding="utf-8")
    page = signed_in(cast.axel).get(reverse("report", args=[again.pk])).content.decode()
    assert said in page
    assert f"{fewer['errors']:,} of {fewer['trials']:,}" in page
    assert reports.read(evaluation).labels == ""
    with (Path(again.folder) / "rerun.zip").open("rb") as bundle:
        _, numbers, digest = reproduce(bundle)
    assert numbers
    assert digest == again.report_sha256
    assert "already" in carl.get(reverse("report_labels", args=[again.pk])).content.decode()


def test_measuring_again_loads_no_face_model_in_the_web_process_and_a_worker_refuses_another_one(
    cast: Cast, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(signed_in(cast.carl), evaluation, first_pair(evaluation), "same")
    Evaluation.objects.filter(pk=evaluation.pk).update(face_model="f" * 64)

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("a face model was loaded")

    with monkeypatch.context() as web:
        web.setattr(registry, "engine", load)
        answer = signed_in(cast.carl).post(reverse("report_measure_again", args=[evaluation.pk]))
    assert answer.status_code == 302
    begun = len(entries("evaluation:run:started"))
    again = evaluation_work.run_here(Evaluation.objects.get(published_at=None))
    assert again.state == "failed"
    assert again.problem.startswith("The face model is not the one that this evaluation is of")
    assert again.face_model == "f" * 64
    assert len(entries("evaluation:run:started")) == begun
    assert [one["run"] for one in entries("evaluation:run:failed")] == [str(again.pk)]


def test_pairs_that_a_file_names_are_left_out_by_command_and_counted(
    cast: Cast, database: kits.Clone, tmp_path: Path
) -> None:
    """The same numbers as without, and beside them those without the pairs, computed here from the photos."""
    from audit.fairness.evidence import Parameters
    from audit.fairness.rates import split_people

    photos = measured.manifest()
    rows = [line.split(",") for line in photos.read_text(encoding="utf-8").splitlines()]
    place, cohort_place = rows[0].index("person_id"), rows[0].index("cohort")
    people = [row[place] for row in rows[1:]]
    choosing, reporting = split_people(people, [row[cohort_place] for row in rows[1:]], Parameters().seed)
    reported, unused = sorted(reporting), sorted(choosing)
    named = [(reported[0], reported[1]), (reported[3], reported[2]), (unused[0], unused[1]), (unused[0], reported[0])]
    path = tmp_path / "wrong.csv"
    path.write_text("person_a,person_b\n" + "".join(f"{a},{b}\n" for a, b in named), encoding="utf-8")
    call_command(
        "evaluate", manifest=photos, cohorts="cohort", acting="carl", out=tmp_path / "out",
        acceptance_policy="demo", target_fmr=0.01, exclude=path, generated_people=True, label_source="assigned",
    )  # fmt: skip
    found = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert found["parameters"]["excluded_pairs"] == 4
    assert found["overall"]["excluded_pairs"] == 2, "only pairs within the half that is reported on are in its rates"
    with_all, without = found["overall"]["fmr"], found["overall"]["without_excluded"]["fmr"]
    assert with_all["trials"] - without["trials"] == 2 * measured.PHOTOS**2
    assert without["errors"] <= with_all["errors"]
    assert entries("evaluation:run:started")[-1]["excluded"] == 4
    with (tmp_path / "out" / "rerun.zip").open("rb") as bundle:
        assert reproduce(bundle)[1] > 100


def test_without_the_measured_photos_a_page_says_so_and_shows_none(cast: Cast, evaluation: Evaluation) -> None:
    ticket = label_reviews.view(by=cast.carl, evaluation=evaluation, page=1).pairs[0].sides[0].ticket
    carl, address = signed_in(cast.carl), reverse("report_labels", args=[evaluation.pk])
    shown = len(entries("evaluation:labels:viewed"))

    def refused(words: str) -> None:
        answer = carl.get(address)
        assert answer.status_code == 404
        assert words in answer.content.decode()
        assert len(entries("evaluation:labels:viewed")) == shown

    evaluation.kind = Evaluation.Kind.EMBEDDINGS
    evaluation.save()
    refused("made of embeddings")
    evaluation.kind, evaluation.manifest = Evaluation.Kind.PHOTOS, "/nowhere/manifest.csv"
    evaluation.save()
    refused("There are no photos to look at")
    assert carl.get(reverse("report_label_photo", args=[evaluation.pk, ticket])).status_code == 404


def test_a_photo_whose_file_was_changed_since_is_not_shown(cast: Cast, evaluation: Evaluation, tmp_path: Path) -> None:
    shutil.copytree(Path(evaluation.manifest).parent, tmp_path, dirs_exist_ok=True)
    evaluation.manifest = str(tmp_path / Path(evaluation.manifest).name)
    evaluation.save()
    one, other = label_reviews.view(by=cast.carl, evaluation=evaluation, page=1).pairs[0].sides
    (tmp_path / one.file).write_bytes((tmp_path / other.file).read_bytes())
    with pytest.raises(NotFound, match="changed"):
        label_reviews.photo(by=cast.carl, evaluation=evaluation, ticket=one.ticket)
    assert label_reviews.photo(by=cast.carl, evaluation=evaluation, ticket=other.ticket)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\np1,p2\n", "person_a"),
        ("person_a,person_b\np1,\n", "Line 2"),
        ("person_a,person_b\np1,p1\n", "names p1 twice"),
    ],
)
def test_a_file_of_pairs_that_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_excluded(path)


def test_the_command_refuses_pairs_of_people_who_are_not_in_the_set(cast: Cast, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("person_a,person_b\nnobody-1,nobody-2\n")
    with pytest.raises(CommandError, match='nobody called "nobody-1"'):
        call_command(
            "evaluate", manifest=measured.manifest(), cohorts="cohort", out=tmp_path / "out", acting="carl",
            acceptance_policy="demo", target_fmr=0.01, exclude=path,
        )  # fmt: skip
