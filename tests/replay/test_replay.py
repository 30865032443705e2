"""Recorded runs replay under today's code; one that a changed flow would misexecute is noticed."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from resolute import Flow
from resolute.model.steps import Step, walk_steps
from resolute.secrets import Secrets
from tests.integration.temporal import flows as integration
from tests.replay import flows

pytest.importorskip("temporalio", reason="needs the extra temporal: make install")

FOLDER = Path(__file__).parent / "histories"
HISTORIES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.json"))}

#: What may become of a run beside its steps, and the event that shows it.
WAYS = {
    "an attempt that fails": r"ACTIVITY_TASK_FAILED",
    "a second attempt": r'ACTIVITY_TASK_STARTED .*"attempt": 2',
    "a page to a paging service": r"ACTIVITY_TASK_SCHEDULED .*pagerduty.trigger_event",
    "a further page of a list": r'ACTIVITY_TASK_SCHEDULED .*"activityId": "found\[1\]"',
    "a fallback": r'ACTIVITY_TASK_SCHEDULED .*"activityId": "instead"',
    "an undo after a failure": r'ACTIVITY_TASK_SCHEDULED .*"activityId": "done~undo/back"',
    "a failure that is told": r'ACTIVITY_TASK_SCHEDULED .*"activityId": "~failure\[0\]/told"',
    "memory": r'ACTIVITY_TASK_COMPLETED .*"memory": ',
    "variables": r"MARKER_RECORDED .*PLACE",
    "what is remembered": r"MARKER_RECORDED .*resolute remember",
    "a gate": r"MARKER_RECORDED .*resolute at gate",
    "an answer": r"WORKFLOW_EXECUTION_SIGNALED",
    "a child": r"CHILD_WORKFLOW_EXECUTION_COMPLETED",
    "a wait": r"TIMER_FIRED",
    "a cancel": r"WORKFLOW_EXECUTION_CANCEL_REQUESTED",
    "a cancelled run": r"WORKFLOW_EXECUTION_CANCELED",
    "a run out of time": r"WORKFLOW_EXECUTION_FAILED .*did not end within",
    "a failed run that is taken up again": r'WORKFLOW_EXECUTION_STARTED .*"is_retry": true',
    "an execution that is continued": r"WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    "an execution that continues one": r'WORKFLOW_EXECUTION_STARTED .*"is_retry": false',
}


class Named(BaseModel):
    name: str


def today() -> list[Flow]:
    return [
        integration.small_steps(),
        integration.paging(),
        integration.failing(),
        integration.child(),
        flows.every_kind(),
        flows.small_child(),
        flows.undone(),
        flows.stopped(),
        flows.timed_out(),
    ]


def events(name: str) -> list[str]:
    """What a history tells, an event to a line."""
    found = []
    for event in json.loads(HISTORIES[name])["events"]:
        [told] = [value for key, value in event.items() if key.endswith("EventAttributes")]
        found.append(f"{event['eventType'].removeprefix('EVENT_TYPE_')} {json.dumps(_decoded(told))}")
    return found


def _decoded(value: Any) -> Any:
    """The same with its payloads in plain."""
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "metadata" in value:
        return json.loads(base64.b64decode(value.get("data", "")) or "null")
    return {key: _decoded(each) for key, each in value.items()}


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_recorded_run_replays(name: str) -> None:
    """Step by step, with the decisions it made then."""
    from resolute.engines.temporal.replay import replay

    assert await replay(today(), name, HISTORIES[name], Secrets({})) == ""


def test_every_kind_of_step_is_recorded() -> None:
    """In a run that was recorded from its start to its end; a new kind of step needs a history of its own."""
    known = {flow.name: flow for flow in today()}
    recorded: set[type] = set()
    for name in HISTORIES:
        first, *_, last = events(name)
        if last.startswith("WORKFLOW_EXECUTION_COMPLETED") and "goes_on" not in first:
            flow = known[json.loads(first.partition(" ")[2])["workflowType"]["name"]]
            recorded |= {type(step) for step in walk_steps(flow.steps)}
    assert recorded == set(get_args(Step))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_a_run_is_recorded(way: str) -> None:
    """What may become of a run is in one of the histories that replay."""
    assert any(re.match(WAYS[way], event) for name in HISTORIES for event in events(name))


@pytest.mark.parametrize("name", ["every-kind", "continued", "undone", "stopped", "timed-out"])
async def test_another_order_of_steps_is_noticed(name: str) -> None:
    """Each history tells when the first steps of its flow have changed places."""
    from resolute.engines.temporal.replay import replay

    changed = [Flow(flow.name, flow.triggers, flow.steps[::-1]) for flow in today()]
    assert await replay(changed, name, HISTORIES[name], Secrets({})) != ""


async def test_an_execution_that_continues_one_is_held_to_what_was_done_before() -> None:
    """Its own history begins anew and tells nothing of that; what it was handed does."""
    from resolute.engines.temporal.replay import replay

    history = json.loads(HISTORIES["continued"])
    begun = json.dumps({"events": history["events"][:4]})
    [flow] = [flow for flow in today() if flow.name == "every-kind"]
    less = Flow(flow.name, flow.triggers, flow.steps[1:])
    assert await replay([flow], "continued", begun, Secrets({})) == ""
    told = await replay([less], "continued", begun, Secrets({}))
    assert 'The flow "every-kind" has changed since run continued began: it has come by ' in told


async def test_an_input_that_fits_no_more_is_noticed_without_its_value() -> None:
    """Also where the execution goes on from another one, which had checked it."""
    from resolute.engines.temporal.replay import replay

    [flow] = [flow for flow in today() if flow.name == "every-kind"]
    told = await replay([replace(flow, input_model=Named)], "continued", HISTORIES["continued"], Secrets({}))
    assert 'The input does not fit what flow "every-kind" accepts: name: Field required' in told
    assert "input_value" not in told


async def test_a_changed_flow_is_noticed() -> None:
    """A node in the place of another is told of, and nothing of the run is executed."""
    from resolute.engines.temporal.replay import replay

    told = await replay([integration.paging_changed()], "paging", HISTORIES["paging"], Secrets({}))
    assert "paging" in told
    assert "ask" in told


def test_a_step_that_the_flow_has_no_more_is_told_in_words() -> None:
    """The core speaks of its own machines."""
    from resolute.engines.temporal.replay import in_words

    told = "Nondeterminism error: Missing associated machine for LocalActivity(2)."
    assert in_words(told) == "it has come by a step (LocalActivity) that the flow does not have there any more"
