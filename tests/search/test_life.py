"""A search from draft to candidates, with the real face model, gate and log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.log import verifier_keys
from audit.log.proof import Receipt
from core import keystore
from search import readings, requests, sealed
from search.steps import Progress, steps
from tests.search.stage import PEOPLE, Stage

Entries = Callable[..., list[dict[str, Any]]]


def test_a_justified_search_finds_the_enrolled_person_and_leaves_its_receipts(
    stage: Stage, log_at_work: None, entries: Entries
) -> None:
    request = stage.done(PEOPLE[1])

    reading = readings.open_candidates(by=stage.cast.erin, request=request)
    assert reading.candidates[0].template == stage.templates[PEOPLE[1]]
    assert reading.candidates[0].rank == 1
    assert reading.candidates[0].photo is not None
    assert reading.candidates[0].photo.person_ref == f"G{PEOPLE[1]:04d}"
    assert reading.candidates[0].score_milli >= 900
    photo = readings.photo(by=stage.cast.erin, view=reading.view, template=reading.candidates[0].template)
    assert photo.startswith(b"\xff\xd8\xff")
    crop = readings.crop(by=stage.cast.erin, view=reading.view, template=reading.candidates[0].template)
    assert crop.startswith(b"\x89PNG")
    assert sealed.read_file(request, sealed.crop_path(request)).startswith(b"\x89PNG")

    files = readings.receipts(by=stage.cast.olivia, request=request)
    assert [file.kind for file in files] == ["intent", "bound", "result"]
    for file in files:
        Receipt.parse(file.receipt).verify(file.body, verifier_keys.published())
    for type_ in ("submitted", "approved"):
        assert len(entries(f"search:request:{type_}", request=request.id)) == 1
    [view] = entries("search:candidates:viewed", request=request.id)
    assert view["viewer"] == str(stage.cast.erin.id)
    with pytest.raises(keystore.KeyMissing):
        keystore.get(requests.claim_record(request.id))
    path = steps(request)
    assert [step.code for step in path] == ["requested", "approved", "intent", "receipt", "bound", "searched", "result"]
    assert {step.state for step in path} == {Progress.DONE}
    assert [step.at for step in path] == sorted(step.at for step in path if step.at)
