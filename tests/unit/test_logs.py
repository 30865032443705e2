"""Log lines: one line a record, where it belongs, and no secret in it."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from resolute import Retry, RunFailed, Worker, WorkerConfig, activity, current, flow, manual
from resolute.logs import JsonFormatter, LineFormatter, Place, Redaction
from resolute.secrets import Secrets

KNOWN = "hunter2hunter2"
ROUTING_KEY = "R0" + "4X" * 15
OLD_KEY = "0123456789abcdef" * 2
THIRD_PARTY = logging.getLogger("some.library")


def secrets() -> Secrets:
    known = Secrets({})
    known.remember(KNOWN)
    return known


def record(message: object = "sent with %s", *args: Any, error: Exception | None = None, **extra: Any) -> Any:
    """A record as it is after the filters of our handlers."""
    info = None
    if error is not None:
        try:
            raise error
        except Exception:  # any error may be logged
            info = sys.exc_info()
    made = logging.LogRecord("resolute.run", logging.WARNING, __file__, 1, message, args, info)
    made.created = 1772359200.25
    vars(made).update(extra)
    Place().filter(made)
    Redaction(secrets().scrub).filter(made)
    return made


class Lines(logging.Handler):
    """Keeps the lines that a command would print."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.addFilter(Place())
        self.addFilter(Redaction(secrets().scrub))
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, made: logging.LogRecord) -> None:
        self.lines.append(self.format(made))

    def about(self, text: str) -> dict[str, Any]:
        """The JSON line that holds this text."""
        [line] = [line for line in self.lines if text in line]
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged meanwhile, as JSON."""
    handler = Lines(JsonFormatter())
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


# Form


def test_line_for_people_holds_time_level_message_run_and_position() -> None:
    """In UTC, so that lines of two machines can be laid side by side."""
    line = LineFormatter().format(record("sent with %s", KNOWN, run="one", position="page"))
    assert line == "2026-03-01 10:00:00 WARNING  sent with •••• [one page]"


def test_json_line_holds_what_is_known() -> None:
    """And nothing for what is not."""
    line = JsonFormatter().format(record("sent with %s", KNOWN, run="one", flow="f", position="page", attempt=2))
    assert json.loads(line) == {
        "time": "2026-03-01T10:00:00.250+00:00",
        "level": "warning",
        "logger": "resolute.run",
        "message": "sent with ••••",
        "run": "one",
        "flow": "f",
        "position": "page",
        "attempt": 2,
    }
    assert set(json.loads(JsonFormatter().format(record("up")))) == {"time", "level", "logger", "message"}


def test_the_logger_of_an_activity_says_its_position_wherever_it_is_used() -> None:
    """`current().log` gives it as `node`, also in a thread that an activity has made."""
    line = JsonFormatter().format(record("up", run="one", node="page"))
    assert json.loads(line)["position"] == "page"


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r", "\x85", "\u2028", "\v"])
def test_a_line_is_one_line(breaks: str) -> None:
    """Whoever can write into a message makes no second line of the log; for people the rest is indented."""
    made = record(f"first{breaks}2026-03-01 10:00:00 ERROR    forged", run="one")
    assert len(JsonFormatter().format(made).splitlines()) == 1
    first, second = LineFormatter().format(made).split("\n")
    assert first == "2026-03-01 10:00:00 WARNING  first [one]"
    assert second == "    2026-03-01 10:00:00 ERROR    forged"


def test_a_terminal_obeys_nothing_in_a_line() -> None:
    """Escape sequences are shown."""
    assert "\\x1b[2J" in LineFormatter().format(record("\x1b[2J"))


# Secrets


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_no_secret_is_in_an_exception(formatter: logging.Formatter) -> None:
    """Nor in the one that it came from."""
    cause = ValueError(f"{KNOWN} was refused")
    error = RuntimeError(f"Authorization: Bearer {OLD_KEY}")
    error.__cause__ = cause
    text = formatter.format(record("failed", error=error))
    assert "was refused" in text
    assert "RuntimeError" in text
    assert not any(secret in text for secret in (KNOWN, OLD_KEY))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"Authorization: Token token={OLD_KEY}", "Authorization: ••••"),
        (f"{{'authorization': 'Basic {OLD_KEY}', 'a': 1}}", "{'authorization': '••••', 'a': 1}"),
        (f"[(b'Authorization', b'Bearer {OLD_KEY}')]", "[(b'Authorization', b'••••')]"),
        (json.dumps(json.dumps({"Authorization": f"Bearer {OLD_KEY}"})), r'"{\"Authorization\": \"••••\"}"'),
        (f"curl -H 'x: Bearer {OLD_KEY}'", "curl -H 'x: Bearer ••••'"),
        (f'{{"routing_key": "{OLD_KEY}"}}', '{"routing_key": "••••"}'),
        (f"PAGERDUTY_SERVICE_KEY={OLD_KEY}", "PAGERDUTY_SERVICE_KEY=••••"),
        (f"POST /integration/{OLD_KEY}/enqueue", "POST /integration/••••/enqueue"),
        (f"the key {ROUTING_KEY} was sent", "the key •••• was sent"),
        ("token u+abcdefghij-klmno_p and pdus+_0XBPWQQ_abc", "token •••• and ••••"),
        (f"digest {OLD_KEY} of {OLD_KEY[:20]}", f"digest {OLD_KEY} of {OLD_KEY[:20]}"),
        ("the authorization failed", "the authorization failed"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, left: str) -> None:
    """Also where nobody has read it as one; digests, ids and words stay."""
    assert record("%s", text).getMessage() == left


def test_no_secret_is_left_for_other_formatters() -> None:
    """Whatever they make of arguments, exceptions and further fields."""
    headers = {"Authorization": f"Bearer {OLD_KEY}"}
    made = record("%s of %d", KNOWN, 7, error=ValueError(KNOWN), stack_info=KNOWN, headers=headers, user=KNOWN, size=3)
    assert made.getMessage() == "•••• of 7"
    assert made.size == 3
    assert KNOWN not in str(vars(made))
    assert OLD_KEY not in str(vars(made))


@pytest.mark.parametrize(("message", "args"), [("%d of it", (KNOWN,)), ("none", (KNOWN,)), ("%s %s", (KNOWN,))])
def test_arguments_that_do_not_fit_neither_fail_nor_show(message: str, args: tuple[str, ...]) -> None:
    """Python's own handlers would print them as they are."""
    assert record(message, *args).getMessage() == f"{message} (with arguments that do not fit: a str)"


