"""A review of labels in a browser, by keyboard alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from django.urls import reverse

from audit import label_reviews
from audit.models import LabelReview
from tests import kits
from tests.audit import measured
from tests.browser.conftest import DESKTOP, PHONE, Tab
from tests.browser.test_every_page import SHOTS, violations
from tests.people import Cast


@pytest.fixture
def kit() -> kits.Kit:
    return measured.KIT


@pytest.mark.parametrize(("size", "viewport"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_a_custodian_says_at_the_keyboard_that_two_photos_are_one_person(
    cast: Cast, database: kits.Clone, tab: Tab, size: str, viewport: dict[str, int]
) -> None:
    evaluation = measured.of(database)
    page = tab(cast.carl, viewport)
    page.goto(reverse("report_labels", args=[evaluation.pk]))
    page.locator("#answer-1-different").focus()
    page.keyboard.press("ArrowDown")
    until = time.monotonic() + 20
    # Not by wait_for_function: where it has to wait it evaluates text inside the page, which the page's policy forbids.
    while not page.evaluate("[...document.images].slice(0, 2).every(one => one.complete && one.naturalWidth > 0)"):
        assert time.monotonic() < until, "the two photos do not load"
        time.sleep(0.05)
    assert violations(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"labels-{size}.png", full_page=True)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert [one.verdict for one in LabelReview.objects.all()] == ["same"]
    assert len(label_reviews.wrong(evaluation)) == 1
    assert page.get_by_role("button", name="Start this evaluation").is_visible()
    assert page.complaints == []
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"labels-saved-{size}.png", full_page=True)
