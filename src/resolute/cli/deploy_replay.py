"""Which unfinished runs on Temporal would go on under the flows as they are now: their histories are replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from resolute.cli.deploy_check import FlowCheck, Parked
from resolute.engines.temporal.replay import replay
from resolute.engines.temporal.runs import TemporalRuns
from resolute.model.recipe import Flow
from resolute.secrets import Secrets


async def replay_runs(
    flows: Iterable[Flow], runs: TemporalRuns, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[FlowCheck]:
    """What becomes of the unfinished runs of a task queue.

    Args:
        progress: called again and again with how many runs were looked at, and how many there are.

    Raises:
        StoreUnavailable: the server does not answer.
    """
    known = {flow.name: flow for flow in flows}
    found = {name: FlowCheck(name) for name in known}
    engine = await runs.engine()
    unfinished = await engine.unfinished()
    for done, run in enumerate(unfinished):
        progress(done, len(unfinished))
        check = found.setdefault(run.workflow_type, FlowCheck(run.workflow_type, is_known=False))
        check.unfinished += 1
        flow = known.get(run.workflow_type)
        if flow is None:
            told = f'There is no flow "{run.workflow_type}" in the module any more. Keep it until its runs have ended.'
            check.parked.append(Parked(run.id, told))
            continue
        memo: Any = await run.memo()
        history = await engine.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        reason = await replay(known.values(), run.id, history, Secrets(), runs.read)
        # A client that knew no flow could not say under which version it started the run; then a history that does not
        # fit tells it.
        begun_under = memo.get("fingerprint")
        check.changed += bool(reason) if begun_under is None else begun_under != flow.fingerprint
        if reason:
            check.parked.append(Parked(run.id, reason))
    return list(found.values())
