"""A browser for the page: the machine's own Chromium or Chrome, and a tab in it that may not complain."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bot.playground.world import World
from tests.browser.machine import ARGUMENTS, INSTALL, found

PATIENCE: Final = 15_000
"""Milliseconds that something which takes well under one second may take on a busy machine."""

Tab = Callable[..., Page]
"""Opens the page at a path of the local Slack; options are those of a browser context."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give the machine's browser; whoever has none skips."""
    executable = found()
    if executable is None:
        pytest.skip(f"no Chromium or Chrome here; {INSTALL}")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def world() -> Iterator[World]:
    """Give a fresh world with the real bot in it."""
    with World() as world:
        yield world


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """Open tabs, each a browser of its own; at the end none of them may have met an error."""
    errors: list[str] = []
    with ExitStack() as opened:

        def opening(address: str, **options: Any) -> Page:
            context = browser.new_context(**options)
            opened.callback(context.close)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if said.type in {"error", "warning"} else None)
            page.goto(address)
            return page

        yield opening
    assert [] == errors
