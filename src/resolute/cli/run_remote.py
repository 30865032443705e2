"""`resolute run FLOW` on an engine whose workers run it: start the run there and wait for its end."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from resolute.cli.options import Common
from resolute.cli.project import need_temporal, run_to_end
from resolute.cli.run_result import print_result
from resolute.cli.terminal import note
from resolute.clock import new_id
from resolute.config import Settings, database_place, store_place
from resolute.engine import RunView
from resolute.engines.embedded.places import reader_of
from resolute.engines.temporal.address import TemporalAddress
from resolute.errors import EngineError
from resolute.model.recipe import Flow, with_children
from resolute.ports import Ports


def run_remotely(
    common: Common,
    flow: Flow,
    given: Any,
    run_id: str | None,
    wait: float | None,
    *,
    address: TemporalAddress,
    task_queue: str,
    settings: Settings,
    ports: Ports,
) -> int:
    """Run it on the server and print its result; the exit code."""
    need_temporal()
    from resolute.engines.temporal.runs import TemporalRuns

    runs = TemporalRuns(
        address,
        task_queue,
        ports.secrets,
        store=reader_of(store_place(settings.store, settings.folder)),
        database=database_place(settings.database),
        flows=with_children([flow]),
    )
    name = new_id(ports.clock, ports.randomness) if run_id is None else run_id
    begun: list[str] = []

    async def whole() -> RunView:
        async with asyncio.timeout(wait):
            await runs.engine()
            if not runs.has_worker:
                raise EngineError(
                    f"No worker asks for the work of {runs.place}. Start one: resolute worker MODULE, "
                    "with the same RESOLUTE_ENGINE and RESOLUTE_TASK_QUEUE."
                )
            begun.append((await runs.start(flow.name, given, run_id=name, trigger="command")).id)
            if sys.stderr.isatty():
                note(f"run {name} of {flow.name}")
            return await runs.result(name)

    left = f"Run {name} of {flow.name} goes on at {address}. `resolute runs show {name}` shows it."
    try:
        return print_result(common, run_to_end(whole()))
    except TimeoutError:
        note(f"{left if begun else f'{flow.name} was not started.'} It has not finished within {wait:g} s.")
        return 1
    except KeyboardInterrupt:
        note(left if begun else f"{flow.name} was not started.")
        raise
