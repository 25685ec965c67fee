"""Requesting a search in a browser: by keyboard alone, without JavaScript, and while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from search.models import SearchRequest
from tests import kits
from tests.browser.conftest import DESKTOP, PHONE, Tab
from tests.browser.world import several_faces
from tests.search.stage import NUMBER, STORY, Stage


@pytest.fixture
def stage(database: kits.Clone, log_at_work: None) -> Stage:
    """An agency that can search."""
    found: Stage = database.made["stage"]
    return found


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo with three people, as a file."""
    file = tmp_path / "probe.jpg"
    file.write_bytes(several_faces())
    return file


def focused(page: Any) -> str:
    """Id of the control that has the focus, or its name and value."""
    return str(page.evaluate("(e => e.id || (e.name ? e.name + '=' + e.value : e.tagName))(document.activeElement)"))


def tab_to(page: Any, wanted: str) -> None:
    """Presses Tab until `wanted` has the focus, which is visible all the way."""
    for _ in range(80):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        card = page.evaluate("!!document.activeElement.closest('.face')")
        assert outline != "none" or card, f"the focus on {focused(page)} cannot be seen"
        if focused(page) == wanted:
            return
    raise AssertionError(f"Tab never reaches {wanted}")


def test_a_search_is_requested_by_keyboard_alone(tab: Tab, stage: Stage, photo: Path) -> None:
    page = tab(stage.cast.olivia, DESKTOP)
    page.goto(reverse("search_new"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    # In the order of the page, nothing left out.
    tab_to(page, "id_case_number")
    page.keyboard.type(NUMBER)
    for field, letters in (("offence", "Robb"), ("purpose", "Identify a s"), ("legal_basis", "Probable")):
        tab_to(page, f"id_{field}")
        page.keyboard.type(letters)
    tab_to(page, "id_justification")
    page.keyboard.type(STORY)
    assert page.locator("#justification-count").inner_text() == f"{len(STORY)} characters"
    tab_to(page, "id_probe")
    page.set_input_files("#id_probe", photo)
    tab_to(page, "do=save")
    page.keyboard.press("Enter")
    page.wait_for_url("**/edit/#photo")
    draft = SearchRequest.objects.get()
    stage.checked(draft)
    # The page sees by itself that the photo has been checked.
    page.locator("#id_chosen_face_1").wait_for()
    tab_to(page, "id_chosen_face_1")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "id_chosen_face_2"
    tab_to(page, "id_probe_kind")
    page.keyboard.type("Photo")
    tab_to(page, "id_gallery")
    page.keyboard.type("book")
    tab_to(page, "do=submit")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{reverse('search', args=[draft.pk])}")
    draft.refresh_from_db()
    assert (draft.state, draft.chosen_face) == ("awaiting_approval", 2)
    assert page.complaints == []


def test_what_is_wrong_takes_the_focus_and_leads_to_its_field(tab: Tab, stage: Stage) -> None:
    page = tab(stage.cast.olivia, PHONE)
    page.goto(reverse("search_new"))
    page.fill("#id_justification", STORY)
    page.get_by_role("button", name="Request this search").click()
    page.locator(".summary").wait_for()
    assert page.evaluate("document.activeElement.classList.contains('summary')")
    assert page.input_value("#id_justification") == STORY
    page.get_by_role("link", name="Choose the purpose").click()
    assert focused(page) == "id_purpose"
    described = page.get_attribute("#id_purpose", "aria-describedby").split()
    assert "Choose the purpose" in page.locator(f"#{described[-1]}").inner_text()


def test_enter_in_a_field_saves_and_asks_no_rule(tab: Tab, stage: Stage) -> None:
    page = tab(stage.cast.olivia)
    page.goto(reverse("search_new"))
    page.fill("#id_case_number", NUMBER)
    with page.expect_navigation():
        page.press("#id_case_number", "Enter")
    assert "Draft saved" in page.locator(".messages").inner_text()
    assert page.input_value("#id_case_number") == NUMBER


def test_the_form_shows_what_the_law_asks_as_one_chooses(tab: Tab, stage: Stage) -> None:
    page = tab(stage.cast.olivia)
    page.goto(reverse("search_new"))
    assert "Choose a purpose" in page.locator("#law_purpose").inner_text()
    page.select_option("#id_purpose", "imminent_threat")
    page.locator("#law", has_text="A life or the public's safety").wait_for()
    assert page.locator("#law_purpose").is_hidden()
    page.check("#id_emergency")
    page.locator("#law_emergency", has_text="within 24 hours").wait_for()
    assert "Utah Code 77-23e-103(2)(b)(iii)" in page.locator("#law_justification").inner_text()
    assert page.complaints == []


def test_everything_works_without_javascript(tab: Tab, stage: Stage, photo: Path) -> None:
    page = tab(stage.cast.olivia, PHONE, java_script_enabled=False)
    page.goto(reverse("search_new"))
    page.fill("#id_case_number", NUMBER)
    for field, value in (("offence", "robbery"), ("purpose", "identify_suspect"), ("legal_basis", "probable_cause")):
        page.select_option(f"#id_{field}", value)
    page.fill("#id_justification", STORY)
    page.select_option("#id_probe_kind", "photo")
    page.select_option("#id_gallery", str(stage.gallery.pk))
    page.set_input_files("#id_probe", photo)
    page.get_by_role("button", name="Save draft and check the photo").click()
    draft = SearchRequest.objects.get()
    page.get_by_role("button", name="Save and look again").wait_for()
    stage.checked(draft)
    page.get_by_role("button", name="Save and look again").click()
    page.check("#id_chosen_face_3")
    page.get_by_role("button", name="Request this search").click()
    assert page.url.endswith(reverse("search", args=[draft.pk]))
    draft.refresh_from_db()
    assert (draft.state, draft.chosen_face) == ("awaiting_approval", 3)
    approver = tab(stage.cast.sam, PHONE, java_script_enabled=False)
    approver.goto(reverse("approval", args=[draft.pk]))
    approver.fill("#id_secret", stage.cast.secrets[stage.cast.sam.id])
    approver.get_by_role("button", name="Approve this search").click()
    draft.refresh_from_db()
    assert draft.state == "ready"


def test_the_page_of_a_running_search_moves_by_itself(tab: Tab, stage: Stage) -> None:
    request = stage.approved()
    page = tab(stage.cast.olivia)
    page.goto(reverse("search", args=[request.pk]))
    assert "Waiting for a worker" in page.locator("#path").inner_text()
    stage.run(request)
    page.locator(".lede", has_text="Result logged").wait_for()
    page.get_by_role("link", name="Download receipt").first.wait_for()
    assert page.complaints == []


def test_candidates_are_compared_by_keyboard(tab: Tab, stage: Stage) -> None:
    request = stage.done()
    page = tab(stage.cast.erin)
    page.goto(reverse("candidates", args=[request.pk]))
    page.get_by_role("button", name="Open the candidates").click()
    first = page.locator("#candidate-1")
    first.wait_for()
    images = page.locator(".comparator img:not([loading=lazy])")
    for number in range(images.count()):
        assert images.nth(number).evaluate("i => i.decode().then(() => i.naturalWidth)") > 50
    # Outside of a candidate the letters do nothing.
    page.keyboard.press("z")
    assert first.locator("[data-candidate]").evaluate("i => i.style.transform") == ""
    first.focus()
    page.keyboard.press("z")
    page.keyboard.press("r")
    for image in ("[data-candidate]", ".frame >> nth=0 >> img"):
        assert first.locator(image).evaluate("i => i.style.transform") == "scale(2) rotate(5deg)"
    page.keyboard.press("o")
    assert first.locator(".over").count() == 1
    assert first.locator("[data-do=overlay]").get_attribute("aria-pressed") == "true"
    if page.locator("#candidate-2").count():
        page.keyboard.press("ArrowRight")
        assert focused(page) == "candidate-2"
        page.keyboard.press("ArrowLeft")
        assert focused(page) == "candidate-1"
    assert page.complaints == []


def test_signing_in_with_name_and_password(tab: Tab, stage: Stage) -> None:
    from tests.people import PASSWORD

    page = tab(None, PHONE)
    page.goto(reverse("cases"))
    assert "Sign in" in page.locator("h1").inner_text()
    page.fill("#id_login", "olivia")
    page.fill("#id_password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{reverse('cases')}")
    page.get_by_role("button", name="Sign out").click()
    page.goto(reverse("cases"))
    assert "Sign in" in page.locator("h1").inner_text()
