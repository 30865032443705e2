"""The interpreter: the one place that says what each step of a flow means.

It walks the steps from the top and asks the engine port for everything; answers that are recorded
come back as they were, so the same walk serves the first time and every time after.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any, assert_never

from resolute.context import deciding
from resolute.engine import FlowPort, ResolvedInputs, StepFailed
from resolute.errors import ResoluteError
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.reference import Condition, MissingValue, Ref, resolve
from resolute.model.state import FlowState
from resolute.model.steps import Block, Branch, Loop, NodeStep, Sleep, Step, Test

log = logging.getLogger("resolute.run")


async def interpret(flow: Flow, port: FlowPort) -> Any:
    """Walk a flow to its end and return the run's result.

    Raises:
        StepFailed: a step failed for good; the flow's failure node has run.
    """
    walk = _Walk(flow, port)
    try:
        await walk.block(flow.steps, "")
        return walk.result()
    except StepFailed as failure:
        if flow.failure_node is not None:
            await walk.after_failure(flow.failure_node, failure)
        raise


class _Scope:
    """What references see at one node."""

    def __init__(self, walk: _Walk, now: datetime) -> None:
        self.now = now
        self.run_id = walk.port.run_id
        self._walk = walk

    def output(self, key: str) -> Any:
        outputs = self._walk.outputs
        if key not in outputs:
            known = ", ".join(f'"{name}"' for name in outputs) or "nothing yet"
            raise MissingValue(key, f'this run has no output "{key}". Known here: {known}')
        return outputs[key]

    def input(self) -> Any:
        return self._walk.input

    def env(self, name: str) -> str | None:
        return self._walk.port.env(name)


class _Walk:
    """One walk through one run."""

    def __init__(self, flow: Flow, port: FlowPort) -> None:
        self.flow = flow
        self.port = port
        self.input = port.input
        self.outputs: dict[str, Any] = {}
        self.rounds: dict[str, list[Any]] = {}

    async def block(self, block: Block, path: str) -> None:
        for step in block:
            await self.step(step, path)

    async def step(self, step: Step, path: str) -> None:
        match step:
            case NodeStep():
                await self.node(step.node, path)
            case Branch():
                chosen = step.then if self.decide(step.test, step.key, path + step.key, "branch") else step.otherwise
                await self.block(chosen, path)
            case Sleep():
                await self.port.sleep(path + step.key, step.key, lambda now: now + self.delay(step, now))
            case Loop():
                await self.loop(step, path)
            case _:
                assert_never(step)

    async def node(self, node: Node[Any], path: str) -> None:
        try:
            output = await self.port.call(node, path + node.key, lambda now: self.inputs(node, now))
        except StepFailed as failure:
            if node.fallback is None:
                raise
            log.warning("run %s: %s failed, going on with %s", self.port.run_id, failure, node.fallback.key)
            await self.node(node.fallback, path)
            return
        self.outputs.pop(node.key, None)
        self.outputs[node.key] = output
        if path:
            self.rounds.setdefault(node.key, []).append(output)

    async def loop(self, loop: Loop, path: str) -> None:
        place = path + loop.key
        began = _time(self.port.record(place, "loop", loop.key, _iso))
        number = 0
        while True:
            here = f"{place}[{number}]"
            started = _time(self.port.record(here, "round", loop.key, _iso))
            await self.block(loop.body, f"{here}/")
            if self.decide(loop.until, loop.key, f"{here}~until", "branch"):
                return
            number += 1
            next_start = started + loop.every

            def ends(now: datetime, number: int = number, next_start: datetime = next_start) -> str:
                if loop.at_most is not None and number >= loop.at_most:
                    return f"its test did not hold after {number} rounds (at_most)"
                if loop.timeout is not None and max(now, next_start) >= began + loop.timeout:
                    return f"its test did not hold within {loop.timeout} ({number} rounds)"
                return ""

            reason = self.port.record(f"{here}~end", "branch", loop.key, ends)
            if reason and loop.on_end == "continue":
                return
            if reason:
                raise StepFailed(loop.key, f'The loop "{loop.key}" ended: {reason}.')
            if loop.every:
                # No later than one interval from now: the clock may have been set back during the round.
                await self.port.sleep(f"{here}~every", loop.key, lambda now, at=next_start: min(at, now + loop.every))  # type: ignore[misc]

    async def after_failure(self, node: Node[Any], failure: StepFailed) -> None:
        """Run the flow's failure node with the failure as its input; its own failure is only logged."""
        self.port.record("~failure", "failure", failure.key, lambda now: {"key": failure.key, "error": failure.error})
        self.input = {
            "key": failure.key,
            "error": failure.error,
            "run_id": self.port.run_id,
            "flow": self.flow.name,
            "input": self.input,
        }
        try:
            await self.node(node, "")
        except StepFailed as second:
            log.error("run %s: its failure node failed too: %s", self.port.run_id, second)

    def inputs(self, node: Node[Any], now: datetime) -> ResolvedInputs:
        """The node's inputs with every reference filled in; a page's content is never refused."""
        scope = _Scope(self, now)
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
                raise StepFailed(
                    node.key,
                    f'Flow "{self.flow.name}": "{node.key}({name}=...)" cannot be filled in: {error}.',
                ) from error
        return ResolvedInputs(values, tuple(remarks))

    def decide(self, test: Test, key: str, position: str, kind: str) -> bool:
        """The recorded decision of a test; what it raises fails the run."""

        def decided(now: datetime) -> bool:
            with deciding(key):
                try:
                    if isinstance(test, Condition):
                        return test.holds(_Scope(self, now))
                    return bool(test(self.state(key)))
                except Exception as error:  # the author's code may raise anything; it fails this run alone
                    raise StepFailed(key, _told(self.flow, key, error)) from error

        return bool(self.port.record(position, kind, key, decided))

    def delay(self, step: Sleep, now: datetime) -> timedelta:
        """How long to sleep; a reference may give a timedelta or seconds."""
        try:
            delay = resolve(step.delay, _Scope(self, now))
        except MissingValue as error:
            raise StepFailed(step.key, f'Flow "{self.flow.name}": "{step.key}": {error.reason}.') from error
        if isinstance(delay, int | float) and not isinstance(delay, bool) and 0 <= delay < 1e9:
            return timedelta(seconds=delay)
        if isinstance(delay, timedelta) and delay >= timedelta(0):
            return delay
        raise StepFailed(
            step.key, f'Flow "{self.flow.name}": "{step.key}" cannot sleep for {delay!r}: give a timedelta or seconds.'
        )

    def state(self, key: str) -> FlowState:
        return FlowState(self.flow.name, self.port.run_id, self.input, self.outputs, self.rounds, key)

    def result(self) -> Any:
        if self.flow.result is None:
            return dict(self.outputs)
        now = _time(self.port.record("~result", "result", "result", _iso))
        try:
            return resolve(self.flow.result, _Scope(self, now))
        except (MissingValue, ValueError, TypeError) as error:
            raise StepFailed(
                "returns", f'Flow "{self.flow.name}": returns(...) cannot be filled in: {error}.'
            ) from error


def _told(flow: Flow, key: str, error: Exception) -> str:
    if isinstance(error, ResoluteError | MissingValue):
        return str(error)
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f" (line {frame.tb_lineno} of {frame.tb_frame.f_code.co_filename})" if frame is not None else ""
    return f'Flow "{flow.name}": the predicate of "{key}" raised {type(error).__name__}: {error}{where}.'


def _iso(now: datetime) -> str:
    return now.isoformat()


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(text)
