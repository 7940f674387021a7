"""Says which way Slack is reached, through the environment's proxy or past it.

slack_sdk reads HTTPS_PROXY, https_proxy, HTTP_PROXY and http_proxy, in this order, for the Web API, the socket and
answers alike, and ignores NO_PROXY. The clouds are reached directly in any case.
"""

from collections.abc import MutableMapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def reach_directly(api_url: str, environ: MutableMapping[str, str]) -> None:
    """Drop the proxy variables when `api_url` is a local one, or NO_PROXY names it.

    What is said of slack.com goes for the hosts under it, too: the sockets and the answers.
    """
    spared = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    host = urlsplit(api_url).hostname or ""
    if host in _LOOPBACK or any(map(partial(_names, host), spared.split(","))):
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            environ.pop(name, None)


def _names(host: str, spared: str) -> bool:
    """Tell whether an entry of NO_PROXY names a host: itself, a domain above it, or every host."""
    name = spared.strip().lower().removeprefix("*.").removeprefix(".")
    return name == "*" or (name != "" and f".{host}".endswith(f".{name}"))
