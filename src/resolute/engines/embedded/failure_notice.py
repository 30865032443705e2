"""The notice of a failure: a small run of its own that tells somebody, as `Worker(on_failure=...)` says.

It is written in the batch that ends the failed run, so that no crash can part the two: whoever finds the one on disk
finds the other, once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel

from resolute.engine import Fault, RunView
from resolute.engines.embedded.core import Core
from resolute.engines.embedded.request import input_digest, input_text
from resolute.engines.embedded.store import Op, RunRow
from resolute.errors import RunConflict
from resolute.model.activity import Node
from resolute.model.check import find_problems
from resolute.model.recipe import Flow
from resolute.model.steps import NodeStep
from resolute.model.trigger import Manual

log = logging.getLogger("resolute.engine")

#: The flow of every notice; no author can give a flow such a name.
NOTICE_FLOW: Final = "~worker-failure"
#: Of what went wrong side by side in one run, so much is told.
ERRORS_TOLD: Final = 50

NoticeKind = Literal["run_failed", "needs_attention", "missed_ticks"]
#: Makes the row of a run of this flow, name, input as JSON text, digest and trigger, and what belongs to it.
NewRun = Callable[[Flow, str, str, str, str], tuple[RunRow, list[Op]]]
#: Starts a run: `EmbeddedEngine.start`.
Start = Callable[..., Awaitable[RunView]]


class FailureNotice(BaseModel):
    """What `input_data(...)` reads in the node given to `Worker(on_failure=...)`.

    Attributes:
        summary: all of it in a sentence.
        flow: the flow that is concerned.
        run_id: the run, "" for missed ticks.
        key, error: the node or step that failed, "" for the run as a whole, and why.
        errors: everything that went wrong, each with `key`, `position` and `error`; at most `ERRORS_TOLD`.
        at: when it was written down.
        trigger: what started the run, or the schedule whose ticks were missed.
        first, last, count: the ticks that were missed.
    """

    kind: NoticeKind
    summary: str
    flow: str
    run_id: str = ""
    key: str = ""
    error: str = ""
    errors: list[dict[str, str]] = []
    at: datetime
    trigger: str = ""
    first: datetime | None = None
    last: datetime | None = None
    count: int = 0


def notice_flow(node: Node[Any], name: str = NOTICE_FLOW) -> Flow:
    """The flow that runs this node for each failure."""
    return Flow(name, (Manual("failure"),), (NodeStep(node),), input_model=FailureNotice)


def notice_problems(node: object) -> list[str]:
    """What is wrong with the node given to `Worker(on_failure=...)`, a sentence each."""
    if not isinstance(node, Node):
        return [f"Worker(on_failure=...) takes a node, not {node!r}: call the activity."]
    lawful = NOTICE_FLOW.removeprefix("~")  # the name itself is one that no author may give
    return [f"Worker(on_failure=...): {problem}" for problem in find_problems(notice_flow(node, lawful))]


class FailureNotices:
    """Makes the notices of one engine.

    Args:
        new_run, start: how the engine makes a run, and starts one.
    """

    def __init__(self, core: Core, node: Node[Any], new_run: NewRun, start: Start) -> None:
        self.flow = notice_flow(node)
        self._core = core
        self._new_run = new_run
        self._start = start

    def of_run(self, run: RunRow, faults: Sequence[Fault]) -> Sequence[Op]:
        """What has to be written in the batch that ends this run; nothing when it has not failed."""
        notice = self.about(run, faults)
        return () if notice is None else self._queued(run, notice)

    def about(self, run: RunRow, faults: Sequence[Fault]) -> FailureNotice | None:
        """What is to be told of this run, None when it has not failed.

        A notice that fails itself is only logged: another one would go the same way.
        """
        if run.status not in ("failed", "needs_attention"):
            return None
        if run.flow == NOTICE_FLOW:
            log.critical("NOBODY WAS TOLD: the notice %s of Worker(on_failure=...) has failed: %s", run.id, run.error)
            return None
        failed = run.status == "failed"
        did = f"failed{f' at {run.error_key}' if run.error_key else ''}" if failed else "needs attention"
        return FailureNotice(
            kind="run_failed" if failed else "needs_attention",
            summary=_plain(f"Run {run.id} of {run.flow} {did}: {run.error}"),
            flow=run.flow,
            run_id=run.id,
            key=_plain(run.error_key),
            error=_plain(run.error),
            errors=[{name: _plain(text) for name, text in vars(fault).items()} for fault in faults[:ERRORS_TOLD]],
            at=run.finished_at or self._core.clock.now(),
            trigger=_plain(run.trigger),
        )

    def _queued(self, run: RunRow, notice: FailureNotice) -> Sequence[Op]:
        """The notice as a run that is due at once. Its own number tells the notices of a run that is retried apart."""
        input = notice.model_dump(mode="json")
        text = self._core.secrets.scrub_json(input_text(self.flow, input))
        row, more = self._new_run(self.flow, "", text, input_digest(self.flow.name, input), notice.kind)
        return [row.but(id=f"{NOTICE_FLOW}:{run.id}:{row.no}", status="queued", due_at=row.created_at), *more]

    async def tell_missed(self, flow: str, trigger: str, first: datetime, last: datetime, count: int) -> None:
        """Start the notice of ticks that are not run, unless a worker that died since has done so."""
        mark = hashlib.sha256(trigger.encode()).hexdigest()[:8]
        run_id = f"{NOTICE_FLOW}:missed:{flow}/{mark}@{first:%Y-%m-%dT%H:%M:%SZ}"
        ticks = f"{count} tick{'s' if count > 1 else ''} of {trigger}"
        when = f"from {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
        error = f"{ticks} {when} {'were' if count > 1 else 'was'} missed and not run"
        notice = FailureNotice(
            kind="missed_ticks",
            summary=f"Flow {flow}: {error}",
            flow=flow,
            error=error,
            at=self._core.clock.now(),
            trigger=trigger,
            first=first,
            last=last,
            count=count,
        )
        try:
            await self._start(self.flow.name, notice.model_dump(mode="json"), run_id=run_id, trigger=notice.kind)
        except RunConflict:
            log.info("the missed ticks of %s from %s on were told before", flow, first)


def _plain(text: str) -> str:
    """The text with a question mark for what is no character: half of a pair, which a model does not take."""
    return text.encode("utf-8", "replace").decode()
