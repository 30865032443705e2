"""Log lines: for people or as JSON, each with the run that it belongs to, and no secret in either.

Nothing here configures logging: the commands do that for themselves, and a program that has a worker inside puts
these filters and formatters on handlers of its own.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from resolute.context import Attempt, current
from resolute.errors import NodeMisuse

#: What replaces a secret, and what replaces a text that could not be searched for secrets.
DOTS: Final = "••••"
WITHHELD: Final = "(withheld: it could not be searched for secrets)"
#: How often a text is searched while other threads learn of further secrets.
_TRIES: Final = 10

_KEY: Final = r"[A-Za-z0-9]{32}"
#: Secrets that are known by their form: what stays of a match is its first group.
PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A header with its value, as it is sent and as Python writes pairs, mappings and bytes.
        r"""(authorization\\?["']?\s*(?:[:=]\s*|,\s*(?=b?\\?["']))b?\\?["']?)[^\s"'\\][^"'\\\r\n]*""",
        r"(\b(?:bearer|token token=)\s*)(?=\S*\d)[\w.~+/=-]{8,}",
        # Routing keys of PagerDuty: named, in the path of an older events API, or of the newer form.
        rf"""((?:routing|service|integration)[_ -]?key\W{{1,6}}(?:b\\?["'])?){_KEY}(?![A-Za-z0-9])""",
        rf"(/integration/){_KEY}(?![A-Za-z0-9])",
        r"(\b)R0[A-Z0-9]{30}(?![A-Za-z0-9])",
        # Tokens of PagerDuty: those of applications, and those of users.
        r"(\b)pd(?:us|eu)\+[\w-]{8,}",
        r"(\b)u\+[\w-]{18}(?![\w-])",
    )
)
#: What every record has by itself.
_OWN: Final = frozenset(vars(logging.makeLogRecord({})))
_PLACES: Final = ("run", "flow", "position", "attempt")
#: How lines of ours begin that tell of a run or a flow; the names are their first arguments.
_TELLS: Final = re.compile(r"run %s(?P<flow> of %s)?|flow %s:")
_OURS: Final = "resolute."
#: Characters that a terminal would obey, but tab.
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}


class Place(logging.Filter):
    """Lets a record say where it belongs: `run`, `flow`, `position` and `attempt`, where they are known.

    Given with `extra` they stay as they are. Else they are those of the attempt that logs, whatever the logger and
    also in the thread of a plain function, or what the engine tells of.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        known = vars(record)
        if "node" in known:
            known.setdefault("position", known["node"])
        attempt = _attempt()
        if attempt is not None:
            known.setdefault("run", attempt.run_id)
            if known["run"] == attempt.run_id:
                known.setdefault("flow", attempt.flow)
                known.setdefault("position", attempt.position)
                known.setdefault("attempt", attempt.attempt)
        elif record.name.startswith(_OURS) and isinstance(record.msg, str) and isinstance(record.args, tuple):
            for name, value in _told(record.msg, record.args):
                known.setdefault(name, value)
        return True


def _attempt() -> Attempt | None:
    """The attempt that logs; None where none does."""
    try:
        return current()
    except NodeMisuse:
        return None


def _told(text: str, arguments: tuple[object, ...]) -> list[tuple[str, object]]:
    """What a line of the engine's own says it is about."""
    found = _TELLS.match(text)
    if found is None or not arguments:
        return []
    if found[0] == "flow %s:":
        return [("flow", arguments[0])]
    return [("run", arguments[0]), *([("flow", arguments[1])] if found["flow"] and len(arguments) > 1 else [])]


class Redaction(logging.Filter):
    """Takes secrets out of a record before anything is made of it: message, exception, stack and further texts.

    The record is changed for all handlers that come after: arguments are put into the message, an exception becomes
    its text.

    Args:
        scrub: takes the known secrets out of a text, as `Secrets.scrub` does. What looks like one goes too.
    """

    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__()
        self._scrub = scrub

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.clean(_message(record)), None
        if record.exc_info and record.exc_info[0]:
            record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
        record.exc_info = None  # the exception itself may hold what its text may not
        for name, value in list(vars(record).items()):
            if name in ("exc_text", "stack_info") or name not in _OWN:
                setattr(record, name, self._without(value))
        return True

    def _without(self, value: object) -> object:
        """The value; its text in place of one that holds a secret, whatever it is."""
        if value is None or isinstance(value, bool | int | float):
            return value
        try:
            text = str(value)
        except Exception:  # an extra may be anything
            return WITHHELD
        cleaned = self.clean(text)
        return value if cleaned == text else cleaned

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for _ in range(_TRIES):
            try:
                text = self._scrub(text)
                break
            except RuntimeError:  # another thread has just learned of one more secret: search again
                continue
        else:
            return WITHHELD
        for pattern in PATTERNS:
            text = pattern.sub(rf"\g<1>{DOTS}", text)
        return text


def _message(record: logging.LogRecord) -> str:
    """The record's message; what it was made of when its arguments do not fit, for whoever logs must not fail by it."""
    try:
        return record.getMessage()
    except Exception:  # a format may fail in any way, and so may the text of an argument
        return f"{record.msg} (with arguments that do not fit: {', '.join(map(_named, _arguments(record)))})"


def _arguments(record: logging.LogRecord) -> tuple[object, ...]:
    return record.args if isinstance(record.args, tuple) else (record.args,)


def _named(value: object) -> str:
    return f"a {type(value).__name__}"


class LineFormatter(logging.Formatter):
    """Time in UTC, level, message, and where it belongs. What does not fit on the line follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        names = (getattr(record, "run", None), getattr(record, "position", None))
        place = " ".join(str(name) for name in names if name)
        first, *more = record.getMessage().splitlines() or [""]
        more += [*_trace(self, record).splitlines(), *(record.stack_info or "").splitlines()]
        line = f"{_time(record):%Y-%m-%d %H:%M:%S} {record.levelname:<8} {first}{f' [{place}]' if place else ''}"
        return "\n".join([_shown(line), *(f"    {_shown(text)}" for text in more)])


class JsonFormatter(logging.Formatter):
    """One JSON object on a line: time, level, logger, message; run, flow, position, attempt and exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        at = _time(record).isoformat(timespec="milliseconds")
        parts: dict[str, Any] = {"time": at, "level": record.levelname.lower(), "logger": record.name}
        parts["message"] = record.getMessage()
        parts.update((name, value) for name in _PLACES if (value := getattr(record, name, None)) not in (None, ""))
        exception = "\n".join(filter(None, (_trace(self, record), record.stack_info)))
        if exception:
            parts["exception"] = exception
        return json.dumps(parts, default=str)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The exception as text: as `Redaction` left it, or made now where no such filter is."""
    if record.exc_text or not record.exc_info or not record.exc_info[0]:
        return record.exc_text or ""
    return formatter.formatException(record.exc_info)


def _shown(line: str) -> str:
    return line.translate(_CONTROLS)
