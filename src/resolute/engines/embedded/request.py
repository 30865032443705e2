"""What is asked of runs, and refused: ids that cannot be typed, inputs that do not fit, runs that are not there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

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
        return hashlib.sha256(to_text([flow, to_plain(input), dict(secrets or {})]).encode()).hexdigest()
    except NotJournalable as error:
        raise InputError(f"The input cannot be kept in the journal: {error}. Give JSON values.") from error


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


def no_gate(run_id: str, flow: str, gate: str) -> EngineError:
    """The error for a signal to a run: no step of this version waits for one."""
    return EngineError(f'Run "{run_id}" of "{flow}" has no gate "{gate}": no step of its flow waits for an answer.')
