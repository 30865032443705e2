"""`resolute schedule`: what starts by itself and when, paused, resumed, or started now."""

from __future__ import annotations

import os
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resolute.engines.embedded.store import TickRow
    from resolute.engines.embedded.store_engine import StoreEngine
    from resolute.engines.temporal.runs import TemporalRuns
    from resolute.model.recipe import Flow
    from resolute.model.trigger import Schedule

#: Ticks that are told ahead.
AHEAD: Final = 3


@click.group()
def schedule() -> None:
    """Show when flows start by themselves; pause, resume, or start one now."""


@schedule.command("list")
@click.pass_obj
def list_schedules(common: Common) -> None:
    """List the schedules of the module: their next ticks, the last one and its run."""
    from resolute.cli.project import run_to_end
    from resolute.cli.terminal import print_json, print_table, when

    flows, place = _module(common)
    found = run_to_end(_facts(place, list(flows.values())))
    if common.json:
        print_json(found)
    elif found:
        rows = [
            (
                each["flow"],
                each["text"],
                "paused" if each["paused"] else when(each["next"][0]) if each["next"] else "",
                when(each["last_tick"]),
                "" if each["last_run"] is None else each["last_run"]["status"],
                each["overlap"],
                each["catch_up"],
                each["trigger"],
            )
            for each in found
        ]
        heads = ("FLOW", "STARTS", "NEXT (UTC)", "LAST (UTC)", "LAST RUN", "OVERLAP", "CATCH-UP", "TRIGGER")
        print_table(heads, rows, cut=("STARTS", "TRIGGER"))
    else:
        click.echo("No schedules.")


@schedule.command("pause")
@click.argument("flow")
@click.argument("trigger", required=False)
@click.pass_obj
def pause(common: Common, flow: str, trigger: str | None) -> None:
    """Let the ticks of FLOW pass without a run, until resumed. TRIGGER, an id or cron expression, names one of several.

    With a worker it counts at once, without one from the next start on. Runs that have begun go on.
    """
    _pause(common, flow, trigger, paused=True)


@schedule.command("resume")
@click.argument("flow")
@click.argument("trigger", required=False)
@click.pass_obj
def resume(common: Common, flow: str, trigger: str | None) -> None:
    """Let FLOW start by itself again, from its next tick on; what passed meanwhile is not made up."""
    _pause(common, flow, trigger, paused=False)


@schedule.command("fire")
@click.argument("flow")
@click.argument("trigger", required=False)
@click.pass_obj
def fire(common: Common, flow: str, trigger: str | None) -> None:
    """Start a run of FLOW now, paused or not. Without a worker the next one runs it."""
    from resolute.cli.project import run_to_end
    from resolute.cli.terminal import print_json, shown
    from resolute.cli.views import run_json

    recipe, chosen, place = _find(common, flow, trigger)
    engine = place.server or place.store
    run = run_to_end(engine.start(recipe.name, trigger=f"fired:{chosen[0].id}"))
    if common.json:
        print_json(run_json(run, with_nodes=False))
        return
    click.echo(f"Run {shown(run.id)} of {recipe.name} was started. `resolute runs show {run.id} --follow` follows it.")
    if not engine.has_worker:
        click.echo(f"No worker runs on {engine.place}: the next worker begins it.")


def _pause(common: Common, flow: str, trigger: str | None, *, paused: bool) -> None:
    from resolute.cli.project import run_to_end
    from resolute.cli.terminal import print_json, when

    recipe, chosen, place = _find(common, flow, trigger)
    run_to_end((place.server or place.store).pause(recipe.name, [each.id for each in chosen], paused))
    facts = [
        each for each in run_to_end(_facts(place, [recipe])) if each["trigger"] in [schedule.id for schedule in chosen]
    ]
    if common.json:
        print_json(facts)
        return
    for each in facts:
        told = "is paused" if paused else f"goes on; its next tick is at {when(each['next'][0])} UTC"
        click.echo(f"{recipe.name}, {each['text']}: {told}.")


