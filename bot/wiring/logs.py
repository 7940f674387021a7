"""Logs: lines for a person at a terminal, JSON everywhere else, always on stderr, never with a secret in them."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import structlog

from bot.domain.secret import Secret, hide


def set_up(*, secrets: tuple[Secret, ...], verbose: bool) -> None:
    """Send the logs of the bot and of its libraries to stderr. Slack's own stay above DEBUG: they write tokens."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redacting(secrets),
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


def _redacting(secrets: tuple[Secret, ...]) -> Callable[[Any, str, dict[str, Any]], dict[str, Any]]:
    return lambda _logger, _method, event: {
        name: hide(value, secrets) if isinstance(value, str) else value for name, value in event.items()
    }
