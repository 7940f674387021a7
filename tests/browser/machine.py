"""The machine's Chromium or Chrome, and how it is started."""

import shutil
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES: Final = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
INSTALL: Final = "install one: apt-get install chromium (Debian), brew install --cask google-chrome (macOS)"
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def found() -> str | None:
    """Return the path of the machine's browser."""
    return next((path for name in (*NAMES, *PLACES) if (path := shutil.which(name))), None)
