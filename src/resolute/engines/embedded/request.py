"""What is asked of a run before it is started: an id that can be typed, an input that fits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import ValidationError

from resolute.errors import InputError
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