def test_a_text_that_cannot_be_searched_is_withheld() -> None:
    """Other threads learn of secrets meanwhile; rather no text than one that may hold a secret."""

    def scrub(text: str) -> str:
        raise RuntimeError("dictionary changed size during iteration")

    assert KNOWN not in Redaction(scrub).clean(KNOWN)


# Where it belongs


@activity(retry=Retry(attempts=2, initial=Retry().initial / 1000))
async def talks() -> None:
    current().log.info("from its own logger")
    THIRD_PARTY.info("from a library")
    if not current().repeated:
        raise ValueError("once more")


@activity
def talks_in_a_thread() -> str:
    THIRD_PARTY.info("from a thread")
    return threading.current_thread().name


@activity(retry=Retry(attempts=1))
async def fails() -> None:
    raise ValueError("out of range")


made = (
    flow("chatty")
    .triggered_by(manual())
    .then(talks())
    .then_each("items", over=[1], body=talks_in_a_thread())
    .then(fails())
    .build()
)


async def run_it(lines: Lines) -> None:
    async with Worker(WorkerConfig(engine="memory:"), flows=[made]) as worker:
        with pytest.raises(RunFailed):
            await (await worker.client.start(made, run_id="one")).result()


async def test_what_an_activity_logs_says_where_it_was(lines: Lines) -> None:
    """Through any logger, in async and in plain functions."""
    await run_it(lines)
    seen = [
        (line["message"], line["run"], line["flow"], line["position"], line["attempt"])
        for line in map(json.loads, lines.lines)
        if line["message"].startswith("from")
    ]
    assert seen == [
        ("from its own logger", "one", "chatty", "talks", 1),
        ("from a library", "one", "chatty", "talks", 1),
        ("from its own logger", "one", "chatty", "talks", 2),
        ("from a library", "one", "chatty", "talks", 2),
        ("from a thread", "one", "chatty", "items[0]/talks_in_a_thread", 1),
    ]


async def test_lines_of_the_engine_say_which_run_they_tell_of(lines: Lines) -> None:
    """So that all lines of a run are found by one field."""
    await run_it(lines)
    assert lines.about("attempt 1 of talks failed")["run"] == "one"
    failed = lines.about("run one of chatty failed at fails")
    assert (failed["run"], failed["flow"]) == ("one", "chatty")


async def test_a_worker_inside_a_program_configures_no_logging() -> None:
    """That is the program's."""

    def configured() -> list[object]:
        root = logging.getLogger()
        return [list(root.handlers), root.level, list(root.filters), logging.getLogger("resolute").handlers]

    before = configured()
    async with Worker(WorkerConfig(engine="memory:"), flows=[made]):
        assert configured() == before
