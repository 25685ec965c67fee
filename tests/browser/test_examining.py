"""An examiner at the keyboard: the comparator's keys stay out of the form, and a decision needs nothing but keys."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from search.models import ReviewDecision
from tests.browser.conftest import DESKTOP, Tab
from tests.browser.world import World


def test_arrows_choose_inside_the_form_and_a_decision_is_recorded(tab: Tab, world: World) -> None:
    request = world.searches["done"]
    page: Any = tab(world.cast.erin, DESKTOP)
    page.goto(reverse("candidates", args=[request.pk]))
    with page.expect_navigation():
        page.get_by_role("button", name="Open the candidates").click()
    first = page.locator(".finding").first
    first.locator("input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    assert first.locator("input[value=support_different]").is_checked()
    page.keyboard.press("z")
    assert page.locator("img[style*=scale]").count() == 0
    for finding in page.locator(".finding").all():
        finding.locator("input[value=inconclusive]").check()
        finding.locator("summary").click()
        finding.get_by_label("Blur").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Record my decision").click()
    assert "Your decision is in the log" in page.locator("main").inner_text()
    assert ReviewDecision.objects.filter(request=request, examiner=world.cast.erin).count() == 1
