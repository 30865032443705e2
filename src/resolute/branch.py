"""`BranchView`: what one branch of a run knows: the outputs so far, and the item it works on.

Branches side by side see the state at the start of their step and what they put out themselves; what
the others put out appears after the join.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resolute.cron import tick_before
from resolute.engine import FlowPort
from resolute.model.codec import rebuild
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING, MissingValue
from resolute.model.state import FlowState


class BranchView:
    """The outputs by key, those of repeated nodes also as lists, and the item of the innermost each.

    Attributes:
        news: what was put out since the branch began: key, output, and whether the key repeats.
    """

    __slots__ = ("item", "news", "outputs", "rounds")

    def __init__(self) -> None:
        self.outputs: dict[str, Any] = {}
        self.rounds: dict[str, list[Any]] = {}
        self.item: Any = MISSING
        self.news: list[tuple[str, Any, bool]] = []

    def add(self, key: str, output: Any, *, repeats: bool = False) -> None:
        """Know an output from now on; under a key that repeats, the latest one."""
        self.outputs.pop(key, None)
        self.outputs[key] = output
        self.news.append((key, output, repeats))
        if repeats:
            self.rounds.setdefault(key, []).append(output)

    def fork(self, item: Any = MISSING) -> BranchView:
        """What a branch knows that begins here."""
        branch = BranchView()
        branch.outputs = dict(self.outputs)
        branch.rounds = {key: list(outputs) for key, outputs in self.rounds.items()}
        branch.item = self.item if item is MISSING else item
        return branch

    def join(self, branches: Iterable[BranchView | None], *, repeats: bool = False) -> None:
        """Know what the branches have put out, in their order."""
        for branch in branches:
            for key, output, again in branch.news if branch is not None else ():
                self.add(key, output, repeats=again or repeats)

    def put_out(self) -> dict[str, Any]:
        """What the branch itself has put out, by key."""
        return {key: output for key, output, _ in self.news}


@dataclass(frozen=True)
class RunContext:
    """What is the same for every branch of a run."""

    flow: Flow
    port: FlowPort
    input: Any

    def state(self, view: BranchView, key: str) -> FlowState:
        """What a predicate sees at this step."""
        return FlowState(self.flow.name, self.port.run_id, self.input, view.outputs, view.rounds, key, item=view.item)


class BranchScope:
    """What references see at one step of a branch."""

    __slots__ = ("_context", "_view", "now", "run_id")

    def __init__(self, context: RunContext, view: BranchView, now: datetime) -> None:
        self.now = now
        self.run_id = context.port.run_id
        self._context = context
        self._view = view

    def output(self, key: str) -> Any:
        outputs = self._view.outputs
        if key not in outputs:
            known = ", ".join(f'"{name}"' for name in outputs) or "nothing yet"
            raise MissingValue(key, f'this run has no output "{key}". Known here: {known}')
        return outputs[key]

    def input(self) -> Any:
        return self._context.input

    def item(self) -> Any:
        if self._view.item is MISSING:
            raise MissingValue("item", "there is no item here: item(...) stands inside the body of then_each(...)")
        return self._view.item

    def cursor(self, name: str) -> Any:
        declared = self._context.flow.cursors[name]
        value = self._context.port.cursor(name)
        if value is not None:
            return rebuild(value, declared.adapter)
        if declared.start is MISSING:
            raise MissingValue(name, f'the cursor "{name}" was never moved and has no start')
        return declared.start

    def tick(self, back: int) -> datetime:
        started = self._context.port.tick
        if started is None:
            raise MissingValue(
                "tick", "no schedule started this run, so it has no scheduled time. Give one: tick(default=now())."
            )
        trigger, at = started
        rule = trigger.split(":")
        return at if not back else tick_before(rule[1], rule[2], at, back)

    def env(self, name: str) -> str | None:
        return self._context.port.env(name)
