"""Enrolments, thresholds and what was measured, through the web."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from audit import evaluation_work, evaluations
from core import database, jobs
from core.models import Job, User
from search import measured
from search.gate import client as gate
from search.models import SearchRequest
from search.views.limits import MEANINGS
from tests.people import Cast
from tests.search.shelf import Shelf, draw, write_manifest
from tests.search.stage import Stage


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_enrolment_shows_its_progress_and_every_photo_that_was_left_out(shelf: Shelf) -> None:
    draw(shelf.folder / "nobody.png", 500, faces=0)
    draw(shelf.folder / "somebody.png", 501)
    manifest = write_manifest(
        shelf.folder,
        [{"person_id": "B-first", "file": "somebody.png"}, {"person_id": "B-second", "file": "nobody.png"}],
    )
    enrolment = shelf.start(manifest)
    custodian = signed_in(shelf.cast.carl)
    address, progress = (reverse(name, args=[enrolment.pk]) for name in ("enrolment", "enrolment_progress"))
    waiting = custodian.get(address).content.decode()
    assert "Waiting for a worker" in waiting
    assert 'http-equiv="refresh"' in waiting
    assert "HX-Refresh" not in custodian.get(progress)
    assert jobs.run(Job.objects.get(kind="enrolment", subject=enrolment.pk).pk) == "done"
    assert custodian.get(progress)["HX-Refresh"] == "true"
    page = custodian.get(address).content.decode()
    assert "1 of 2" in page
    assert "nobody.png" in page
    assert "Sealed as version 1" in page
    # Others see how many were left out, not who.
    other = signed_in(shelf.cast.sam).get(address).content.decode()
    assert "B-second" not in other
    assert "No face: 1" in other
    assert signed_in(shelf.cast.xavier).get(address).status_code == 404


@pytest.mark.slow
def test_a_threshold_is_adopted_by_two_people_and_said_beside_the_candidates(
    stage: Stage, searched: SearchRequest, log_at_work: None, portraits: Callable[..., Path]
) -> None:
    cast = stage.cast
    request = searched
    assert measured.of(request) is None
    evaluation = evaluations.start(
        by=cast.carl,
        manifest=portraits(16, 2),
        cohorts=("cohort",),
        acceptance_policy="demo",
        target_fmr=0.2,
        generated_people=True,
        label_source="assigned",
    )
    evaluation_work.run_here(evaluation)
    client = signed_in(cast.ada)
    page = client.get(reverse("limits")).content.decode()
    assert "Cannot be shown" in page
    assert "Generated people: says nothing about real ones" in page
    prefix = f"adopt-{evaluation.pk}"
    form = {
        f"{prefix}-approver_1": str(cast.sam.pk),
        f"{prefix}-secret_1": cast.secrets[cast.sam.id],
        f"{prefix}-approver_2": str(cast.sue.pk),
        f"{prefix}-secret_2": cast.secrets[cast.sue.id],
    }
    address = reverse("evaluation_adopt", args=[evaluation.pk])
    alone = client.post(address, form | {f"{prefix}-approver_2": str(cast.sam.pk)})
    assert alone.status_code == 422
    assert "two different people" in alone.content.decode()
    assert client.post(address, form).status_code == 302
    evaluation.refresh_from_db()
    assert evaluation.adopted_at is not None
    assert evaluation.threshold is not None
    request.threshold = max(evaluation.threshold, request.threshold or 0)
    found = measured.of(request)
    assert found is not None
    assert found.rate.startswith("1 in")
    assert "interval" in found.interval
    assert {one.name for one in found.cohorts}
    assert "says nothing about real ones" in found.watermark
    assert found.searches == "", "without a gallery there is nothing to predict"
    small, large = measured.of(request, 2), measured.of(request, 10_000_000)
    assert small is not None
    assert "photos" in small.seen
    assert large is not None
    assert "1 in" in small.searches
    assert "every search" in large.searches
    assert all(one.searches for one in large.cohorts)
    request.threshold = evaluation.threshold - 1
    assert measured.of(request) is None


def test_every_limit_of_the_gate_is_explained_on_its_page(cast: Cast) -> None:
    limits = gate.settings(database.session())
    assert limits
    assert sorted(MEANINGS) == sorted(limits)
    page = html.unescape(signed_in(cast.ada).get(reverse("limits")).content.decode())
    assert [meaning for meaning in MEANINGS.values() if meaning not in page] == []
