"""What `build()` finds wrong with a flow, every fault as a sentence that tells how to mend it.

Here is what concerns the flow as a whole; keys, steps and references have files of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from resolute.model.activity import Activity
from resolute.model.check_keys import is_identifier, key_problems, no_identifier
from resolute.model.check_steps import step_problems
from resolute.model.limit import RateLimit, limit_clashes
from resolute.model.recipe import Flow
from resolute.model.steps import walk_steps
from resolute.model.trigger import Manual, Schedule
from resolute.model.webhook import Webhook

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_TRIGGERS = (Schedule, Manual, Webhook)


def find_problems(flow: Flow) -> list[str]:
    """Every fault of the flow, in source order."""
    found: list[str] = []
    if not is_flow_name(flow.name):
        found.append(
            f'The name {flow.name!r} needs 1 to 100 letters, digits, ".", "_" and "-", a letter or digit first.'
        )
    found.extend(_trigger_problems(flow))
    if not flow.steps:
        found.append("It has no steps. Add .then(...).")
    found.extend(_input_problems(flow))
    found.extend(_timeout_problems(flow))
    found.extend(_cursor_problems(flow))
    found.extend(key_problems(flow))
    found.extend(_name_problems(flow))
    found.extend(_limit_problems(flow))
    if _keys_are_texts(flow):
        found.extend(step_problems(flow))
    return found


def find_warnings(flow: Flow) -> list[str]:
    """What will be mended when the flow runs."""
    return [warning for node in flow.nodes() for warning in node.activity.node_warnings(node)]


def is_flow_name(name: object) -> bool:
    """Whether a flow may be called so."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _trigger_problems(flow: Flow) -> Iterator[str]:
    if not flow.triggers:
        yield 'Nothing starts it. Add .triggered_by(schedule("*/5 * * * *")) or .triggered_by(manual("name")).'
    for trigger in flow.triggers:
        if isinstance(trigger, _TRIGGERS):
            yield from trigger.problems()
        else:
            yield f"triggered_by() takes schedule(...), manual(...) or webhook(...), not {trigger!r}."
    ids = [trigger.id for trigger in flow.triggers if isinstance(trigger, _TRIGGERS)]
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        yield f'The trigger "{id}" stands twice. Take one away, or give it another name.'


def _input_problems(flow: Flow) -> Iterator[str]:
    model = flow.input_model
    if model is None or not (isinstance(model, type) and issubclass(model, BaseModel)):
        return  # what is no model is told elsewhere
    required = [name for name, info in model.model_fields.items() if info.is_required()]
    if required and any(isinstance(trigger, Schedule) for trigger in flow.triggers):
        needs = f"{model.__name__} requires {', '.join(required)}"
        yield (
            f"It is scheduled, and its scheduled runs have no input, but {needs}. "
            "Give these fields defaults, or take the schedule away."
        )


def _timeout_problems(flow: Flow) -> Iterator[str]:
    timeout = flow.timeout
    if timeout is not None and (not isinstance(timeout, timedelta) or timeout <= timedelta(0)):
        yield (
            f"with_timeout() takes a timedelta of more than nothing, not {timeout!r}: "
            ".with_timeout(timedelta(hours=1))."
        )


def _cursor_problems(flow: Flow) -> Iterator[str]:
    for cursor in flow.cursors.values():
        if not is_identifier(cursor.name):
            yield no_identifier("cursor name", cursor.name)
        else:
            yield from cursor.problems()


def _name_problems(flow: Flow) -> Iterator[str]:
    """Two activities under one name: the journal could not tell them apart."""
    known: dict[str, Activity[Any, Any]] = {}
    for node in flow.nodes():
        if known.setdefault(node.activity.name, node.activity) is not node.activity:
            yield f'Two activities have the name "{node.activity.name}". Rename one: @activity(name="...").'


def _limit_problems(flow: Flow) -> list[str]:
    return limit_clashes(
        (f'"{node.key}"', node.rate_limit) for node in flow.nodes() if isinstance(node.rate_limit, RateLimit)
    )


def _keys_are_texts(flow: Flow) -> bool:
    """Whether what stands at a key can be looked up; if not, the keys have been told, and come first."""
    keys = [*(step.key for step in walk_steps(flow.steps)), *(node.key for node in flow.nodes())]
    return all(isinstance(key, str) for key in keys)
