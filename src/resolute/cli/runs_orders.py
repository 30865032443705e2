"""`resolute runs cancel | retry | signal`: what operators ask of a run that has begun.

Each order is on disk before anything is said. `--wait` then stays until the run has ended, as it does
for a cancel unless told otherwise: there the end is what was asked for.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from resolute.cli.follow import Screen, changes
from resolute.cli.options import Common
from resolute.cli.project import Runs, run_to_end, runs_of
from resolute.cli.run_ids import find_run
from resolute.cli.run_page import Undo, answer, undone
from resolute.cli.run_result import print_result
from resolute.cli.run_waits import gate_name, signal_line, waiting_gates, waits
from resolute.cli.terminal import note, print_json, shown
from resolute.cli.views import run_json
from resolute.engine import RunView, SignalOutcome
from resolute.errors import ConfigError, EngineError

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An answer for a gate as it was given; `by` None is whoever is logged in, `gate` None the one that waits."""

    gate: str | None
    outcome: SignalOutcome
    by: str | None
    reason: str
    data: str | None
    data_file: str | None


def cancel_run(common: Common, given: str, *, by: str | None, reason: str, wait: bool) -> int:
    """End a run and say what was undone; the exit code."""
    engine = _engine(common)

    async def order() -> RunView:
        run = await find_run(engine, given)
        await engine.cancel(run.id, by=_login() if by is None else by, reason=reason)
        return await _end(engine, run.id, gives_up=True) if wait else await engine.look(run.id)

    run = _carried_out(order(), given)
    found = undone(run.nodes)
    is_left = not run.is_finished and not engine.has_worker
    if common.json:
        undo = [
            {"position": u.position, "by": u.node.key, "status": u.node.status, "error": u.node.error} for u in found
        ]
        print_json({**run_json(run, with_nodes=False), "undo": undo})
    else:
        _tell_cancelled(run, found, engine.place if is_left else None)
    if run.is_finished:
        return 0 if run.status == "cancelled" and all(undo.node.status == "done" for undo in found) else 1
    return 0


def retry_run(common: Common, given: str, *, wait: bool) -> int:
    """Take a run up again; the exit code, with `wait` that of the run."""
    engine = _engine(common)

    async def order() -> RunView:
        run = await engine.retry((await find_run(engine, given)).id)
        return await _end(engine, run.id) if wait else run

    run = _carried_out(order(), given)
    if wait:
        return print_result(common, run_to_end(engine.result(run.id)))
    if common.json:
        print_json(run_json(run, with_nodes=False))
    else:
        click.echo(f"Run {shown(run.id)} of {run.flow} goes on. `resolute runs show {run.id} --follow` follows it.")
    return 0


def signal_run(common: Common, given: str, asked: Answer, *, wait: bool) -> int:
    """Answer a gate of a run; the exit code, with `wait` that of the run."""
    engine = _engine(common)
    data = _read_data(asked)
    by = _login() if asked.by is None else asked.by

    async def order() -> tuple[RunView, str, bool]:
        run = await find_run(engine, given)
        gate, is_waiting = _choose(run, asked.gate)
        await engine.signal(run.id, gate, asked.outcome, by=by, reason=asked.reason, data=data)
        if wait:
            if not engine.has_worker:
                note(_kept(engine.place))
            await _end(engine, run.id)
        return run, gate, is_waiting

    run, gate, is_waiting = _carried_out(order(), given)
    has_worker = engine.has_worker
    if wait:
        return print_result(common, run_to_end(engine.result(run.id)))
    told = {"outcome": asked.outcome, "by": by, "reason": asked.reason, "data": data}
    if common.json:
        print_json({"run_id": run.id, "gate": gate, **told, "gate_waits": is_waiting, "has_worker": has_worker})
        return 0
    click.echo(f'The gate "{shown(gate)}" of run {shown(run.id)} is answered: {shown(answer(told))}.')
    if not has_worker:
        click.echo(_kept(engine.place))
    elif not is_waiting:
        click.echo("The run has not come to it yet: the answer is kept until then.")
    return 0


def _engine(common: Common) -> Runs:
    return runs_of(common, on_wait=lambda found: note(f"waiting for {found}, which is at work on the store"))


def _carried_out(order: Coroutine[Any, Any, T], given: str) -> T:
    """What an order comes to. Whoever interrupts it is told that this takes nothing back."""
    try:
        return run_to_end(order)
    except KeyboardInterrupt:
        note(f"What is written down of it is carried out. `resolute runs show {given} --follow` follows the run.")
        raise


