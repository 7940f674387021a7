"""Logs: lines for a person at a terminal, JSON everywhere else, always on stderr, never with a secret in them."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import structlog

from bot.domain.secret import Secret, hide


def set_up(*, secrets: tuple[Secret, ...], environ: Mapping[str, str], verbose: bool) -> None:
    """Send the logs of the bot and of its libraries to stderr. Slack's own stay above DEBUG: they write tokens.

    The passwords of the proxies in `environ` are secrets, too: slack_sdk writes the address of a proxy that refuses it.
    """
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redacting((*secrets, *_proxy_secrets(environ))),
    ]
    show = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, show]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
    )
    # It warns of broken answers with the whole URL, which carries the signature.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    # What a call of the Web API comes to is the bot's own to say.
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
    logging.getLogger("bot").setLevel(logging.DEBUG if verbose else logging.INFO)


def _proxy_secrets(environ: Mapping[str, str]) -> Iterator[Secret]:
    for name, address in environ.items():
        if name.lower().endswith("_proxy") and "@" in address:
            userinfo = (address.partition("://")[2] or address).rpartition("@")[0]
            password = userinfo.partition(":")[2]
            if password:
                yield from map(Secret, {userinfo, unquote(userinfo), password, unquote(password)})


def _redacting(secrets: tuple[Secret, ...]) -> Callable[[Any, str, dict[str, Any]], dict[str, Any]]:
    return lambda _logger, _method, event: {
        name: hide(value, secrets) if isinstance(value, str) else value for name, value in event.items()
    }
