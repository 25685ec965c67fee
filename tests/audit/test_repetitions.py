"""Adopted evaluations are done again every month, and what has changed becomes a finding."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from audit import evaluation_work, findings, repetitions
from audit.models import Evaluation, Finding, FindingKind
from tests import kits
from tests.audit import measured
from tests.core.log_entries import entries


@pytest.fixture
def kit() -> kits.Kit:
    return measured.KIT


@pytest.fixture
def adopted(database: kits.Clone, tmp_path: Path) -> Evaluation:
    """An evaluation that was adopted and is a month old; its photos may be changed."""
    evaluation = measured.of(database)
    mine = tmp_path / Path(evaluation.manifest).parent.name
    shutil.copytree(Path(evaluation.manifest).parent, mine)
    then = timezone.now() - timedelta(days=31)
    evaluation.manifest = str(mine / Path(evaluation.manifest).name)
    evaluation.adopted_at = evaluation.started_at = evaluation.published_at = then
    evaluation.save()
    return evaluation


def repeated(original: Evaluation) -> tuple[Evaluation, str]:
    assert repetitions.start_due() == 1
    repetition = evaluation_work.run_here(original.repetitions.get())
    return repetition, repetition.state


def test_an_unchanged_repetition_gives_the_same_record_and_no_finding(adopted: Evaluation) -> None:
    repetition, state = repeated(adopted)
    assert state == "published"
    repetition.refresh_from_db()
    assert repetition.report_sha256 == adopted.report_sha256
    assert not Finding.objects.exists()
    assert entries("evaluation:run:started")[-1]["repeats"] == str(adopted.pk)
    assert repetitions.start_due() == 0, "once a month"


def test_nothing_is_repeated_before_a_month_or_without_adoption(adopted: Evaluation) -> None:
    Evaluation.objects.filter(pk=adopted.pk).update(started_at=timezone.now() - timedelta(days=29))
    assert repetitions.due() == []
    Evaluation.objects.filter(pk=adopted.pk).update(started_at=timezone.now() - timedelta(days=31), adopted_at=None)
    assert repetitions.due() == []


def test_a_rate_outside_the_adopted_interval_opens_a_finding(adopted: Evaluation) -> None:
    # What was adopted then is made better than what will be measured now, in record and row alike.
    path = Path(adopted.folder) / "report.json"
    record = json.loads(path.read_bytes())
    fnmr = record["overall"]["fnmr"]
    fnmr |= {"rate": 0.9, "errors": fnmr["trials"], "interval": {**fnmr["interval"], "low": 0.8, "high": 0.95}}
    path.write_text(json.dumps(record))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    Evaluation.objects.filter(pk=adopted.pk).update(report_sha256=digest)
    repetition, state = repeated(adopted)
    assert state == "published"
    finding = Finding.objects.get()
    assert (finding.kind, finding.evaluation, finding.opened_by) == (FindingKind.SHIFT, repetition, None)
    text, _ = findings.words(finding)
    assert "Everybody together" in text
    assert "FNMR" in text
    [entry] = entries("oversight:finding:opened")
    assert (entry["kind"], entry["run"]) == ("shift", str(repetition.pk))
    assert "actor" not in entry


def test_photos_that_are_gone_open_a_finding(adopted: Evaluation) -> None:
    Path(adopted.manifest).unlink()
    assert repetitions.start_due() == 0
    assert Finding.objects.get().kind == FindingKind.NOT_REPEATED
    assert repetitions.start_due() == 0
    assert Finding.objects.count() == 1, "said once a month, not every hour"


def test_a_repetition_whose_work_fails_opens_a_finding(adopted: Evaluation) -> None:
    manifest = Path(adopted.manifest)
    manifest.write_text("person_id,file\n")
    _, state = repeated(adopted)
    assert state == "failed"
    assert Finding.objects.get().kind == FindingKind.NOT_REPEATED
