"""`graph_of`: reads a flow's steps into the graph that the pictures share."""

from __future__ import annotations

import re
from typing import Any, Final, assert_never

from resolute.drawing.edges import edges_of
from resolute.drawing.graph import Choice, Graph, Group, Part, Series, Stage, Vertex, VertexKind
from resolute.drawing.phrases import (
    advance_lines,
    children_text,
    decision_text,
    each_text,
    fallback_text,
    gate_lines,
    loop_text,
    node_text,
    settings_of,
    shown_key,
    sleep_text,
    time_text,
    trigger_text,
)
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.steps import Advance, Block, Branch, Children, Each, Gate, Loop, NodeStep, Parallel, Sleep, Step

#: How the ids of these begin, where it is not with their kind.
_NAMES: Final[dict[VertexKind, str]] = {"page": "node", "decision": "when", "start": "flow", "end": "flow"}


def graph_of(flow: Flow) -> Graph:
    """The graph of a flow; the same flow always gives the same."""
    reader = _Reader()
    begin, *others = [trigger_text(trigger) for trigger in flow.triggers] or ["start"]
    starts = (begin, *(f"or {other}" for other in others))
    start = Stage(reader.vertex("start", "start", begin, starts[1:], f"starts {' '.join(starts)}"))
    body = reader.series(flow.steps)
    end = Stage(reader.vertex("end", "end", "end", (), "the run has succeeded"))
    failure = None
    if flow.failure_node is not None:
        lane = (reader.part(NodeStep(flow.failure_node)),)
        failure = Group(reader.id("on_failure", ""), "failure", "", "when the run fails", (lane,))
    caption = "" if flow.timeout is None else f"a run takes at most {time_text(flow.timeout)}"
    series = (start, *body, end)
    return Graph(flow.name, caption, series, failure, edges_of(series, failure))


class _Reader:
    """Turns steps into parts and gives each vertex its id."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def id(self, kind: str, key: str) -> str:
        """A new id that shows the kind and key."""
        plain = "_".join([kind, *re.findall(r"[A-Za-z0-9]+", key)])
        count = self._taken[plain] = self._taken.get(plain, 0) + 1
        return plain if count == 1 else self.id(kind, f"{key}_{count}")

    def vertex(self, kind: VertexKind, key: str, label: str, detail: tuple[str, ...], text: str) -> Vertex:
        return Vertex(self.id(_NAMES.get(kind, kind), key.partition("~")[0]), kind, label, detail, text)

    def series(self, block: Block) -> Series:
        return tuple(self.part(step) for step in block)

    def part(self, step: Step) -> Part:
        match step:
            case NodeStep():
                return self._stage(step.node, "page" if step.node.activity.is_paging else "node")
            case Branch():
                test, key = decision_text(step.test), shown_key(step.key)
                detail = (key,) if key else ()
                decision = self.vertex("decision", step.key, test, detail, f"{step.key}: {test}?")
                return Choice(decision, self.series(step.then), self.series(step.otherwise))
            case Loop():
                return Group(self.id("loop", step.key), "loop", step.key, loop_text(step), (self.series(step.body),))
            case Each():
                return Group(self.id("each", step.key), "each", step.key, each_text(step), (self.series(step.body),))
            case Parallel():
                lanes = tuple(self.series(branch) for branch in step.branches)
                return Group(self.id("parallel", step.key), "parallel", step.key, "side by side", lanes)
            case Sleep():
                return self._plain("sleep", step.key, (sleep_text(step),))
            case Gate():
                return self._plain("gate", step.key, gate_lines(step))
            case Children():
                return self._plain("children", step.key, (children_text(step),))
            case Advance():
                return self._plain("advance", step.key, advance_lines(step))
            case _:
                assert_never(step)

    def _plain(self, kind: VertexKind, key: str, lines: tuple[str, ...]) -> Stage:
        """A stage with its key above its lines, or the first line alone where the key says nothing."""
        label, *detail = lines if not shown_key(key) else (key, *lines)
        return Stage(self.vertex(kind, key, label, tuple(detail), f"{key}: {'; '.join(lines)}"))

    def _stage(self, node: Node[Any], kind: VertexKind) -> Stage:
        """A node with its helpers; what is no node (build() reports it) is left out."""
        detail = [] if node.activity.name == node.key else [node.activity.name]
        if settings := settings_of(node):
            detail.append(" · ".join(settings))
        made = self.vertex(kind, node.key, node.key, tuple(detail), f"{node.key}: {node_text(node)}")
        undo = self._stage(node.compensation, "undo") if isinstance(node.compensation, Node) else None
        fallback = self._stage(node.fallback, "fallback") if isinstance(node.fallback, Node) else None
        return Stage(made, fallback, undo, fallback_text(node) if fallback else "")
