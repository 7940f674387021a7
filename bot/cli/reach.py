"""Keeps a proxy from the environment out of the way of a Slack on this machine."""

from collections.abc import MutableMapping
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def reach_directly(api_url: str, environ: MutableMapping[str, str]) -> None:
    """Drop the proxy variables when `api_url` is a local one: the Slack SDK obeys them and ignores NO_PROXY."""
    if urlsplit(api_url).hostname in _LOOPBACK:
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            environ.pop(name, None)
