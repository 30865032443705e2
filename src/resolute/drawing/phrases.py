"""Short phrases for what a step says: times, references, tests, retries, triggers.

The pictures, the words and `resolute flows show` all use these, so that they say the same.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from resolute.cron import expand
from resolute.drawing.predicate import source_of
from resolute.model.activity import Node
from resolute.model.limit import RateLimit
from resolute.model.reference import Condition
from resolute.model.refs import InputRef, OutputRef
from resolute.model.retry import Retry
from resolute.model.steps import Advance, Children, Each, Gate, Loop, Sleep, Test
from resolute.model.trigger import Manual, Schedule, Trigger
from resolute.model.webhook import Webhook

_UNITS: Final = (
    ("day", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
    ("µs", timedelta(microseconds=1)),
)
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
#: What a key ends with that was made up from the step before.
_GENERATED: Final = re.compile(r"~(when|sleep|advance)$")


def shown_key(key: str) -> str:
    """The key where its author gave it, "" where it was made up from the step before."""
    return "" if _GENERATED.search(key) else key


def time_text(time: timedelta) -> str:
    """A length of time with its units: "1 h 30 min"."""
    rest, found = abs(time), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            found.append(f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}")
    return ("-" if time < timedelta(0) else "") + (" ".join(found) or "0 s")


def one_line(value: object) -> str:
    """How Python writes the value, without line breaks."""
    try:
        text = repr(value)
    except Exception:  # __repr__ is its author's code, and a drawing must not fail for it
        text = f"a {type(value).__name__}"
    return " ".join(text.split())


def value_text(value: Any) -> str:
    """A value or reference as a step uses it: a path where it is one, else as its author wrote it."""
    match value:
        case OutputRef():
            return value.path
        case InputRef():
            return ".".join(["input", *value.steps])
        case timedelta():
            return time_text(value)
        case list() | tuple():
            return f"{len(value)} {'item' if len(value) == 1 else 'items'}"
        case _:
            return one_line(value)


def decision_text(test: Test) -> str:
    """What a test asks: a comparison as it was written, a short lambda by its source, a function by its name."""
    if not isinstance(test, Condition):
        return source_of(test)
    text = _side_text(test)
    return text if test.operator == "not" else text.removeprefix("(").removesuffix(")")


def _side_text(side: object) -> str:
    """A condition, or one side of it, as Python writes it, but with the double quotes of our examples."""
    match side:
        case Condition(operator="not"):
            return f"~{_side_text(side.left)}" if isinstance(side.left, Condition) else f"~({_side_text(side.left)})"
        case Condition():
            sign = {"and": "&", "or": "|"}.get(side.operator, side.operator)
            return f"({_side_text(side.left)} {sign} {_side_text(side.right)})"
        case str() if '"' not in side:
            return f'"{one_line(side)[1:-1]}"' if "'" not in side else one_line(side)
        case _:
            return one_line(side)


def sleep_text(step: Sleep) -> str:
    """How long a sleep is: "wait 10 min"."""
    delay = step.delay
    if isinstance(delay, int | float) and not isinstance(delay, bool):
        try:
            delay = timedelta(seconds=delay)
        except (OverflowError, ValueError):  # build() reports it; here it is shown as it stands
            return f"wait {delay} s"
    return f"wait {value_text(delay)}"


def loop_text(step: Loop) -> str:
    """How often a loop goes round: "repeat every 1 min until …, at most 1 h, else fail"."""
    every = f" every {time_text(step.every)}" if step.every else ""
    limits = [time_text(step.timeout)] if step.timeout is not None else []
    if step.at_most is not None:
        limits.append(f"{step.at_most} {'round' if step.at_most == 1 else 'rounds'}")
    end = "fail" if step.on_end == "fail" else "go on"
    bound = f", at most {' or '.join(limits)}, else {end}" if limits else ""
    return f"repeat{every} until {decision_text(step.until)}{bound}"


def each_text(step: Each) -> str:
    """What an each goes through: "for each of oncall.oncalls, 10 at a time"."""
    text = f"for each of {value_text(step.over)}, {step.limit} at a time"
    if not step.keep_going:
        text += ", until one fails"
    return text + (", going on after failures" if step.on_error == "continue" else "")


def children_text(step: Children) -> str:
    """What children are started: "run flow "mend" for each of hosts, 10 at a time"."""
    text = f'run flow "{step.flow}" for each of {value_text(step.inputs)}, {step.limit} at a time'
    return text + (", going on after failures" if step.on_error == "continue" else "")


def gate_lines(step: Gate) -> tuple[str, ...]:
    """What a gate waits for, then what comes of no answer and of a rejection where the run goes on."""
    limit = f", at most {time_text(step.timeout)}" if step.timeout is not None else ""
    found = [f"wait for an answer{limit}"]
    goes_on = []
    if step.timeout is not None and step.on_timeout == "continue":
        goes_on.append("no answer")
    if step.on_reject == "continue":
        goes_on.append("a rejection")
    if goes_on:
        found.append(f"go on after {' or '.join(goes_on)}")
    return tuple(found)


def advance_lines(step: Advance) -> tuple[str, ...]:
    """The cursor, then where it is moved."""
    return f'cursor "{step.cursor}"', f"move on to {value_text(step.to)}"


def fallback_text(node: Node[Any]) -> str:
    """When the node's fallback runs."""
    if node.fallback_after is None:
        return "if it fails"
    return f"if it fails or is not accepted within {time_text(node.fallback_after)}"


