"""What `resolute flows list` and `show` say of a flow: the names and values that programs may rely on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from resolute.cron import ticks_after
from resolute.drawing.phrases import limit_text, retry_text, trigger_text, value_text
from resolute.drawing.words import words
from resolute.model.activity import Node
from resolute.model.recipe import Cursor, Flow
from resolute.model.reference import MISSING, Condition, Ref, references_in
from resolute.model.refs import EnvRef, SecretRef
from resolute.model.steps import Advance, Branch, Children, Each, Loop, NodeStep, Sleep, walk_steps
from resolute.model.trigger import Schedule, Trigger


def summary_json(flow: Flow, now: datetime) -> dict[str, Any]:
    """A flow in a list; `next` is the soonest tick of its schedules."""
    triggers = [_trigger(trigger, now) for trigger in flow.triggers]
    return {
        "name": flow.name,
        "triggers": triggers,
        "next": min((each["next"] for each in triggers if each["next"] is not None), default=None),
        "steps": sum(1 for _ in walk_steps(flow.steps)),
        "timeout_s": None if flow.timeout is None else flow.timeout.total_seconds(),
    }


def flow_json(flow: Flow, now: datetime) -> dict[str, Any]:
    """All that is known of a flow before it runs."""
    found = list(_references(flow))
    return {
        **summary_json(flow, now),
        "accepts": _accepted(flow),
        "returns": None if flow.result is None else value_of(flow.result),
        "cursors": [_cursor(cursor) for cursor in flow.cursors.values()],
        "secrets": list(dict.fromkeys(ref.name for ref in found if isinstance(ref, SecretRef))),
        "env": list({ref.name: _variable(ref) for ref in found if isinstance(ref, EnvRef)}.values()),
        "providers": list({(each["provider"], each["instance"]): each for each in _accounts(flow)}.values()),
        "nodes": list(_nodes(flow)),
        "words": words(flow).splitlines(),
    }


def value_of(value: Any) -> Any:
    """A value as JSON, with each reference as its author wrote it."""
    match value:
        case Ref():
            return repr(value)
        case Mapping():
            return {str(key): value_of(inner) for key, inner in value.items()}
        case list() | tuple():
            return [value_of(inner) for inner in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return value_text(value)


def type_text(annotation: Any) -> str:
    """A type as it is written in a signature: "str", "list[int] | None"."""
    if annotation is Any:
        return "any"
    plain = isinstance(annotation, type) and not getattr(annotation, "__args__", None)
    return annotation.__name__ if plain else str(annotation).replace("typing.", "")


def _trigger(trigger: Trigger, now: datetime) -> dict[str, Any]:
    tick = next(ticks_after(trigger.cron, trigger.timezone, now), None) if isinstance(trigger, Schedule) else None
    return {"id": trigger.id, "kind": type(trigger).__name__.lower(), "text": trigger_text(trigger), "next": tick}


def _accepted(flow: Flow) -> dict[str, Any] | None:
    if flow.input_model is None:
        return None
    fields = [
        {"name": field.alias or name, "type": type_text(field.annotation), "required": field.is_required()}
        for name, field in flow.input_model.model_fields.items()
    ]
    return {"model": flow.input_model.__name__, "fields": fields}


def _cursor(cursor: Cursor) -> dict[str, Any]:
    start = None if cursor.start is MISSING else value_of(cursor.start)
    return {"name": cursor.name, "type": type_text(cursor.type), "start": start}


def _variable(ref: EnvRef) -> dict[str, Any]:
    required = ref.default is MISSING
    return {"name": ref.name, "required": required, "default": None if required else value_of(ref.default)}


def _accounts(flow: Flow) -> Iterator[dict[str, Any]]:
    for node in flow.nodes():
        if node.activity.provider is not None:
            yield {"provider": node.activity.provider, "instance": node.instance or ""}


def _references(flow: Flow) -> Iterator[Ref]:
    """Every reference that a run of the flow may have to fill in."""
    for node in flow.nodes():
        yield from references_in(dict(node.arguments))
    for step in walk_steps(flow.steps):
        match step:
            case Branch(test=Condition() as test) | Loop(until=Condition() as test):
                yield from test.references()
            case Each():
                yield from references_in(step.over)
            case Children():
                yield from references_in(step.inputs)
            case Sleep():
                yield from references_in(step.delay)
            case Advance():
                yield from references_in(step.to)
    yield from references_in(flow.result)


def _nodes(flow: Flow) -> Iterator[dict[str, Any]]:
    for step in walk_steps(flow.steps):
        if isinstance(step, NodeStep):
            yield from _node(step.node, "node", "")
    if flow.failure_node is not None:
        yield from _node(flow.failure_node, "failure", "")


def _node(node: Node[Any], role: str, of: str) -> Iterator[dict[str, Any]]:
    """The node, then what undoes it, then its fallback; `of` is the key of the node that a helper belongs to."""
    retry, limit = node.retry or node.activity.retry, node.rate_limit
    yield {
        "key": node.key,
        "role": role,
        "of": of,
        "activity": node.activity.name,
        "instance": node.instance or "",
        "retry": {
            "text": retry_text(retry),
            "attempts": retry.attempts,
            "initial_s": retry.initial.total_seconds(),
            "maximum_s": retry.maximum.total_seconds(),
            "deadline_s": None if retry.deadline is None else retry.deadline.total_seconds(),
        },
        "timeout_s": (node.timeout or node.activity.timeout).total_seconds(),
        "heartbeat_s": None if node.heartbeat is None else node.heartbeat.total_seconds(),
        "rate_limit": limit
        and {
            "text": limit_text(limit),
            "limit": limit.limit,
            "per_s": limit.per.total_seconds(),
            "name": limit.name,
        },
    }
    if isinstance(node.compensation, Node):
        yield from _node(node.compensation, "undo", node.key)
    if isinstance(node.fallback, Node):
        yield from _node(node.fallback, "fallback", node.key)