def _login() -> str:
    """Who is logged in, "" where the machine does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


async def _end(engine: Runs, run_id: str, *, gives_up: bool = False) -> RunView:
    """The run once it has ended, with what it does meanwhile on a terminal.

    Args:
        gives_up: return a run that has not ended when there is no worker that goes on with it.
    """
    screen = Screen(sys.stderr)
    async for run in changes(lambda: engine.look(run_id)):
        if run.is_finished or (gives_up and not engine.has_worker):
            break
        screen.draw([f"run {shown(run_id)}: {shown(_doing(run))}"])
    screen.clear()
    return run


def _doing(run: RunView) -> str:
    """What a run does now, on one line."""
    undo = [undo for undo in undone(run.nodes) if undo.node.status in ("running", "waiting")]
    if undo:
        return f"undoing {undo[0].position} ({undo[0].node.key})"
    busy = [node.position for node in run.nodes if node.status == "running"]
    return f"at {', '.join(busy[:3])}" if busy else "; ".join(waits(run)[:1]) or run.status


def _tell_cancelled(run: RunView, found: Sequence[Undo], left_in: str | None) -> None:
    if run.is_finished:
        why = run.error.partition(" Not undone: ")[0] if found else run.error
        is_cancelled = run.status == "cancelled"
        said = why if is_cancelled else f"{run.status.replace('_', ' ')} and was not cancelled: {why}"
        click.echo(f"Run {shown(run.id)} of {run.flow}: {shown(said)}")
    elif left_in is not None:
        click.echo(
            f"Run {shown(run.id)} of {run.flow} is to be cancelled, and what it did to be undone. That needs its flow, "
            f"and no worker runs on {left_in}: the next one does it."
        )
    else:
        click.echo(
            f"Run {shown(run.id)} of {run.flow} is being cancelled. `resolute runs show {run.id}` tells how far."
        )
    for undo in found:
        is_done = undo.node.status == "done"
        word = "undone:" if is_done else "not undone:" if undo.node.status == "failed" else "undoing:"
        click.echo(f"{word:<12} {shown(undo.position)} (by {undo.node.key})")
        for line in undo.node.error.splitlines() if undo.node.status == "failed" else ():
            click.echo(f"{'':<12} {shown(line)}")


# Signals


def _choose(run: RunView, gate: str | None) -> tuple[str, bool]:
    """The gate that is meant, and whether the run waits there; raises EngineError when that is not clear."""
    gates = waiting_gates(run)
    lines = [f"  {signal_line(run.id, gate_name(each, gates))}" for each in gates]
    if gate is None:
        if len(gates) == 1:
            return gate_name(gates[0], gates), True
        if run.is_finished:
            raise EngineError(f"Run {run.id} has ended ({run.status.replace('_', ' ')}): no gate of it waits any more.")
        if gates:
            raise EngineError(
                "\n".join([f"Run {run.id} waits at {len(gates)} gates. Name the one that is meant:", *lines])
            )
        raise EngineError(
            f"Run {run.id} ({run.status.replace('_', ' ')}) waits at no gate now. Name the gate to answer it before "
            f"the run comes to it: resolute runs signal {run.id} GATE --approve"
        )
    here = [each for each in gates if gate in (each.key, each.position)]
    if len(here) > 1:
        raise EngineError(
            "\n".join([f'Run {run.id} waits {len(here)} times at "{gate}". Name the position that is meant:', *lines])
        )
    over = [each for each in run.nodes if each.kind == "gate" and each.position == gate and each.status != "waiting"]
    if over:
        raise EngineError(
            f'The gate "{gate}" of run {run.id} waits no more: it was {answer(over[0].output) or over[0].status}.'
        )
    return gate, bool(here)


def _read_data(asked: Answer) -> Any:
    """The data of an answer as JSON value; raises ConfigError."""
    if asked.data is None and asked.data_file is None:
        return None
    name = "--data" if asked.data_file is None else f"--data-file {asked.data_file}"
    try:
        if asked.data is not None:
            return json.loads(asked.data)
        file = str(asked.data_file)
        return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}. Name a file with JSON.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"""{name} is no JSON: {error}. A text needs its quotes: --data '"yes"'.""") from error


def _kept(place: str) -> str:
    return f"No worker runs on {place}: the answer is kept there, and the next worker takes it."
