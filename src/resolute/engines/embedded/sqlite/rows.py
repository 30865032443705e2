"""How runs, journal entries and rows of the incident log stand in SQLite, out and back.

Texts are UTF-8, which cannot hold a lone surrogate: one comes back as the six characters of its escape
("\\ud800"). Only texts for people and names can be touched by that; JSON is ASCII, so values survive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from resolute.engines.embedded.sqlite.statements import put
from resolute.engines.embedded.store import (
    DropEntry,
    Entry,
    Forget,
    Op,
    Prune,
    PrunedRun,
    PutLarge,
    PutMemory,
    PutOutline,
    PutPause,
    PutTick,
    RunRow,
)
from resolute.ledger.row import Row
from resolute.model.codec import from_text, to_text

Values = tuple[Any, ...]
#: A row to be put: its table's statement, what identifies it in the table, its values. Of a row to be removed only
#: what identifies it, then None.
Prepared = tuple[str, Any, Values]

#: Statement that puts a row → the one that removes it.
REMOVES: Final = {"put_memory": "delete_memory", "put_entry": "delete_entry"}


#: What takes rows of several tables out → its statements in order, each with the same values. Unlike what is put, it
#: looks at what stands in the tables, so everything that came before it is written first.
SWEEPS: Final = {
    "prune": ("remember_pruned_no", "keep_pruned", "prune_journal", "prune_large", "prune_run"),
    "forget": ("forget",),
}


class Unreadable(ValueError):
    """A row holds what was never written there: somebody changed it by hand, or the disk did."""


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
        case DropEntry():
            return "put_entry", (op.run_no, op.position), (op.run_no, plain(op.position), None)
        case PutLarge():  # each is put: the table keeps the first
            return "put_large", object(), (op.run_no, op.digest, op.text)
        case PutOutline():
            return "put_outline", object(), (plain(op.fingerprint), plain(op.flow), plain(op.text))
        case PutMemory():
            key = (plain(op.flow), plain(op.key))
            return "put_memory", key, (*key, None if op.text is None else plain(op.text))
        case PutTick():
            key = (plain(op.flow), plain(op.trigger))
            return "put_tick", key, (*key, micros(op.at))
        case PutPause():  # each is put: the first makes the row
            return "put_pause", object(), (plain(op.flow), plain(op.trigger), micros(op.at), op.paused)
        case Prune():
            return "prune", op.run_no, (op.run_no, micros(op.at))
        case Forget():
            return "forget", op, (micros(op.before),)


def staged(batches: Iterable[Sequence[Prepared]]) -> list[dict[str, dict[Any, Values]]]:
    """What batches put and sweep, stage by stage: statement → what identifies a row → its values.

    Of several rows for one place only the last is put. What sweeps has a stage of its own.
    """
    tables: dict[str, dict[Any, Values]] = {}
    stages = [tables]
    sweep = ""  # the name of what the last stage sweeps, "" for what is put
    for batch in batches:
        for name, key, values in batch:
            if (name in SWEEPS or sweep) and name != sweep:
                sweep = name if name in SWEEPS else ""
                tables = {}
                stages.append(tables)
            if sweep:  # of two sweeps of one run only the first finds it
                tables.setdefault(name, {}).setdefault(key, values)
            else:
                tables.setdefault(name, {})[key] = values
    return stages


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
        run.stop,
        plain(run.stop_reason),
        None if run.deadline_at is None else micros(run.deadline_at),
        run.retries,
        run.has_undo,
        None if run.scheduled_at is None else micros(run.scheduled_at),
        run.after_no,
    )


def to_run(values: Values) -> RunRow:
    """The run of a row of `runs`; raises Unreadable when it cannot be read."""
    row = list(values)
    try:
        row[8], row[9], row[22] = instant(row[8]), bool(row[9]), bool(row[22])
        for place in (10, 16, 20, 23):
            if row[place] is not None:
                row[place] = instant(row[place])
    except (TypeError, OverflowError) as error:
        raise Unreadable(f"run number {row[0]}: {error}") from error
    return RunRow(*row)


def to_pruned(values: Values) -> PrunedRun:
    """The run of a row of `pruned`; raises Unreadable when it cannot be read."""
    id, no, digest, status, finished_at, pruned_at = values
    try:
        return PrunedRun(
            id, no, digest, status, None if finished_at is None else instant(finished_at), instant(pruned_at)
        )
    except (TypeError, OverflowError) as error:
        raise Unreadable(f"the pruned run {id!r}: {error}") from error


def _of_entry(entry: Entry) -> Values:
    """The values as they are: most of what is written are entries, so the writer escapes them only when it has to."""
    return (
        entry.run_no,
        entry.position,
        entry.order,
        entry.kind,
        entry.key,
        entry.status,
        micros(entry.ready_at),
        entry.activity,
        entry.attempt,
        entry.failures,
        entry.lost,
        entry.inputs,
        entry.secrets,
        entry.output,
        entry.error,
        entry.row_id,
        None if entry.due_at is None else micros(entry.due_at),
        None if entry.finished_at is None else micros(entry.finished_at),
        entry.done_no,
        entry.has_turn,
        entry.heartbeat,
    )


def to_entry(values: Values) -> Entry:
    """The entry of a row of `journal`; raises Unreadable when it cannot be read."""
    row = list(values)
    try:
        row[6], row[19] = instant(row[6]), bool(row[19])
        for place in (16, 17):
            if row[place] is not None:
                row[place] = instant(row[place])
    except (TypeError, OverflowError) as error:
        raise Unreadable(f"the journal of run number {row[0]} at {row[1]!r}: {error}") from error
    return Entry(*row)


def to_row(values: Sequence[Any]) -> Row:
    """The row of a row of `incident_log`; raises Unreadable when somebody wrote there what cannot be read."""
    try:
        return Row(**{name: read(value) for (name, _, read), value in zip(_LOG, values, strict=True)})
    except (ValueError, TypeError) as error:
        raise Unreadable(
            f"row {values[0]} of incident_log: {error} (times are 2026-01-31T12:00:00.000000Z there, lists are JSON)"
        ) from error


def escaped(value: Any) -> Any:
    """The value as SQLite can hold it."""
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
    return escaped, bool if column in _YES_OR_NO else escaped


#: The columns of incident_log, each with how its value is written and read.
_LOG: Final = tuple((column, *_how(column)) for column in put("put_row").columns)
