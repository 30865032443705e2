"""Phrases: what pictures, words and tables say of times, references, retries and triggers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from resolute.drawing.phrases import (
    children_text,
    decision_text,
    each_text,
    gate_lines,
    limit_text,
    loop_text,
    node_text,
    retry_text,
    shown_key,
    sleep_text,
    time_text,
    trigger_text,
    value_text,
)
from resolute.model.activity import Node
from resolute.model.limit import RateLimit
from resolute.model.refs import input_data, item, output
from resolute.model.retry import Retry
from resolute.model.steps import Children, Each, Gate, Loop, Sleep
from resolute.model.trigger import manual, schedule
from tests.properties.drawing.samples import is_quiet_hour, minutes, notify

UP = output("ping.up") == True  # noqa: E712


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=90), "1 min 30 s"),
        (timedelta(hours=36), "1 day 12 h"),
        (timedelta(days=14), "14 days"),
        (timedelta(milliseconds=1500), "1 s 500 ms"),
        (-minutes(1), "-1 min"),
    ],
)
def test_time_has_its_units(time: timedelta, text: str) -> None:
    """No bare number, and nothing rounded."""
    assert time_text(time) == text


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        (schedule("* * * * *"), "every minute"),
        (schedule("*/5 * * * *"), "every 5 min"),
        (schedule("*/7 * * * *"), "at */7 * * * * (UTC)"),
        (schedule("@hourly"), "every hour"),
        (schedule("30 * * * *", timezone="Asia/Kolkata"), "every hour at minute 30 (Asia/Kolkata)"),
        (schedule("0 */6 * * *"), "every 6 h"),
        (schedule("5 8 * * *"), "every day at 08:05 (UTC)"),
        (schedule("0 8 * * 1-5", timezone="Europe/Berlin"), "Monday to Friday at 08:00 (Europe/Berlin)"),
        (schedule("0 8 * * 7"), "every Sunday at 08:00 (UTC)"),
        (schedule("0 8 * * MON-fri"), "Monday to Friday at 08:00 (UTC)"),
        (schedule("0 8 * * mon,wed"), "at 0 8 * * mon,wed (UTC)"),
        (schedule("0 0 1 */2 *"), "at 0 0 1 */2 * (UTC)"),
        (schedule("0 */5 * * * *"), "at 0 */5 * * * * (UTC)"),
        (manual(), "by hand"),
        (manual("deploy"), 'by hand as "deploy"'),
    ],
)
def test_trigger_in_words(trigger: Any, text: str) -> None:
    """Common schedules are told, any other is shown as written: every seventh minute is not every 7 min."""
    assert trigger_text(trigger) == text


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (output("health.status") == "critical", 'output("health.status") == "critical"'),
        ((output("a") > 1) & ~(output("b") == "x"), '(output("a") > 1) & ~(output("b") == "x")'),
        (~(output("a") == None), '~(output("a") == None)'),  # noqa: E711
        (output("a") == 'say "hi"', 'output("a") == \'say "hi"\''),
        (is_quiet_hour, "is_quiet_hour(state)"),
        (lambda state: state["a"] > 1, 'state["a"] > 1'),
    ],
)
def test_test_as_its_author_wrote_it(test: Any, text: str) -> None:
    """A comparison with the references in it, a lambda by its body, a function by its name."""
    assert decision_text(test) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (output("oncall.oncalls"), "oncall.oncalls"),
        (input_data("hosts"), "input.hosts"),
        (input_data(), "input"),
        (item("name"), 'item("name")'),
        ([1, 2], "2 items"),
        (minutes(2), "2 min"),
        ("a\nb", r"'a\nb'"),
    ],
)
def test_value_is_short(value: Any, text: str) -> None:
    """A reference is its path; a list its length."""
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("retry", "text"),
    [
        (Retry(attempts=1), "1 attempt"),
        (Retry(), "3 attempts, 1 s to 2 s apart"),
        (Retry(attempts=20, initial=timedelta(seconds=5)), "20 attempts, 5 s to 1 min apart"),
        (Retry(attempts=9, coefficient=1), "9 attempts, 1 s apart"),
        (
            Retry(attempts=None, deadline=timedelta(days=1)),
            "any number of attempts, 1 s to 1 min apart, for 1 day",
        ),
    ],
)
def test_retry_tells_waits_that_happen(retry: Retry, text: str) -> None:
    """Not the longest that is allowed, but the longest that is reached."""
    assert retry_text(retry) == text


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Loop("k", (), UP, minutes(1), timedelta(hours=1)), "repeat every 1 min until {}, at most 1 h, else fail"),
        (Loop("k", (), UP, at_most=1, on_end="continue"), "repeat until {}, at most 1 round, else go on"),
        (Loop("k", (), UP, timeout=minutes(2), at_most=3), "repeat until {}, at most 2 min or 3 rounds, else fail"),
    ],
)
def test_loop_says_when_it_ends(step: Loop, text: str) -> None:
    """Its test and its limits, and what comes of those."""
    assert loop_text(step) == text.format('output("ping.up") == True')


def test_each_and_children_say_what_a_failure_does() -> None:
    """Only where it is not what everybody expects."""
    assert each_text(Each("k", output("x.hosts"), ())) == "for each of x.hosts, 10 at a time"
    careful = Each("k", [1], (), 1, keep_going=False, on_error="continue")
    assert each_text(careful) == "for each of 1 item, 1 at a time, until one fails, going on after failures"
    children = Children("k", "mend", output("x"), on_error="continue")
    assert children_text(children) == 'run flow "mend" for each of x, 10 at a time, going on after failures'


def test_gate_says_what_it_goes_on_after() -> None:
    """Nothing is said where both end the run."""
    assert gate_lines(Gate("k")) == ("wait for an answer",)
    patient = Gate("k", timedelta(hours=4), "continue", "continue")
    assert gate_lines(patient) == ("wait for an answer, at most 4 h", "go on after no answer or a rejection")


@pytest.mark.parametrize(
    ("delay", "text"),
    [
        (minutes(10), "wait 10 min"),
        (1.5, "wait 1 s 500 ms"),
        (output("cfg.delay"), "wait cfg.delay"),
        (1e99, "wait 1e+99 s"),
    ],
)
def test_sleep_in_words(delay: Any, text: str) -> None:
    """A length of time, seconds, or a reference to either."""
    assert sleep_text(Sleep("k", delay)) == text


def test_node_tells_its_own_settings_alone() -> None:
    """What all nodes have by default would only be noise."""
    assert node_text(Node(notify, {})) == "run notify"
    node = Node(notify, {}).via("eu").with_retry(Retry(attempts=1)).with_timeout(minutes(1)).with_heartbeat(minutes(2))
    assert node_text(node) == "run notify, via eu, 1 attempt, at most 1 min each, heartbeat every 2 min"
    assert limit_text(RateLimit(5, minutes(1), "mail")) == "5 per min together as mail"
    assert limit_text(RateLimit(5, minutes(2))) == "5 per 2 min"


def test_key_made_up_from_the_step_before_is_not_shown() -> None:
    """It would only repeat that step's name."""
    assert [shown_key(key) for key in ("is_up", "ping~when", "ping~when~sleep")] == ["is_up", "", ""]
