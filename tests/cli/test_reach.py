"""The way to Slack: through the environment's proxy, or past it."""

from collections.abc import Mapping
from typing import Final

import pytest

from bot.cli.reach import reach_directly

PROXIES: Final = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://proxy:3128")
SLACK: Final = "https://slack.com/api/"


@pytest.mark.parametrize(
    ("api_url", "spared", "direct"),
    [
        (SLACK, {}, False),
        (SLACK, {"NO_PROXY": "localhost,10.0.0.1,notslack.com,com.slack"}, False),
        (SLACK, {"NO_PROXY": ""}, False),
        (SLACK, {"NO_PROXY": "localhost, slack.com"}, True),
        (SLACK, {"no_proxy": ".slack.com"}, True),
        (SLACK, {"NO_PROXY": "*.slack.com"}, True),
        (SLACK, {"NO_PROXY": "*"}, True),
        ("http://127.0.0.1:8080/api/", {}, True),
        ("http://localhost:8080/api/", {}, True),
    ],
)
def test_the_way_to_slack(api_url: str, spared: Mapping[str, str], direct: bool) -> None:
    """The proxy is dropped for a Slack on this machine and for one that NO_PROXY names, and kept for any other."""
    environ = {**PROXIES, **spared}

    reach_directly(api_url, environ)

    assert ({} if direct else PROXIES) == {name: environ[name] for name in PROXIES if name in environ}
