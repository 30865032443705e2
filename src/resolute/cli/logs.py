"""Logging of commands: lines on stderr for people, or JSON lines, and no secret in either."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

#: Loggers of Resolute itself; those of activities are the user's and heard wherever a command logs at all.
OURS: Final = "resolute"
ACTIVITIES: Final = "resolute.activity"


class LineFormatter(logging.Formatter):
    """Time in UTC, level, message, run and node."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        place = _place(record)
        where = f" [{place}]" if place else ""
        text = f"{_time(record):%Y-%m-%d %H:%M:%S} {record.levelname:<8} {record.getMessage()}{where}"
        trace = _trace(self, record)
        return self._scrub(f"{text}\n{trace}" if trace else text)


class JsonFormatter(logging.Formatter):
    """One JSON object on a line: time, level, logger, message, and run, node and error where there are any."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        parts = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._scrub(record.getMessage()),
            "run": getattr(record, "run", None),
            "node": getattr(record, "node", None),
            "error": self._scrub(_trace(self, record)) or None,
        }
        return json.dumps({name: value for name, value in parts.items() if value is not None}, default=str)


def set_up_logging(
    scrub: Callable[[str], str], *, as_json: bool = False, verbose: bool = False, quiet: bool = False
) -> None:
    """Log to stderr from now on.

    Args:
        scrub: takes secrets out of a text.
        verbose: debug lines of Resolute, and what other libraries say.
        quiet: nothing of Resolute's own: the command says itself what came of it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(scrub) if as_json else LineFormatter(scrub))
    logging.basicConfig(handlers=[handler], level=logging.INFO if verbose else logging.WARNING, force=True)
    logging.getLogger(ACTIVITIES).setLevel(logging.DEBUG if verbose else logging.INFO)
    if verbose:
        logging.getLogger(OURS).setLevel(logging.DEBUG)
    else:
        logging.getLogger(OURS).setLevel(logging.CRITICAL + 1 if quiet else logging.INFO)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _place(record: logging.LogRecord) -> str:
    names = (getattr(record, "run", None), getattr(record, "node", None))
    return " ".join(str(name) for name in names if name)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
