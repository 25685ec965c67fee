"""Attacks on review, leads and disclosure that succeeded once; the names say what was possible."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from core.exceptions import NotAllowed
from search import disclosures, readings, reviews
from search.disclosures import DisclosureFields
from search.models import SearchRequest
from tests.search.reviewing import decided, opened, same
from tests.search.stage import Stage
from tests.search.test_reviews import with_roles

pytestmark = pytest.mark.usefixtures("log_at_work")
COURT = DisclosureFields(recipient="The court", reason="Discovery in 26-CR-118.")


def test_a_supervisor_who_examines_as_well_does_not_take_ranks_and_scores_out_of_a_disclosure(
    stage: Stage, searched: SearchRequest
) -> None:
    """Two roles in one person: the disclosure had the whole list with scores, and the blind reading came afterwards."""
    cast, request = stage.cast, searched
    both = with_roles(cast.sue, "examiner")
    decided(cast.erin, request)
    with zipfile.ZipFile(io.BytesIO(disclosures.make(by=both, request=request, fields=COURT).content)) as bundle:
        told = json.loads(bundle.read("candidates.json"))["candidates"]
    assert told
    reading = opened(both, request)
    assert reading.blind
    findings = [same(row.template) for row in reading.candidates]
    with pytest.raises(NotAllowed, match="You disclosed this search"):
        reviews.decide(by=both, request=request, view=reading.view, findings=findings)
    assert not reviews.queue(both).exists()
    assert [one.pk for one in reviews.queue(cast.ed)] == [request.pk]


def test_an_examiner_who_only_kept_a_receipt_is_not_named(stage: Stage, searched: SearchRequest) -> None:
    cast, request = stage.cast, searched
    decided(cast.erin, request)
    decided(cast.ed, request)
    third = with_roles(cast.carl, "examiner")
    readings.download_receipt(by=third, request=request, kind="intent")
    with zipfile.ZipFile(io.BytesIO(disclosures.make(by=cast.sam, request=request, fields=COURT).content)) as bundle:
        people = json.loads(bundle.read("people.json"))
    assert people[str(third.pk)] == "another examiner"
    assert people[str(cast.sam.pk)] == str(cast.sam)
