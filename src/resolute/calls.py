"""What the owner of a store does for other processes: calls on its socket, and jobs that commands hand over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from resolute.engine import SignalOutcome
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.large import referred, size_of
from resolute.engines.embedded.retention import Selection
from resolute.engines.embedded.socket import Handler, view_to_json
from resolute.engines.embedded.views import view
from resolute.jobs import Call, Job, prepare_call
from resolute.jsontypes import JsonValue
from resolute.ports import Ports, open_providers
from resolute.providers.base import default_provider

#: A longer output, as JSON text, is not answered over the socket: the caller reads it from the file.
ANSWERED_CHARS: Final = 4 * 1024 * 1024


def job_order(job: Job, call: Call, wait: timedelta) -> dict[str, Any]:
    """A job as it is handed to the owner of a store: JSON. With secret inputs, in clear, it must not be written down.

    Args:
        call: what `prepare_call` made of it.
    """
    inputs = {**call.input, **call.secrets}
    return {"name": job.name, "main": job.main, "input": inputs, "wait_s": wait.total_seconds()}


class JobRunner:
    """Runs jobs that a command hands over, in a worker that knows neither their flow nor perhaps their provider.

    Args:
        stack: closes what has to be opened for them.
    """

    def __init__(self, engine: EmbeddedEngine, ports: Ports, stack: AsyncExitStack, folder: Path) -> None:
        self._engine = engine
        self._ports = ports
        self._stack = stack
        self._folder = folder

    async def start(self, order: Mapping[str, Any], run_id: str) -> JsonValue:
        """The run of a job; one that was not delivered is sent again.

        Args:
            order: as `job_order` makes it.
        """
        job = Job(order["name"], order["main"], order["input"])
        call = prepare_call(job, wait=timedelta(seconds=order["wait_s"]), folder=self._folder)
        if call.activity.provider is not None:
            self._need(call.activity.provider)
        self._engine.add_flow(call.flow)
        run = await self._engine.start(
            call.flow.name, call.input, run_id=run_id, trigger=call.flow.name, secrets=call.secrets
        )
        if run.status == "failed":
            run = await self._engine.resend(run.id, call.secrets)
        return view_to_json(run)

    def _need(self, kind: str) -> None:
        """Make sure that the engine has an account of this family."""
        if (kind, "") not in self._engine.core.providers:
            provider = default_provider(kind)
            open_providers([provider], self._ports, self._stack)
            self._engine.add_provider(kind, "", provider, provider.paging)


def handlers(engine: EmbeddedEngine, jobs: JobRunner) -> dict[str, Handler]:
    """What the owner's socket answers. No answer holds a journal: whoever wants one reads it from the file."""

    async def start(
        flow: str, input: JsonValue = None, run_id: str | None = None, trigger: str = "client"
    ) -> JsonValue:
        return view_to_json(await engine.start(flow, input, run_id=run_id, trigger=trigger))

    async def start_job(job: dict[str, Any], run_id: str) -> JsonValue:
        return await jobs.start(job, run_id)

    async def result(run_id: str) -> JsonValue:
        run = await engine.result(run_id)
        row = await engine.core.store.find(run_id)
        if row is None:  # it is on a server, or was pruned just now
            return view_to_json(run)
        is_short = row.output is None or referred(row.output) is None or size_of(row.output) <= ANSWERED_CHARS
        return view_to_json(replace(view(row), output=run.output) if is_short else view(row))

    async def cancel(run_id: str, by: str = "", reason: str = "") -> JsonValue:
        return view_to_json(replace(await engine.cancel(run_id, by=by, reason=reason), nodes=()))

    async def retry(run_id: str) -> JsonValue:
        return view_to_json(replace(await engine.retry(run_id), nodes=()))

    async def send_signal(
        run_id: str,
        gate: str,
        outcome: SignalOutcome = "approved",
        by: str = "",
        reason: str = "",
        data: JsonValue = None,
    ) -> JsonValue:
        await engine.signal(run_id, gate, outcome, by=by, reason=reason, data=data)
        return None

    async def pause(flow: str, trigger: str, paused: bool) -> JsonValue:
        await engine.pause(flow, trigger, paused)
        return None

    async def prune(before: str | None, keep: int | None, flow: str | None) -> JsonValue:
        selection = Selection(None if before is None else datetime.fromisoformat(before), keep, flow)
        return await engine.retention.prune_beside(selection)

    answers: dict[str, Callable[..., Any]] = {
        "start": start,
        "start_job": start_job,
        "result": result,
        "cancel": cancel,
        "retry": retry,
        "signal": send_signal,
        "pause": pause,
        "prune": prune,
    }
    return answers
