"""Whether a recorded run can be walked under flows as they are now: its history is replayed, nothing is executed."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from resolute.engines.temporal.core_log import core_runtime
from resolute.engines.temporal.payloads import ReadLarge, data_converter
from resolute.engines.temporal.workflow import FlowsOf, RunWorkflow
from resolute.model.recipe import Flow
from resolute.secrets import Secrets

log = logging.getLogger("resolute.temporal")

#: What the core says of a step that is recorded and not come by any more; LocalActivity is what a gate leaves, too.
_MISSING: Final = re.compile(r"Missing associated machine for (\w+)\(\d+\)")
_MESSAGE: Final = re.compile(r'message: "((?:[^"\\]|\\.)+)"')


async def replay(
    flows: Iterable[Flow], run_id: str, history: WorkflowHistory | str, secrets: Secrets, read: ReadLarge | None = None
) -> str:
    """Why the run cannot go on under these flows, "" when it can.

    Args:
        history: as the server gives it, or as JSON.
        read: reads values that are kept apart.
    """
    if isinstance(history, str):
        history = WorkflowHistory.from_json(run_id, history)
    replayer = Replayer(
        workflows=[RunWorkflow],
        interceptors=[FlowsOf({flow.name: flow for flow in flows})],
        data_converter=data_converter(secrets, read=read),
        workflow_runner=UnsandboxedWorkflowRunner(),
        runtime=core_runtime(),
    )
    found = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    if found.replay_failure is None:
        return ""
    log.debug("run %s does not replay", run_id, exc_info=found.replay_failure)
    return (
        f"Run {run_id} cannot be walked any more: {in_words(str(found.replay_failure))}. "
        "Restore that part of the flow, or cancel the run and start it anew."
    )


def in_words(text: str) -> str:
    """What Temporal's core says of a history that does not fit, without its wrapping."""
    inner = _MESSAGE.search(text)
    told = inner[1].replace('\\"', '"') if inner is not None else text
    told = told.partition("Nondeterminism error: ")[2].strip(" .") or told.strip(" .")
    return _MISSING.sub(r"it has come by a step (\1) that the flow does not have there any more", told)
