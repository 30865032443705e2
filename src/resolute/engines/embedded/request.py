"""What is asked of runs, and refused: ids that cannot be typed, inputs that do not fit, runs and gates that are not."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from resolute.engines.embedded.store import RunRow
from resolute.errors import EngineError, InputError, RunConflict, RunNotFound
from resolute.jsontypes import JsonValue
from resolute.model.codec import NotJournalable, describe, to_plain, to_text
from resolute.model.recipe import Flow


def check_run_id(run_id: str) -> None:
    """Refuse a run id that could not be shown or typed; raises InputError."""
    if not 1 <= len(run_id) <= 200 or not run_id.isprintable():
        raise InputError(f"The run id {run_id!r} needs 1 to 200 printable characters.")


def input_digest(flow: str, input: JsonValue, secrets: Mapping[str, str] | None = None) -> str:
    """Tells whether a run is started with the same flow and input as another.

    Args:
        secrets: the digests of its secret inputs by name.
    """
    try:
        told = to_text([flow, _sorted(to_plain(input)), _sorted(dict(secrets or {}))])
        return hashlib.sha256(told.encode()).hexdigest()
    except NotJournalable as error:
        raise InputError(f"The input cannot be kept in the journal: {error}. Give JSON values.") from error


def _sorted(plain: JsonValue) -> JsonValue:
    """The same data with the keys of every object in order: two orders are no two inputs."""
    if isinstance(plain, dict):
        return {key: _sorted(plain[key]) for key in sorted(plain)}
    if isinstance(plain, list):
        return [_sorted(inner) for inner in plain]
    return plain


def input_text(recipe: Flow, input: JsonValue) -> str:
    """The input as journal text, checked against what the flow accepts (no input is {} there); raises InputError."""
    try:
        if recipe.input_adapter is None:
            return to_text(to_plain(input))
        valid = recipe.input_adapter.validate_python({} if input is None else input, strict=False)
        return to_text(to_plain(valid, recipe.input_adapter))
    except ValidationError as error:
        raise InputError(f'The input does not fit what flow "{recipe.name}" accepts: {describe(error)}.') from error
    except NotJournalable as error:
        raise InputError(f"The input cannot be kept in the journal: {error}. Give JSON values.") from error


def check_same(row: RunRow, digest: str) -> None:
    """Refuse a start under the id of a run of another flow or input; raises RunConflict."""
    if row.input_digest != digest:
        raise RunConflict(
            f'Run "{row.id}" exists already, with another flow or input (it runs "{row.flow}"). '
            "Use another run id, or the same input."
        )


def not_found(run_id: str) -> RunNotFound:
    """The error for an id that no run has."""
    return RunNotFound(f'No run has the id "{run_id}". `resolute runs list` shows the newest.')


def check_gate(recipe: Flow | None, run_id: str, gate: str) -> None:
    """Refuse a signal for a gate that the run's flow does not have; raises EngineError."""
    if recipe is None:  # only a worker that has the flow knows its gates
        return
    key = gate.rpartition("/")[2]
    if key in recipe.gates:
        return
    near = difflib.get_close_matches(key, recipe.gates, 1)
    known = ", ".join(f'"{name}"' for name in recipe.gates) or "none"
    hint = f' Did you mean "{near[0]}"?' if near else ""
    raise EngineError(
        f'Run "{run_id}" is of the flow "{recipe.name}", which has no gate "{gate}".{hint} Its gates: {known}.'
    )


def signal_text(outcome: str, by: str, reason: str, data: JsonValue, at: datetime) -> str:
    """An answer for a gate as journal text; raises InputError."""
    if outcome not in ("approved", "rejected"):
        raise InputError(f'A gate is answered "approved" or "rejected", not {outcome!r}.')
    try:
        return to_text({"outcome": outcome, "by": by, "at": at.isoformat(), "reason": reason, "data": to_plain(data)})
    except NotJournalable as error:
        raise InputError(f"The data of the answer cannot be kept in the journal: {error}. Give JSON values.") from error
