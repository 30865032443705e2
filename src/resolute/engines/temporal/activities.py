"""What a worker does for the runs of its task queue: attempts of nodes, and our own few activities."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from resolute.engine import Fault
from resolute.engines.embedded.core import Core, cursors_of
from resolute.engines.embedded.store import RunRow
from resolute.engines.temporal.attempts import postponed, work
from resolute.engines.temporal.cut import Cut
from resolute.engines.temporal.engine import TemporalEngine
from resolute.engines.temporal.left_pages import LeftPages
from resolute.engines.temporal.lost_pages import LostPages
from resolute.engines.temporal.order import AT_GATE, AWAIT_RUN, BEGIN, DROP_PAGE, LACKS_FLOW, REMEMBER, TELL, Standing
from resolute.engines.temporal.pages import Pages
from resolute.engines.temporal.values import Values
from resolute.engines.temporal.witness import attempt_event, attempt_failed
from resolute.errors import ReplayMismatch, StoreUnavailable
from resolute.ledger.incident_log import LEDGER_WAIT
from resolute.model.activity import Node
from resolute.model.codec import from_text, rebuild
from resolute.model.pages import PaginatedActivity
from resolute.model.recipe import Flow

log = logging.getLogger("resolute.temporal")

#: How often a run is looked at that another one waits for.
LOOK_AGAIN: Final = timedelta(seconds=5)
#: When an attempt is made again of a node that the flow does not have; somebody has to mend that.
MISFIT_AGAIN: Final = timedelta(seconds=5)
#: Told of a run that fails, and of all that went wrong in it.
Tell = Callable[[RunRow, Sequence[Fault]], Awaitable[None]]


class Activities:
    """The activities of one worker.

    Args:
        values: the memory and cursors of its flows.
        remote: knows how runs have ended.
        tell: starts the notice of a run that fails.

    Attributes:
        left_pages: those of its pages with which another worker has gone on.
        lost_pages: those of workers that did not come back.
    """

    def __init__(self, core: Core, values: Values, remote: TemporalEngine, tell: Tell | None = None) -> None:
        self._core = core
        self._values = values
        self._tell = tell
        self._look = remote.ended
        self._pages = Pages(core)
        self.left_pages = LeftPages(core, self._pages.has, remote.ended)
        self.lost_pages = LostPages(core, self._pages.alone, remote.ended_here)
        self._cuts: dict[str, Cut] = {}

    @property
    def all(self) -> Sequence[Callable[..., Any]]:
        return (
            self.attempt,
            self.begin,
            self.remember,
            self.at_gate,
            self.drop_page,
            self.await_run,
            self.tell_failure,
        )

    @activity.defn(dynamic=True)
    async def attempt(self, args: Sequence[RawValue]) -> Any:
        """One attempt of a node: what it puts out."""
        order: dict[str, Any] = activity.payload_converter().from_payload(args[0].payload)
        name, kind = order["flow"], activity.info().activity_type
        try:
            node = _node(self._flow(name), order, kind)
        except ReplayMismatch as error:
            other = self._stand_in(order, kind)
            if other is None:
                log.warning("run %s: %s", activity.info().workflow_id, error)
                raise postponed(str(error), MISFIT_AGAIN) from None
            node = other
        try:
            with self._cuts[activity.info().task_queue].watched():
                if node.activity.is_paging:
                    found: Any = await self._pages.send(name, node, order)
                else:
                    found = await work(self._core, self._values, self._flow(name), node, order)
        except ApplicationError as error:
            attempt_failed(self._core, name, node, error)
            raise
        self._core.hooks.count(attempt_event(self._core, "node_finished", name, node, found["attempt"]))
        return found

    def _stand_in(self, order: Mapping[str, Any], name: str) -> Node[Any] | None:
        """A node for a page on its way that its flow has no more: its run is parked, and the page is sent all the same.

        What is sent stands in the order; some flow of this worker has to page with the same activity.
        """
        if order.get("intent") is None:
            return None
        for flow in self._core.flows.values():
            for node in flow.nodes():
                if node.activity.name == name and node.activity.is_paging:
                    return Node(node.activity, {}, name=order["key"], instance=order.get("instance"))
        return None

    def cut_for(self, *task_queues: str) -> Cut:
        """What ends the attempts of these queues."""
        cut = Cut()
        self._cuts |= dict.fromkeys(task_queues, cut)
        return cut

    @activity.defn(name=BEGIN)
    async def begin(self, order: dict[str, Any]) -> dict[str, Any]:
        """The environment variables and cursors that a run begins with."""
        values = {name: self._core.environ.get(name) for name in order["env"]}
        flow = self._flow(order["flow"])
        cursors = await self._values.memory(cursors_of(flow.name)) if flow.cursors else {}
        return {"env": {name: value for name, value in values.items() if value is not None}, "cursors": dict(cursors)}

    @activity.defn(name=REMEMBER)
    async def remember(self, order: dict[str, Any]) -> None:
        """Write what a node has put into the flow's memory, or where cursors were moved; once, however often tried."""
        flow, moved = self._flow(order["flow"]), order.get("cursors", {})
        mark = f"{activity.info().workflow_run_id}/{order['position']}"

        def onwards(known: Mapping[str, str]) -> Mapping[str, str | None]:
            return {name: text for name, text in moved.items() if not _is_behind(flow, name, known.get(name), text)}

        if "memory" in order:
            await self._values.change(mark, flow.name, lambda known: order["memory"])
        else:
            await self._values.change(mark, cursors_of(flow.name), onwards)

    @activity.defn(name=AT_GATE)
    async def at_gate(self, order: dict[str, Any]) -> None:
        """Nothing: that it was done tells the run's history of the gate."""

    @activity.defn(name=DROP_PAGE)
    async def drop_page(self, order: dict[str, Any]) -> bool:
        """Let go of a page whose run is cancelled; True for one that has to be settled first."""
        try:
            return await self._pages.drop(order)
        except StoreUnavailable as error:
            raise postponed(str(error), LEDGER_WAIT) from None

    @activity.defn(name=AWAIT_RUN)
    async def await_run(self, order: dict[str, Any]) -> dict[str, Any]:
        """How another run has ended."""
        run = await self._look(order["run_id"])
        if not run.is_finished or run.status == "needs_attention":
            raise postponed(f"run {run.id} has not ended", LOOK_AGAIN)
        return {"status": run.status, "output": run.output, "error": run.error}

    @activity.defn(name=TELL)
    async def tell_failure(self, order: dict[str, Any]) -> None:
        """Start the notice of a run that fails, where this worker has such notices."""
        if self._tell is not None:
            faults = [Fault(**fault) for fault in order["faults"]]
            await self._tell(Standing.from_json(order["run"]).row, faults)

    def _flow(self, name: str) -> Flow:
        flow = self._core.flows.get(name)
        if flow is None:
            raise ReplayMismatch(f'The flow "{name}" {LACKS_FLOW}. Add it.')
        return flow


def _node(flow: Flow, order: Mapping[str, Any], name: str) -> Node[Any]:
    """The node that an attempt is of; that of a page where its activity asks for all pages by itself."""
    nodes, number = list(flow.nodes()), order["node"]
    if number is not None and number < len(nodes) and nodes[number].key == order["key"]:
        nodes = [nodes[number], *nodes]
    for node in nodes:
        if node.key != order["key"]:
            continue
        made = node.activity.page_node(node, None) if isinstance(node.activity, PaginatedActivity) else node
        if made.activity.name == name:
            return made
    raise ReplayMismatch(f'The flow "{flow.name}" has no node "{order["key"]}" of {name} any more. Restore it.')


def _is_behind(flow: Flow, name: str, old: str | None, new: str) -> bool:
    """Whether another run has moved the cursor at least as far meanwhile."""
    cursor = flow.cursors.get(name)
    if old is None or cursor is None:
        return False
    return not rebuild(from_text(old), cursor.adapter) < rebuild(from_text(new), cursor.adapter)