async def _facts(place: _Place, flows: Sequence[Flow]) -> list[dict[str, Any]]:
    """What is known of each schedule of these flows."""
    from resolute.clock import SystemClock

    now, rows = SystemClock().now(), await place.store.ticks()
    return [await _fact(place, flow, schedule, rows, now) for flow in flows for schedule in flow.schedules]


async def _fact(
    place: _Place, flow: Flow, schedule: Schedule, rows: Mapping[tuple[str, str], TickRow], now: datetime
) -> dict[str, Any]:
    from resolute.cron import is_tick, ticks_after
    from resolute.drawing.phrases import trigger_text
    from resolute.engines.embedded.schedules import tick_run_id
    from resolute.errors import RunNotFound

    row = rows.get((flow.name, schedule.id))
    last = row.at if row is not None and is_tick(schedule.cron, schedule.timezone, row.at) else None
    run = None
    if last is not None:
        try:
            found = await (place.server or place.store).look(tick_run_id(flow, schedule.id, last))
            run = {"id": found.id, "status": found.status}
        except RunNotFound:  # it was skipped, or its run was pruned
            run = None
    paused = row is not None and row.paused
    if place.server is not None:
        paused = await place.server.is_paused(flow.name, schedule.id)
    return {
        "flow": flow.name,
        "trigger": schedule.id,
        "text": trigger_text(schedule),
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "next": list(islice(ticks_after(schedule.cron, schedule.timezone, now), AHEAD)),
        "last_tick": last,
        "last_run": run,
        "paused": paused,
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "catch_up_window_s": schedule.catch_up_window.total_seconds(),
    }


class _Place(NamedTuple):
    """Where flows run: their worker's store, and the Temporal server beside it where there is one."""

    store: StoreEngine
    server: TemporalRuns | None


def _module(common: Common) -> tuple[dict[str, Flow], _Place]:
    """The flows of the module by name, and where they run; raises ConfigError."""
    from resolute.cli.project import find_flows, need_temporal, settings, store_engine
    from resolute.cli.terminal import note
    from resolute.config import temporal_of

    found = find_flows(common)
    worker = found.as_worker()
    engine = store_engine(
        common, lambda holder: note(f"waiting for {holder}, which is at work on the store"), worker.store_address
    )
    flows = {flow.name: flow for flow in (*worker.flows, *found.flows)}
    address = temporal_of(settings(common), worker.config.engine, os.environ)
    if address is None:
        return flows, _Place(engine, None)
    need_temporal()
    from resolute.engines.temporal.runs import TemporalRuns
    from resolute.secrets import Secrets

    return flows, _Place(engine, TemporalRuns(address, worker.task_queue, Secrets(), flows=flows.values()))


def _find(common: Common, name: str, trigger: str | None) -> tuple[Flow, list[Schedule], _Place]:
    """The flow, its schedules or the one that was named, and where it runs; raises ConfigError."""
    from resolute.drawing.phrases import trigger_text
    from resolute.errors import ConfigError

    known_flows, place = _module(common)
    flows = {each: flow for each, flow in known_flows.items() if flow.schedules}
    if name not in flows:
        known = ", ".join(sorted(flows)) or "none"
        raise ConfigError(f'The module has no flow "{name}" with a schedule. Flows with one: {known}.')
    found = list(flows[name].schedules)
    if trigger is None:
        return flows[name], found, place
    chosen = [each for each in found if trigger in (each.id, each.cron, trigger_text(each))]
    if len(chosen) != 1:
        listed = "\n".join(f'  "{each.id}"' for each in found)
        count = "no schedule" if not chosen else f"{len(chosen)} schedules"
        raise ConfigError(f'The flow "{name}" has {count} "{trigger}". Name one of these:\n{listed}')
    return flows[name], chosen, place
