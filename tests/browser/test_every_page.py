"""Every page, in a browser, wide and light, narrow and dark: it opens, nothing complains, axe finds nothing, nothing runs over the edge.

With SCREENSHOTS_OF_PAGES=DIRECTORY each page is also photographed there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Tab
from tests.browser.visits import VISITS, Visit
from tests.browser.world import World

STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SHOTS = os.environ.get("SCREENSHOTS_OF_PAGES", "")


def visit(page: Any, world: World, one: Visit) -> None:
    """Opens the page of a visit and checks its status and heading."""
    page.complaints.clear()
    answer = page.goto(one.path(world))
    if one.act:
        with page.expect_navigation() as navigated:
            page.get_by_role("button", name=one.act).first.click()
        answer = navigated.value
    assert answer.status == one.status, f"{one.name}: {answer.status}"
    assert one.heading in page.locator("h1").inner_text(), one.name


def violations(page: Any) -> list[str]:
    """What axe-core finds, a line for each."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": STANDARDS}}).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "viewport", "scheme"), [("desktop", DESKTOP, "light"), ("phone", PHONE, "dark")])
def test_every_page_opens_reads_and_fits(
    tab: Tab, world: World, size: str, viewport: dict[str, int], scheme: str
) -> None:
    wrong: dict[str, list[str]] = {}
    pages: dict[Any, Any] = {}  # one for each person: signing in again and again takes longer than looking
    for one in VISITS:
        who = one.who(world)
        if who not in pages:
            pages[who] = tab(who, viewport, color_scheme=scheme)
        page = pages[who]
        visit(page, world, one)
        found = violations(page)
        # A refusal is an answer like any other; only its status is told on the console.
        found += [said for said in page.complaints if f"status of {one.status}" not in said]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append("runs over the edge")
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{one.name}-{size}.png", full_page=True)
        if found:
            wrong[one.name] = found
    assert wrong == {}
