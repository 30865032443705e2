"""How runs, journal entries and rows of the incident log stand in SQLite, out and back.

Texts are UTF-8, which cannot hold a lone surrogate: one comes back as the six characters of its escape
("\\ud800"). Only texts for people and names can be touched by that; JSON is ASCII, so values survive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from resolute.engines.embedded.sqlite.statements import put
from resolute.engines.embedded.store import Entry, Op, PutMemory, PutTick, RunRow
from resolute.errors import StoreBroken
from resolute.ledger.row import Row
from resolute.model.codec import from_text, to_text

Values = tuple[Any, ...]
#: A row to be put: its table's statement, what identifies it in the table, its values.
Prepared = tuple[str, Any, Values]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def prepare(op: Op) -> Prepared:
    """An operation as the writer takes it."""
    match op:
        case Entry():
            return "put_entry", (op.run_no, op.position), _of_entry(op)
        case RunRow():
            return "put_run", op.no, _of_run(op)
        case Row():
            return "put_row", op.id, tuple(write(getattr(op, name)) for name, write, _ in _LOG)
        case PutMemory():
            key = (plain(op.flow), plain(op.key))
            return "put_memory", key, (*key, None if op.text is None else plain(op.text))
        case PutTick():
            key = (plain(op.flow), plain(op.trigger))
            return "put_tick", key, (*key, micros(op.at))


def plain(text: str) -> str:
    """The text with every lone surrogate escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def micros(at: datetime) -> int:
    """Microseconds since 1970 UTC."""
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def instant(microseconds: int) -> datetime:
    """The aware UTC time of `micros`."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _of_run(run: RunRow) -> Values:
    return (
        run.no,
        plain(run.id),
        plain(run.flow),
        plain(run.fingerprint),
        run.status,
        plain(run.input),
        run.input_digest,
        plain(run.trigger),
        micros(run.created_at),
        run.scheduled,
        None if run.due_at is None else micros(run.due_at),
        run.delay_s,
        plain(run.waiting_for),
        None if run.output is None else plain(run.output),
        plain(run.error),
        plain(run.error_key),
        None if run.finished_at is None else micros(run.finished_at),
        run.schema_version,
    )


def to_run(values: Values) -> RunRow:
    """The run of a row of `runs`."""
    row = list(values)
    row[8], row[9] = instant(row[8]), bool(row[9])
    for place in (10, 16):
        if row[place] is not None:
            row[place] = instant(row[place])
    return RunRow(*row)


def _of_entry(entry: Entry) -> Values:
    return (
        entry.run_no,
        plain(entry.position),
        entry.order,
        entry.kind,
        plain(entry.key),
        entry.status,
        micros(entry.ready_at),
        plain(entry.activity),
        entry.attempt,
        entry.failures,
        entry.lost,
        plain(entry.inputs),
        plain(entry.secrets),
        plain(entry.output),
        plain(entry.error),
        entry.row_id,
        None if entry.due_at is None else micros(entry.due_at),
        None if entry.finished_at is None else micros(entry.finished_at),
    )


def to_entry(values: Values) -> Entry:
    """The entry of a row of `journal`."""
    row = list(values)
    row[6] = instant(row[6])
    for place in (16, 17):
        if row[place] is not None:
            row[place] = instant(row[place])
    return Entry(*row)


def to_row(values: Sequence[Any]) -> Row:
    """The row of a row of `incident_log`; raises StoreBroken when somebody wrote there what cannot be read."""
    try:
        return Row(**{name: read(value) for (name, _, read), value in zip(_LOG, values, strict=True)})
    except (ValueError, TypeError) as error:
        raise StoreBroken(
            f"Row {values[0]} of incident_log cannot be read: {error}. Times stand there as "
            "2026-01-31T12:00:00.000000Z and lists as JSON; put back what was changed by hand."
        ) from error


def _same(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _tuple(text: str) -> tuple[Any, ...]:
    return tuple(from_text(text))


_TIMES: Final = {"created_at", "since", "sent_at", "unknown_since", "due_at", "held_until", "repeat_at", "settled_at"}
_JSON: Final = {"event", "retry", "remarks"}
_YES_OR_NO: Final = {"scheduled", "awaited", "is_open", "may_repeat"}


def _how(column: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if column in _TIMES:
        return _iso, _time
    if column in _JSON:
        return to_text, from_text if column == "event" else _tuple
    return _same, bool if column in _YES_OR_NO else _same


#: The columns of incident_log, each with how its value is written and read.
_LOG: Final = tuple((column, *_how(column)) for column in put("put_row").columns)
