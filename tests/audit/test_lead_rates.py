"""The page, the table and the API about how often leads were wrong: from recorded outcomes, and each reading an entry."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.fairness.operational import LeadTruth
from core import keystore
from core.exceptions import NotAllowed
from search import leads, outcomes, reviews
from search.outcome_rules import OutcomeFields
from tests import kits
from tests.api_client import Api
from tests.core.log_entries import entries
from tests.search.reviewing import decided
from tests.search.stage import Stage, running_log


@pytest.fixture
def kit() -> kits.Kit:
    return kits.STAGE


@pytest.fixture
def stage(database: kits.Clone, settings: Any) -> Iterator[Stage]:
    found: Stage = database.made["stage"]
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        yield found


def many(wrong: int, right: int, **fields: Any) -> list[LeadTruth]:
    return [
        LeadTruth(str(uuid.uuid4()), "robbery", "f" * 64, "wrong_person" if n < wrong else "same_person", {}, **fields)
        for n in range(wrong + right)
    ]


def test_a_lead_counts_by_its_last_record_and_keeps_no_cohort_after_erasure(stage: Stage) -> None:
    cast = stage.cast
    request = stage.done()
    decided(cast.erin, request)
    decided(cast.ed, request)
    [lead] = leads.release(by=cast.sam, request=request, templates=reviews.agreed(request))
    assert [one.truth for one in outcomes.truths()] == ["not_known"]
    for truth in ("same_person", "wrong_person"):
        fields = OutcomeFields(truth=truth, procedure="ongoing", evidence=("physical",))
        outcomes.record(by=cast.olivia, lead=lead, fields=fields)
    [counted] = outcomes.truths()
    assert (counted.truth, counted.offence, counted.case) == ("wrong_person", "robbery", str(request.case_id))
    keystore.destroy(request.pk)
    assert [one.cohorts for one in outcomes.truths()] == [{}]


def test_each_way_to_read_is_an_entry(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    cast = stage.cast
    client = Client()
    client.force_login(cast.axel)
    page = client.get(reverse("lead_rates")).content.decode()
    assert "not shown" in page
    monkeypatch.setattr(outcomes, "truths", lambda: many(3, 17))
    page = client.get(reverse("lead_rates")).content.decode()
    assert "3 of 20 leads of which it is known were another person" in page
    assert "Robbery" in page
    assert "FDR" not in page
    table = list(csv.DictReader(io.StringIO(client.get(reverse("lead_rates_table")).content.decode())))
    assert (table[0]["wrong"], table[0]["known"]) == ("3", "20")
    assert Api().as_(cast.bea).get("/lead-rates/")["total"]["rate"] == 0.15
    said = entries("search:rates:viewed")
    assert [(one["file"], one["leads"]) for one in said] == [("page", 0), ("page", 20), ("csv", 20), ("api", 20)]


def test_others_do_not_read_them(stage: Stage) -> None:
    from audit.oversight import lead_rates

    for person in (stage.cast.sam, stage.cast.olivia, stage.cast.ada):
        with pytest.raises(NotAllowed):
            lead_rates.read(person, "page")
    assert entries("search:rates:viewed") == []
