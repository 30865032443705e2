"""The interpreter: the one place that says what each step of a flow means.

It walks the steps from the top and asks the engine port for everything; answers that are recorded
come back as they were, so the same walk serves the first time and every time after.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never

from resolute.branch import BranchScope, BranchView, RunContext
from resolute.context import deciding
from resolute.engine import Fault, Finished, FlowPort, ResolvedInputs, RunStopped, StepFailed, child_id
from resolute.errors import ResoluteError
from resolute.filling import delay_of, listed, moved, node_inputs
from resolute.jsontypes import JsonValue
from resolute.model.activity import Node
from resolute.model.codec import to_text
from resolute.model.outcomes import ChildrenResult, EachResult, GateAnswer, ItemFault
from resolute.model.pages import PaginatedActivity
from resolute.model.recipe import Flow
from resolute.model.reference import Condition, MissingValue, resolve
from resolute.model.steps import (
    Advance,
    Block,
    Branch,
    Children,
    Each,
    Gate,
    Loop,
    NodeStep,
    Parallel,
    Sleep,
    Step,
    Test,
)
from resolute.saga import Saga

log = logging.getLogger("resolute.run")


async def interpret(flow: Flow, port: FlowPort) -> Any:
    """Walk a flow to its end and return the run's result.

    Raises:
        StepFailed: a step failed for good; what was done is undone, and the flow's failure node has run.
        RunStopped: the run was stopped; what was done is undone.
    """
    walk = Walk(flow, port)
    view = BranchView()
    try:
        await walk.block(flow.steps, view, "")
        port.check()
        return walk.result(view)
    except (StepFailed, RunStopped) as end:
        await walk.end_early(view, end)
        raise


class Walk:
    """One walk through one run."""

    def __init__(self, flow: Flow, port: FlowPort) -> None:
        self.flow = flow
        self.port = port
        self.context = RunContext(flow, port, port.input)
        self.saga = Saga(port.run_id)

    async def block(self, block: Block, view: BranchView, path: str) -> None:
        for step in block:
            await self.step(step, view, path)

    async def step(self, step: Step, view: BranchView, path: str) -> None:
        match step:
            case NodeStep():
                await self.node(step.node, view, path)
            case Branch():
                holds = self.decide(step.test, step.key, view, path + step.key, "branch")
                await self.block(step.then if holds else step.otherwise, view, path)
            case Sleep():
                await self.sleep(step, view, path)
            case Loop():
                await self.loop(step, view, path)
            case Parallel():
                await self.parallel(step, view, path)
            case Each():
                await self.each(step, view, path)
            case Gate():
                await self.gate(step, view, path)
            case Children():
                await self.children(step, view, path)
            case Advance():
                self.advance(step, view, path)
            case _:
                assert_never(step)

    # Nodes

    async def node(self, node: Node[Any], view: BranchView, path: str) -> None:
        """Run a node, or else its fallback; what it puts out is known from then on."""
        position = path + node.key
        try:
            if isinstance(node.activity, PaginatedActivity):
                finished = await self.pages(node, node.activity, view, position)
            else:
                finished = await self.port.call(node, position, lambda now: node_inputs(self.context, node, view, now))
        except StepFailed as failure:
            if node.fallback is None:
                raise
            log.warning("run %s: %s failed, going on with %s", self.port.run_id, failure, node.fallback.key)
            await self.node(node.fallback, view, path)
            return
        view.add(node.key, finished.output, repeats="[" in path)
        if node.compensation is not None:
            self.saga.add(finished.order, position, node.compensation, view)

    async def pages(
        self, node: Node[Any], activity: PaginatedActivity[Any, Any], view: BranchView, position: str
    ) -> Finished:
        """The items of all pages, each page a call of its own; every reference means the same on all of them."""
        ready_at = _time(self.port.record(position, "pages", node.key, _iso))
        items: list[Any] = []
        asked: set[str] = set()
        page: JsonValue = None
        for number in range(activity.max_pages):
            one = activity.page_node(node, page)

            def inputs(_: datetime, one: Node[Any] = one) -> ResolvedInputs:
                return node_inputs(self.context, one, view, ready_at)

            finished = await self.port.call(one, f"{position}[{number}]", inputs)
            items.extend(finished.output.items)
            page = finished.output.next
            if page is None:
                return replace(finished, output=items)
            if to_text(page) in asked:
                error = f"Page {number} of {activity.name} names a page as its next that was asked before: {page!r}."
                raise StepFailed(node.key, error, position=f"{position}[{number}]")
            asked.add(to_text(page))
        error = (
            f"{activity.name} has more than {activity.max_pages} pages. Narrow what is asked for, or raise max_pages."
        )
        raise StepFailed(node.key, error, position=f"{position}[{activity.max_pages - 1}]")

    # Decisions and pauses

    def decide(self, test: Test, key: str, view: BranchView, position: str, kind: str) -> bool:
        """The recorded decision of a test; what it raises fails the run."""

        def decided(now: datetime) -> bool:
            with deciding(key):
                try:
                    if isinstance(test, Condition):
                        return test.holds(BranchScope(self.context, view, now))
                    return bool(test(self.context.state(view, key)))
                except (Exception, SystemExit) as error:  # an author's code may raise anything; it fails this run alone
                    raise StepFailed(key, _told(self.flow, key, error), position=position) from error

        return bool(self.port.record(position, kind, key, decided))

    async def sleep(self, step: Sleep, view: BranchView, path: str) -> None:
        await self.port.sleep(path + step.key, step.key, lambda now: now + delay_of(self.context, step, view, now))

    async def gate(self, gate: Gate, view: BranchView, path: str) -> None:
        position, timeout = path + gate.key, gate.timeout
        answer = GateAnswer.model_validate(
            await self.port.wait_signal(position, gate.key, lambda now: None if timeout is None else now + timeout)
        )
        view.add(gate.key, answer, repeats="[" in path)
        who = f" by {answer.by}" if answer.by else ""
        why = f": {answer.reason}" if answer.reason else ""
        if answer.outcome == "rejected" and gate.on_reject == "fail":
            raise StepFailed(gate.key, f'The gate "{gate.key}" was rejected{who}{why}.', position=position)
        if answer.outcome == "timed_out" and gate.on_timeout == "fail":
            raise StepFailed(
                gate.key, f'The gate "{gate.key}" was not answered within {gate.timeout}.', position=position
            )

    def advance(self, step: Advance, view: BranchView, path: str) -> None:
        """Move a cursor on; a value that lies behind it changes nothing."""

        def move(now: datetime, old: JsonValue) -> JsonValue:
            return moved(self.context, step, view, now, old)

        self.port.advance(path + step.key, step.key, step.cursor, move)

    # Loops and branches

    async def loop(self, loop: Loop, view: BranchView, path: str) -> None:
        place = path + loop.key
        began = _time(self.port.record(place, "loop", loop.key, _iso))
        number = 0
        while True:
            here = f"{place}[{number}]"
            started = _time(self.port.record(here, "round", loop.key, _iso))
            await self.block(loop.body, view, f"{here}/")
            if self.decide(loop.until, loop.key, view, f"{here}~until", "branch"):
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
                raise StepFailed(loop.key, f'The loop "{loop.key}" ended: {reason}.', position=f"{here}~end")
            if loop.every:
                # No later than one interval from now: the clock may have been set back during the round.
                await self.port.sleep(f"{here}~every", loop.key, lambda now, at=next_start: min(at, now + loop.every))  # type: ignore[misc]

    async def parallel(self, step: Parallel, view: BranchView, path: str) -> None:
        views = [view.fork() for _ in step.branches]
        place = f"{path}{step.key}/"
        branches = zip(step.branches, views, strict=True)
        ends = await self.port.gather([self.block(block, branch, place) for block, branch in branches])
        view.join(views)
        _raise_stopped(ends)
        failures = [end for end in ends if isinstance(end, StepFailed)]
        if failures:
            raise _failed_together(step.key, f"{len(failures)} of {len(ends)} branches", failures)

    async def each(self, step: Each, view: BranchView, path: str) -> None:
        place = path + step.key
        items = self.many(step.over, step.key, place, "each", view)
        views: list[BranchView | None] = [None] * len(items)
        failures: dict[int, StepFailed] = {}
        skipped: list[int] = []

        async def do(index: int) -> None:
            here = f"{place}[{index}]"
            if not step.keep_going and not self.port.record(here, "item", step.key, lambda now: not failures):
                skipped.append(index)
                return
            branch = views[index] = view.fork(items[index])
            try:
                await self.block(step.body, branch, f"{here}/")
            except StepFailed as failure:
                failures[index] = failure

        await self.side_by_side(do, len(items), step.limit)
        view.join(views, repeats=True)
        result = EachResult.model_construct(
            results=[{} if branch is None else branch.put_out() for branch in views],
            errors=_item_faults(items, failures),
            skipped=sorted(skipped),
        )
        view.add(step.key, result, repeats="[" in path)
        if failures and step.on_error == "fail":
            ordered = [failures[index] for index in sorted(failures)]
            raise _failed_together(step.key, f"{len(failures)} of {len(items)} items", ordered)

    async def children(self, step: Children, view: BranchView, path: str) -> None:
        place = path + step.key
        inputs = self.many(step.inputs, step.key, place, "children", view)
        results: list[Any] = [None] * len(inputs)
        failures: dict[int, StepFailed] = {}

        async def do(index: int) -> None:
            here = f"{place}[{index}]"
            try:
                results[index] = await self.port.spawn(here, step.key, step.flow, lambda now: inputs[index])
            except StepFailed as failure:
                failures[index] = failure

        await self.side_by_side(do, len(inputs), step.limit)
        result = ChildrenResult.model_construct(
            run_ids=[child_id(self.port.run_id, f"{place}[{index}]") for index in range(len(inputs))],
            results=results,
            errors=_item_faults(inputs, failures),
        )
        view.add(step.key, result, repeats="[" in path)
        if failures and step.on_error == "fail":
            ordered = [failures[index] for index in sorted(failures)]
            raise _failed_together(step.key, f"{len(failures)} of {len(inputs)} runs", ordered)

    def many(self, values: Any, key: str, place: str, kind: str, view: BranchView) -> list[Any]:
        """The recorded list that a step works through."""
        found: Any = self.port.record(place, kind, key, lambda now: listed(self.context, values, key, view, now))
        return list(found)

    async def side_by_side(self, do: Callable[[int], Coroutine[Any, Any, None]], count: int, limit: int) -> None:
        """Do something for each index, so many at a time; raises RunStopped."""
        indexes = iter(range(count))

        async def work(indexes: Iterator[int]) -> None:
            for index in indexes:
                await do(index)

        _raise_stopped(await self.port.gather([work(indexes) for _ in range(min(limit, count))]))

    # The end

    async def end_early(self, view: BranchView, end: StepFailed | RunStopped) -> None:
        """Undo what was done, then run the flow's failure node."""
        self.port.shield(end)
        failure = end if isinstance(end, StepFailed) else end.failure
        if self.saga:
            self.port.record("~undo", "undo", "undo", lambda now: str(end))
            end.undo_faults = await self.saga.undo(self.node)
        if failure is not None and self.flow.failure_node is not None:
            await self.after_failure(self.flow.failure_node, view, failure, end.undo_faults)

    async def after_failure(
        self, node: Node[Any], view: BranchView, failure: StepFailed, undo_faults: Sequence[Fault]
    ) -> None:
        """Run the flow's failure node with the failure as its input; its own failure is only logged."""
        place = f"~failure[{self.port.retries}]"
        told: dict[str, JsonValue] = {"key": failure.key, "error": failure.error}
        self.port.record(place, "failure", failure.key, lambda now: told)
        self.context = replace(
            self.context,
            input={
                **told,
                "errors": [vars(fault) for fault in (*failure.faults, *undo_faults)],
                "run_id": self.port.run_id,
                "flow": self.flow.name,
                "input": self.context.input,
            },
        )
        try:
            await self.node(node, view, f"{place}/")
        except StepFailed as second:
            log.error("run %s: its failure node failed too: %s", self.port.run_id, second)

    def result(self, view: BranchView) -> Any:
        if self.flow.result is None:
            return dict(view.outputs)
        now = _time(self.port.record("~result", "result", "result", _iso))
        try:
            return resolve(self.flow.result, BranchScope(self.context, view, now))
        except (MissingValue, ValueError, TypeError) as error:
            raise StepFailed(
                "returns", f'Flow "{self.flow.name}": returns(...) cannot be filled in: {error}.'
            ) from error


def _raise_stopped(ends: Sequence[StepFailed | RunStopped | None]) -> None:
    for end in ends:
        if isinstance(end, RunStopped):
            raise end


def _failed_together(key: str, how_many: str, failures: Sequence[StepFailed]) -> StepFailed:
    """The failure of a step that holds others: all their errors in one text."""
    faults = [fault for failure in failures for fault in failure.faults]
    told = "; ".join(f"{fault.position}: {fault.error}" for fault in faults)
    return StepFailed(key, f"{how_many} failed: {told}", faults=faults)


def _item_faults(items: Sequence[Any], failures: dict[int, StepFailed]) -> list[ItemFault]:
    return [
        ItemFault(index=index, item=items[index], key=failures[index].key, error=failures[index].error)
        for index in sorted(failures)
    ]


def _told(flow: Flow, key: str, error: Exception | SystemExit) -> str:
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
