"""Searches in two stages as people meet them: codes are built by workers or by command, and every place says how a search was run."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pgvector import HalfVector

from core import database, jobs
from search import codes, disclosures, galleries, methods, readings
from search.gate import client
from search.models import SearchRequest
from search.tasks import build_codes
from tests.api_client import Api
from tests.enforcement.world import digest, unit
from tests.search.stage import Stage
from tests.search.test_disclosures import DEFENCE

Entries = Callable[..., list[dict[str, Any]]]
OTHERS = 500
CHANCE = "at most 1 in 1,000,000"


def crowded(stage: Stage) -> int:
    """Fills the gallery with vectors that are like nobody, so that the three people are less than one in a hundred of it."""
    own = database.session()
    edition = galleries.current_edition(stage.gallery)
    assert edition is not None
    rng = np.random.default_rng(4)
    rows = [(uuid.uuid4(), uuid.uuid4(), unit(row)) for row in rng.standard_normal((OTHERS, edition.dimension))]
    secret = secrets.token_bytes(32)
    batch = client.open_batch(own, edition.edition, hashlib.sha256(secret).digest())
    statement = "COPY gallery.template (edition, batch, template, person, embedding) FROM STDIN"
    with own.cursor() as cursor, cursor.copy(statement) as copy:
        for template, person, vector in rows:
            copy.write_row((edition.edition, batch, template, person, HalfVector(vector).to_text()))
    client.seal_batch(own, edition=edition.edition, batch=batch, secret=secret, templates=OTHERS, digest=digest(rows))
    return edition.edition


@pytest.fixture
def two_stage(stage: Stage, log_at_work: None) -> SearchRequest:
    """A finished search in two stages that found the person on the photo."""
    crowded(stage)
    stage.set_policy("two_stage_from", 100)
    call_command("build_codes", stage.gallery.name, stdout=io.StringIO(), verbosity=0)
    return stage.done()


def test_pages_answers_and_files_say_that_a_search_was_run_in_two_stages(
    stage: Stage, two_stage: SearchRequest, entries: Entries
) -> None:
    [entry] = entries("search:result:stored", request=two_stage.id)
    assert (entry["method"], entry["loss_one_in"]) == ("two_stage", 1_000_000)
    officer, examiner = Client(), Client()
    officer.force_login(stage.cast.olivia)
    examiner.force_login(stage.cast.erin)
    assert CHANCE in officer.get(reverse("search", args=[two_stage.pk])).content.decode()
    read = examiner.post(reverse("candidates", args=[two_stage.pk])).content.decode()
    assert "Candidate 1 of" in read
    assert CHANCE in read
    said = Api().as_(stage.cast.olivia)("GET", f"/requests/{two_stage.pk}/").json()
    assert CHANCE in next(one["sentence"] for one in said["steps"] if one["code"] == "searched")
    bundle = disclosures.make(by=stage.cast.sam, request=two_stage, fields=DEFENCE).content
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert CHANCE in json.loads(archive.read("request.json"))["method"]
        assert CHANCE in archive.read("README.txt").decode()
    out = io.StringIO()
    call_command("search", f"--resume={two_stage.pk}", "--as=olivia", stdout=out)
    assert CHANCE in json.loads(out.getvalue().splitlines()[-1])["method"]
    sam = stage.cast.sam
    again = readings.replay(by=sam, request=two_stage, approver=sam, secret=stage.cast.secrets[sam.id])
    assert (again.comparison, again.lost) == ("same", 0)


def test_an_exact_search_says_that_it_was_exact(stage: Stage, log_at_work: None) -> None:
    request = stage.done()
    officer = Client()
    officer.force_login(stage.cast.olivia)
    page = officer.get(reverse("search", args=[request.pk])).content.decode()
    assert "none at or above the threshold could be missed" in page
    assert "two stages" not in page
    sam = stage.cast.sam
    assert readings.replay(by=sam, request=request, approver=sam, secret=stage.cast.secrets[sam.id]).lost is None


def test_workers_build_the_codes_that_are_wanted_and_only_those(stage: Stage, entries: Entries) -> None:
    build_codes()
    assert codes.wanted() == []
    stage.set_policy("two_stage_from", 4)
    assert codes.wanted() == [], "the gallery is too small for two stages"
    stage.set_policy("two_stage_from", 3)
    [job] = codes.queue()
    assert [one.id for one in codes.queue()] == [job.id], "one job a gallery"
    assert jobs.run(job.id) == "done"
    assert codes.wanted() == []
    assert [one["templates"] for one in entries("gallery:codes:built")] == [3]
    crowded(stage)
    [job] = codes.queue()
    assert jobs.run(job.id) == "done"
    job.refresh_from_db()
    assert (job.stage, job.done) == ("coding", job.total)
    assert [one["templates"] for one in entries("gallery:codes:built")] == [3, 3 + OTHERS]


def test_the_command_names_a_gallery_and_an_edition_that_are_there(stage: Stage) -> None:
    for arguments in (["nowhere"], [stage.gallery.name, "--edition=99"]):
        with pytest.raises(CommandError, match="no"):
            call_command("build_codes", *arguments)


EXACT, LOSSY = methods.Method("main", 3), methods.Method("north", 1, 371, 1_000_000)


@pytest.mark.parametrize(
    ("used", "said"),
    [
        ([], ""),
        ([EXACT], "Every photo was compared exactly: none at or above the threshold could be missed."),
        (
            [LOSSY],
            "Searched in two stages, the first by codes: it could miss a photo exactly at the threshold with a chance of at "
            "most 1 in 1,000,000, and a better match with a smaller one.",
        ),
        (
            [EXACT, LOSSY, methods.Method("south", 1, 370, 10_000)],
            "Searched in two stages on the servers north and south, the first by codes: it could miss a photo there exactly "
            "at the threshold with a chance of at most 1 in 10,000, and a better match with a smaller one. On the server "
            "main every photo was compared exactly.",
        ),
    ],
)
def test_the_sentence_follows_the_servers(used: list[methods.Method], said: str) -> None:
    assert methods.sentence(used) == said
    assert methods.of([]) == ""
