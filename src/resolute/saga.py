"""The saga of a run: what can be undone, and undoing it when the run ends early.

Undo goes in reverse order of the commits, one node at a time, each with the view that its branch had
right after the node that it undoes. One that fails is reported while the others still run.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from resolute.branch import BranchView
from resolute.engine import Fault, StepFailed
from resolute.model.activity import Node

log = logging.getLogger("resolute.run")

#: Runs a node of this view at this path; raises StepFailed.
RunNode = Callable[[Node[Any], BranchView, str], Awaitable[None]]


@dataclass(frozen=True)
class Undoable:
    """A node that has succeeded and can be undone.

    Attributes:
        order: its place among all that finished in the run.
        position: where it stands; its undo node stands below it.
        node: the node that undoes it.
        view: what was known right after it.
    """

    order: int
    position: str
    node: Node[Any]
    view: BranchView


class Saga:
    """Collects what can be undone while the run goes on."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._done: list[Undoable] = []

    def __bool__(self) -> bool:
        return bool(self._done)

    def add(self, order: int, position: str, node: Node[Any], view: BranchView) -> None:
        """Note that a node has succeeded which can be undone."""
        self._done.append(Undoable(order, position, node, view.fork(view.item)))

    async def undo(self, run_node: RunNode) -> list[Fault]:
        """Undo everything; returns what could not be undone."""
        faults: list[Fault] = []
        for done in sorted(self._done, key=lambda done: done.order, reverse=True):
            try:
                await run_node(done.node, done.view, f"{done.position}~undo/")
            except StepFailed as failure:
                log.error("run %s: %s was not undone: %s", self._run_id, done.position, failure)
                faults.extend(failure.faults)
        return faults
