"""Logging of commands: lines on stderr for people, or JSON lines, and no secret in either."""

from __future__ import annotations

import logging
import sys
from typing import Final

from resolute.cli.options import Common
from resolute.config import DEFAULT_STORE, load_settings
from resolute.logs import JsonFormatter, LineFormatter, Place, Redaction

#: Loggers of Resolute itself; those of activities are the user's and heard wherever a command logs at all.
OURS: Final = "resolute"
ACTIVITIES: Final = "resolute.activity"


def set_up_logging(common: Common, *, quiet: bool = False) -> None:
    """Log to stderr from now on, as was asked for; `common.scrub` takes secrets out of it.

    Args:
        quiet: nothing of Resolute's own: the command says itself what came of it.

    Raises:
        ConfigError: the settings name no such format.
    """
    found = load_settings(store=common.store or DEFAULT_STORE, log_format=common.log_format)
    form = found.log_format or ("json" if common.json else "human")
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Place())
    handler.addFilter(Redaction(common.scrub))
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO if common.verbose else logging.WARNING, force=True)
    logging.getLogger(ACTIVITIES).setLevel(logging.DEBUG if common.verbose else logging.INFO)
    if common.verbose:
        logging.getLogger(OURS).setLevel(logging.DEBUG)
    else:
        logging.getLogger(OURS).setLevel(logging.CRITICAL + 1 if quiet else logging.INFO)