def retry_text(retry: Retry) -> str:
    """How often and how patiently: "5 attempts, 1 s to 8 s apart"."""
    if retry.attempts == 1:
        return "1 attempt"
    count = "any number of attempts" if retry.attempts is None else f"{retry.attempts} attempts"
    first = min(retry.initial, retry.maximum)
    last = retry.maximum if retry.attempts is None else retry.backoff(retry.attempts - 1, 0.0)
    if retry.coefficient == 1:
        last = first
    apart = time_text(first) if first == last else f"{time_text(first)} to {time_text(last)}"
    within = f", for {time_text(retry.deadline)}" if retry.deadline is not None else ""
    return f"{count}, {apart} apart{within}"


def limit_text(limit: RateLimit) -> str:
    """How often at most: "5 per min"; with a name, who else counts: "5 per min together as slack"."""
    together = f" together as {limit.name}" if limit.name else ""
    return f"{limit.limit} per {time_text(limit.per).removeprefix('1 ')}{together}"


def node_text(node: Node[Any]) -> str:
    """What a node does, with what it says itself of how: "run check, via eu, 5 attempts, 1 s to 8 s apart"."""
    return ", ".join([f"run {node.activity.name}", *settings_of(node)])


def settings_of(node: Node[Any]) -> list[str]:
    """What the node says itself of how it is attempted, a phrase each; defaults are left out."""
    found = []
    if node.instance:
        found.append(f"via {node.instance}")
    if node.retry is not None:
        found.append(retry_text(node.retry))
    if node.timeout is not None:
        found.append(f"at most {time_text(node.timeout)} each")
    if node.rate_limit is not None:
        found.append(limit_text(node.rate_limit))
    if node.heartbeat is not None:
        found.append(f"heartbeat every {time_text(node.heartbeat)}")
    return found


def trigger_text(trigger: Trigger) -> str:
    """What starts runs: "every 5 min", "Monday to Friday at 08:00 (Europe/Berlin)", "by hand"."""
    match trigger:
        case Schedule():
            text = _cron_text(trigger.cron)
            same_in_every_zone = trigger.timezone == "UTC" and text.startswith("every") and " at " not in text
            return text if same_in_every_zone else f"{text} ({trigger.timezone})"
        case Manual():
            return "by hand" if trigger.name == "manual" else f'by hand as "{trigger.name}"'
        case Webhook():
            checked = "" if trigger.signature is None else f" ({trigger.signature.label})"
            return f"by webhook {trigger.path}{checked}"
        case _:
            return trigger.id


def _cron_text(cron: str) -> str:
    """The common schedules in words, any other as it is written."""
    fields = expand(cron).split()
    match fields:
        case ["*" | "*/1", "*", "*", "*", "*"]:
            return "every minute"
        case [minute, "*", "*", "*", "*"] if (step := _step(minute, 60)) is not None:
            return f"every {step} min"
        case [minute, "*", "*", "*", "*"] if minute.isdecimal():
            return "every hour" if int(minute) == 0 else f"every hour at minute {int(minute)}"
        case [minute, hour, "*", "*", "*"] if minute.isdecimal() and (step := _step(hour, 24)) is not None:
            return f"every {step} h" + ("" if int(minute) == 0 else f" at minute {int(minute)}")
        case [minute, hour, "*", "*", days] if minute.isdecimal() and hour.isdecimal() and (named := _days(days)):
            return f"{named} at {int(hour):02}:{int(minute):02}"
        case _:
            return f"at {cron}"


def _step(field: str, whole: int) -> int | None:
    """5 for "*/5" where the steps are even, so that "every 5" is true."""
    found = re.fullmatch(r"\*/([1-9]\d?)", field)
    return int(found[1]) if found and whole % int(found[1]) == 0 else None


def _days(field: str) -> str:
    """Such as "every Sunday" for "0", "7" or "SUN", "Monday to Friday" for a range, "" for what is more than that."""
    if field == "*":
        return "every day"
    first, *last = (_day(name) for name in field.upper().split("-", 1))
    if not first or not all(last):
        return ""
    return f"{first} to {last[0]}" if last else f"every {first}"


def _day(name: str) -> str:
    if re.fullmatch(r"[0-7]", name):
        return _DAYS[int(name) % 7]
    return next((day for day in _DAYS if day[:3].upper() == name), "")
