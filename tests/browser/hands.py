"""What a person does with the page, and where they look."""

from playwright.sync_api import Locator, Page


def types(page: Page, words: str) -> None:
    """Type into the composer, and send it."""
    page.get_by_role("textbox", name="Message or command").fill(words)
    page.keyboard.press("Enter")


def said(page: Page, words: str) -> Locator:
    """Return where the channel shows these words."""
    return page.get_by_role("list", name="Messages", exact=True).get_by_text(words)


def card(page: Page) -> Locator:
    """Return the cards that the channel shows."""
    return (
        page.get_by_role("list", name="Messages", exact=True)
        .get_by_role("listitem")
        .filter(has=page.get_by_role("heading", level=3))
    )


def sideways(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found
