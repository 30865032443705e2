"""`resolute run FLOW`: one run of a flow, from start to end."""

from __future__ import annotations

import asyncio
import difflib
import sys
from dataclasses import dataclass

import click

from resolute.cli.inputs import read_input
from resolute.cli.logs import set_up_logging
from resolute.cli.options import Common
from resolute.cli.project import find_flows, run_to_end
from resolute.cli.run_page import size_apart
from resolute.cli.run_remote import run_remotely
from resolute.cli.run_result import print_result
from resolute.cli.run_waits import waits
from resolute.cli.terminal import note, print_json, shown
from resolute.clock import new_id
from resolute.config import load_settings, store_place, temporal_of
from resolute.drawing.words import step_lines
from resolute.engine import RunView
from resolute.engines.embedded.places import engine_of
from resolute.engines.embedded.store_engine import StoreEngine
from resolute.errors import ConfigError
from resolute.loader import Found
from resolute.model.recipe import Flow
from resolute.oneshot import Once, run_once
from resolute.ports import Ports
from resolute.worker import Worker


@dataclass(frozen=True)
class FlowCall:
    """What was asked for; `wait` in seconds, None for no limit."""

    flow: str
    pairs: tuple[str, ...]
    input_file: str | None
    run_id: str | None
    wait: float | None
    dry_run: bool


def run_flow(common: Common, call: FlowCall) -> int:
    """Run it and print its result; the exit code."""
    found = find_flows(common)
    flow = _find(call.flow, found)
    model = flow.input_model
    texts = [name for name, field in model.model_fields.items() if field.annotation is str] if model else []
    given = read_input(call.pairs, call.input_file, texts)
    made = found.as_worker()
    own = Worker(made.config, flows=[flow], providers=made.providers, ports=made.ports)
    address = load_settings(store=common.store or made.store_address)
    server = temporal_of(address, made.config.engine, made.ports.environ)
    place = None if server is not None else store_place(address.store, address.folder)
    if call.dry_run:
        return _show_plan(common, flow, own)
    if server is not None:
        common.scrub = made.ports.secrets.scrub
        set_up_logging(common, quiet=not common.verbose)
        return run_remotely(
            common,
            flow,
            given,
            call.run_id,
            call.wait,
            address=server,
            task_queue=made.task_queue,
            settings=address,
            ports=made.ports,
        )
    engine = None if place is None else engine_of(place)
    is_here = engine is None or not engine.has_worker  # a worker has its own environment
    problems = own.problems(receives=False) if is_here else []
    if problems:
        raise ConfigError("\n".join([f"{flow.name} cannot run:", *(f"  - {problem}" for problem in problems)]))
    ports = made.ports
    common.scrub = ports.secrets.scrub
    set_up_logging(common, quiet=not common.verbose)
    run_id = new_id(ports.clock, ports.randomness) if call.run_id is None else call.run_id
    shows_progress = sys.stderr.isatty()
    started: list[str] = []

    def on_start(started_id: str) -> None:
        started.append(started_id)
        if shows_progress:
            note(f"run {started_id} of {flow.name}")

    def on_park(run: RunView) -> None:
        if shows_progress:
            for line in waits(run):
                note(f"waits for {shown(line)}" if not line.startswith(" ") else shown(line))

    once = Once(
        place,
        flow,
        run_id,
        given,
        providers=made.providers,
        on_wait=lambda found: note(f"waiting for {found}, which is at work on the store"),
        on_start=on_start,
        on_park=on_park,
    )
    try:
        run = run_to_end(_within(once, ports, call.wait))
    except TimeoutError:
        note(f"{_left(started, flow, engine)} It has not finished within {call.wait:g} s.")
        return 1
    except KeyboardInterrupt:
        note(_left(started, flow, engine))
        raise
    return print_result(common, run if engine is None else run_to_end(_in_full(run, engine)))


async def _in_full(run: RunView, engine: StoreEngine) -> RunView:
    """The run with its input and output; where a worker ran it, large ones stand in the store alone."""
    is_whole = size_apart(run.input) is None and size_apart(run.output) is None
    return run if is_whole else await engine.result(run.id)


async def _within(once: Once, ports: Ports, wait: float | None) -> RunView:
    async with asyncio.timeout(wait):
        return await run_once(once, ports)


def _left(started: list[str], flow: Flow, engine: StoreEngine | None) -> str:
    if not started:
        return f"{flow.name} was not started."
    if engine is None:
        return f"Run {started[0]} of {flow.name} is given up with its store in memory."
    who = "goes on in the worker" if engine.has_worker else "is left to the next worker"
    return f"Run {started[0]} of {flow.name} {who} on {engine.path}. `resolute runs show {started[0]}` shows it."


def _find(name: str, found: Found) -> Flow:
    known = {flow.name: flow for flow in (*found.as_worker().flows, *found.flows)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    raise ConfigError(f'{found.name} holds no flow "{name}".{hint} Known: {", ".join(known)}.')


def _show_plan(common: Common, flow: Flow, own: Worker) -> int:
    """Print the steps that would be walked and what is missing; nothing is run."""
    problems = own.problems(receives=False)
    if common.json:
        print_json({"flow": flow.name, "steps": list(step_lines(flow.steps)), "problems": problems})
    else:
        click.echo(f"{flow.name} would do this; nothing was run:")
        for line in step_lines(flow.steps):
            click.echo(f"  {shown(line)}")
        for problem in problems:
            note(problem)
    return 2 if problems else 0
