"""What a history came to, as plain data that another history can be compared with.

Times differ when a worker was down in between; whatever is a time, or the number of a row, is left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from resolute.engines.embedded.large import referred
from resolute.engines.embedded.limits import LIMITS
from resolute.engines.embedded.memory import Tables
from resolute.engines.embedded.store import RunRow
from resolute.model.codec import NotJournalable, from_text, to_plain
from resolute.simulator import PagerDutySimulator
from resolute.testing.accounts import LATE, Accounts
from resolute.testing.result import FlowResult
from resolute.testing.script import Call

#: Differences that are told.
DIFFERENCES_TOLD: Final = 6
#: Longest value that is shown.
SHOWN_CHARS: Final = 200

#: What a page puts out may say that it was found at the service instead of what the service answered.
_OF_A_PAGE: Final = ("log_id", "message")
_VARIES: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?( UTC)?"), "<time>"),
    (LATE, ""),
    (re.compile(r"\brow \d+(, [\dhmin ]+ old)?"), "row <number>"),
)


def observe(state: FlowResult, tables: Tables, accounts: Accounts, calls: Sequence[Call]) -> dict[str, Any]:
    """What a history came to, by what is looked at."""
    seen: dict[str, Any] = {
        "runs": {
            run.id: {"status": run.status, "error": run.error, "at": run.error_key, "result": _result(run, tables)}
            for run in tables.runs.values()
        },
        "result": state.result,
        "state": {key: state[key] for key in state.keys()},  # noqa: SIM118 - a FlowState is no dict
        "rounds": {key: state.all(key) for key in state.keys()},  # noqa: SIM118
        "memory": {f"{flow}/{key}": from_text(text) for (flow, key), text in tables.memory.items() if flow != LIMITS},
        "incident log": {
            row.idempotency_key: [row.action, row.dedup_key, row.status, row.instance, row.event]
            for row in tables.rows.values()
        },
        "calls": {f"{call.idempotency_key} attempt {call.attempt}": call.inputs for call in calls},
        "undone, in order": list(dict.fromkeys(call.idempotency_key for call in calls if "~undo/" in call.position)),
        "PagerDuty": {account.name or "default": _account(account.simulator) for account in accounts},
        "events": _events(accounts),
    }
    return {what: _steady(_plain(value)) for what, value in seen.items()}


def differences(expected: Any, actual: Any, where: str = "") -> Iterator[str]:
    """Where two observations differ, a line each."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in dict.fromkeys([*expected, *actual]):
            place = f"{where}, {key}" if where else str(key)
            if key not in actual:
                yield f"{place}: expected {_short(expected[key])}, actually missing"
            elif key not in expected:
                yield f"{place}: expected nothing, actually {_short(actual[key])}"
            else:
                yield from differences(expected[key], actual[key], place)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (before, after) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(before, after, f"{where}[{number}]")
    elif expected != actual and repr(expected) != repr(actual):  # NaN is itself here
        yield f"{where}: expected {_short(expected)}, actually {_short(actual)}"


def _account(simulator: PagerDutySimulator) -> dict[str, Any]:
    """Alerts and incidents, and what was written by REST."""
    written: list[str] = []
    for request in simulator.requests:
        told = f"{request.method} {request.path}"
        if request.api == "rest" and request.method != "GET" and request.applied and told not in written[-1:]:
            written.append(told)
    return {
        "alerts": [[alert.alert_key, alert.status, alert.summary] for alert in simulator.alerts],
        "incidents": [[incident.title, incident.status] for incident in simulator.incidents],
        "written": written,
    }


def _events(accounts: Accounts) -> dict[str, Any]:
    """The accepted events of each alert, in order; one that came twice in a row counts once."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for event in accounts.events():
        told = [event.action, event.summary, event.severity, event.source, event.details]
        found[f"{event.account or 'default'}/{event.dedup_key}"].append(told)
    return dict(found)


def _result(run: RunRow, tables: Tables) -> Any:
    """What a run returned."""
    if run.output is None:
        return None
    digest = referred(run.output)
    return from_text(run.output if digest is None else tables.large[run.no, digest])


def _plain(value: Any) -> Any:
    """Any value as plain data; of one that is none, its text."""
    if isinstance(value, dict | Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    try:
        return to_plain(value)
    except NotJournalable:
        return repr(value)


def _steady(value: Any) -> Any:
    """The value without what varies from history to history."""
    match value:
        case dict():
            varies = _OF_A_PAGE if "log_id" in value else ()
            return {_steady(key): "<any>" if key in varies else _steady(inner) for key, inner in value.items()}
        case list():
            return [_steady(inner) for inner in value]
        case str():
            for pattern, mark in _VARIES:
                value = pattern.sub(mark, value)
            return value
        case _:
            return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."
