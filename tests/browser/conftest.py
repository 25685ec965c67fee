"""The product in a real browser: a web server in this process on the test's own database, and Debian's Chromium."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.test import Client

from core.models import User
from tests import kits
from tests.browser.world import World
from tests.search.stage import running_log

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def log_at_work(database: Any, settings: Any) -> Iterator[None]:
    """Sequencer and signer in the background."""
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        yield


@pytest.fixture
def address(database: Any) -> Iterator[str]:
    """The address of a web server that serves the product, static files included."""
    from django.db import connections

    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.daemon_threads = True
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        connections.close_all()


@pytest.fixture
def kit(request: pytest.FixtureRequest, kit: kits.Kit | None) -> kits.Kit | None:
    named = {"world": kits.SITE, "stage": kits.STAGE}
    return next((named[name] for name in named if name in request.fixturenames), kit)


@pytest.fixture
def world(database: kits.Clone, log_at_work: None) -> World:
    """Cases, searches in every state, a gallery: something to see on every page."""
    found: World = database.made["world"]
    return found


@pytest.fixture(scope="session")
def chrome(chromium: str) -> Iterator[Any]:
    """One browser for the whole run."""
    from playwright.sync_api import sync_playwright

    # Playwright runs an event loop in this thread, and Django would take every query here for one inside of it.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


Tab = Callable[..., Any]


@pytest.fixture
def tab(chrome: Any, address: str) -> Iterator[Tab]:
    """`tab(user, viewport, **options)`: a page of an own browser context, signed in as `user` (nobody for None).

    Every message on the console and every failed request of a page of ours is collected in `page.complaints`.
    """
    opened = []

    def open_tab(user: User | None, viewport: dict[str, int] | None = None, **options: Any) -> Any:
        context = chrome.new_context(base_url=address, viewport=viewport or DESKTOP, reduced_motion="reduce", **options)
        opened.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            value = client.cookies[django_settings.SESSION_COOKIE_NAME].value
            context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": value, "url": address}])
        page = context.new_page()
        page.complaints = []
        page.on(
            "console", lambda message: message.type in ("error", "warning") and page.complaints.append(message.text)
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        return page

    yield open_tab
    for context in opened:
        context.close()
