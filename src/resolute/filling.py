"""Values of steps with their references filled in, as they are recorded when the step is reached.

What cannot be filled in fails the step; only the content of a page is never refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from resolute.branch import BranchScope, BranchView, RunContext
from resolute.engine import ResolvedInputs, StepFailed
from resolute.jsontypes import JsonValue
from resolute.model.activity import Node
from resolute.model.codec import NotJournalable, describe, rebuild, to_plain
from resolute.model.reference import MissingValue, Ref, resolve
from resolute.model.steps import Advance, Sleep


def filled(context: RunContext, value: Any, key: str, what: str, view: BranchView, now: datetime) -> Any:
    """A value with its references filled in; raises StepFailed."""
    try:
        return resolve(value, BranchScope(context, view, now))
    except (MissingValue, ValueError, TypeError) as error:
        told = f'Flow "{context.flow.name}": {what} of "{key}" cannot be filled in: {error}.'
        raise StepFailed(key, told) from error


def node_inputs(context: RunContext, node: Node[Any], view: BranchView, now: datetime) -> ResolvedInputs:
    """The node's inputs; where the content of a page is missing, a mark stands in its place. Raises StepFailed."""
    scope = BranchScope(context, view, now)
    values: dict[str, Any] = {}
    remarks: list[str] = []

    def mark(ref: Ref, missing: MissingValue) -> str:
        name = repr(ref).partition('"')[2].partition('"')[0] or repr(ref)
        remarks.append(f"{name} is missing: {missing.reason}")
        return f"<missing {name}>"

    for name, value in node.arguments.items():
        lenient = node.activity.is_paging and name in node.activity.content_fields
        try:
            values[name] = resolve(value, scope, mark if lenient else None)
        except (MissingValue, ValueError, TypeError) as error:
            told = f'Flow "{context.flow.name}": "{node.key}({name}=...)" cannot be filled in: {error}.'
            raise StepFailed(node.key, told) from error
    return ResolvedInputs(values, tuple(remarks))


def delay_of(context: RunContext, step: Sleep, view: BranchView, now: datetime) -> timedelta:
    """How long to sleep; a reference may give a timedelta or seconds. Raises StepFailed."""
    delay = filled(context, step.delay, step.key, "the delay", view, now)
    if isinstance(delay, int | float) and not isinstance(delay, bool) and 0 <= delay < 1e9:
        return timedelta(seconds=delay)
    if isinstance(delay, timedelta) and delay >= timedelta(0):
        return delay
    raise StepFailed(
        step.key, f'Flow "{context.flow.name}": "{step.key}" cannot sleep for {delay!r}: give a timedelta or seconds.'
    )


def listed(context: RunContext, values: Any, key: str, view: BranchView, now: datetime) -> JsonValue:
    """The list that a step works through, as JSON; raises StepFailed."""
    found = filled(context, values, key, "the list", view, now)
    told = f'Flow "{context.flow.name}": "{key}"'
    if not isinstance(found, list | tuple):
        raise StepFailed(
            key,
            f"{told} works through a list, not {type(found).__name__}. "
            "Refer to a list, or write [output(...)] for a single one.",
        )
    try:
        plain: JsonValue = to_plain(list(found))
    except NotJournalable as error:
        raise StepFailed(
            key, f"{told} has a list that cannot be kept in the journal: {error}. Give JSON values or pydantic models."
        ) from error
    return plain


def moved(context: RunContext, step: Advance, view: BranchView, now: datetime, old: JsonValue) -> JsonValue:
    """Where a cursor is to be from now on, which is never behind where it is; raises StepFailed."""
    cursor = context.flow.cursors[step.cursor]
    value = filled(context, step.to, step.key, f'the cursor "{step.cursor}"', view, now)
    try:
        new = rebuild(value, cursor.adapter)
        if old is not None and not rebuild(old, cursor.adapter) < new:
            return old
        plain: JsonValue = to_plain(new, cursor.adapter)
        return plain
    except ValidationError as error:
        reason = describe(error)
    except (TypeError, NotJournalable) as error:
        reason = str(error)
    raise StepFailed(
        step.key,
        f'Flow "{context.flow.name}": the cursor "{step.cursor}" cannot be moved to {value!r}: {reason}. '
        "Give a value of its declared type, of which one can be compared with another.",
    )
