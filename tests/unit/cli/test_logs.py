"""Logging of commands: one line a record, and no secret in it."""

from __future__ import annotations

import json
import logging
import sys

from resolute.cli.logs import JsonFormatter, LineFormatter
from resolute.secrets import Secrets


def record(
    message: str = "sent with %s", *args: object, error: Exception | None = None, **extra: str
) -> logging.LogRecord:
    info = None
    if error is not None:
        try:
            raise error
        except Exception:  # any error may be logged
            info = sys.exc_info()
    made = logging.LogRecord("resolute.run", logging.WARNING, __file__, 1, message, args, info)
    made.created = 1772359200.25
    vars(made).update(extra)
    return made


def secrets() -> Secrets:
    known = Secrets({})
    known.remember("hunter2hunter2")
    return known


def test_line_holds_time_level_message_run_and_node() -> None:
    """In UTC, so that lines of two machines can be laid side by side."""
    line = LineFormatter(secrets().scrub).format(record("sent with %s", "hunter2hunter2", run="one", node="page"))
    assert line == "2026-03-01 10:00:00 WARNING  sent with •••• [one page]"


def test_json_line_is_an_object() -> None:
    """With run and node where there are any."""
    line = JsonFormatter(secrets().scrub).format(record("sent with %s", "hunter2hunter2", run="one"))
    assert json.loads(line) == {
        "time": "2026-03-01T10:00:00.250+00:00",
        "level": "warning",
        "logger": "resolute.run",
        "message": "sent with ••••",
        "run": "one",
    }


def test_traceback_is_scrubbed_too() -> None:
    """An exception may repeat what it was given."""
    for form in (LineFormatter(secrets().scrub), JsonFormatter(secrets().scrub)):
        text = form.format(record("failed", error=ValueError("hunter2hunter2 was refused")))
        assert "hunter2" not in text
        assert "was refused" in text
