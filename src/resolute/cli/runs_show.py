"""`resolute runs show`: one run once, or as it changes until it has ended; or one value of it in full."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import click

from resolute.cli.follow import Screen, changes
from resolute.cli.options import Common
from resolute.cli.project import Runs, run_to_end, runs_of
from resolute.cli.run_ids import find_run, parent_of
from resolute.cli.run_page import answer, came_to, page
from resolute.cli.terminal import pretty, print_json, shown, when
from resolute.cli.views import run_json
from resolute.clock import SystemClock
from resolute.engine import NodeView, RunView

#: Lines at the top of a run that stay in sight while it is followed.
TOP: Final = 8
#: Entries that are decided in passing: who follows a run in lines is not told of each.
_PASSING: Final = frozenset({"item", "round", "pages", "loop", "result"})


def show_run(common: Common, given: str, *, whole: bool, follow: bool) -> int:
    """Show a run; the exit code. One that is followed decides it: 0 when it has succeeded."""
    engine = runs_of(common)
    if follow:
        return run_to_end(_follow(common, engine, given, whole))
    run_to_end(_show(common, engine, given, whole))
    return 0


def show_value(common: Common, given: str, position: str) -> int:
    """Print what a position of a run has put out, in full, as JSON."""
    engine = runs_of(common)

    async def read() -> Any:
        return await engine.value((await find_run(engine, given)).id, position)

    found = run_to_end(read())
    if common.json:
        print_json(found)
    else:
        click.echo(pretty(found))
    return 0


async def _show(common: Common, engine: Runs, given: str, whole: bool) -> None:
    run = await find_run(engine, given)
    if common.json:
        print_json(run_json(await engine.get(run.id), with_nodes=True))
        return
    for line in page(run, worker=engine.has_worker, parent=await parent_of(engine, run), whole=whole):
        click.echo(line)


async def _follow(common: Common, engine: Runs, given: str, whole: bool) -> int:
    found = await find_run(engine, given)
    run_id, parent = found.id, await parent_of(engine, found)
    screen = Screen(sys.stdout)
    last: RunView | None = None
    async for run in changes(lambda: engine.look(run_id)):
        if common.json:
            _print_changes(last, run)
        elif screen.can_draw:
            lines = page(run, worker=engine.has_worker, parent=parent, whole=whole, values=False)
            screen.draw(lines, top=TOP)
        else:
            for line in _told(last, run):
                click.echo(line)
        last = run
        if run.is_finished:
            break
    assert last is not None
    if screen.can_draw and not common.json:
        screen.clear()
        await _show(common, engine, run_id, whole)
    return 0 if last.status == "succeeded" else 1


def _print_changes(last: RunView | None, run: RunView) -> None:
    """A line of JSON for each entry that is new or has changed, and one for the run itself."""
    changed = replace(run, nodes=tuple(_changed(last, run)))
    for entry in run_json(changed, with_nodes=True)["nodes"]:
        print_json({"change": "entry", "run_id": run.id, **entry})
    if last is None or _own(last) != _own(run):
        print_json({"change": "run", **_own(run)})


def _own(run: RunView) -> dict[str, Any]:
    return run_json(run, with_nodes=False)


def _changed(last: RunView | None, run: RunView) -> Iterator[NodeView]:
    before = {node.position: node for node in last.nodes} if last is not None else {}
    return (node for node in run.nodes if before.get(node.position) != node)


def _told(last: RunView | None, run: RunView) -> Iterator[str]:
    """A line for each entry that is new or has changed, and one when the run itself goes on, waits or ends."""
    now = SystemClock().now()
    if last is None:
        yield f"run {shown(run.id)} of {shown(run.flow)}, started {when(run.created_at)} UTC"
    for node in _changed(last, run):
        if node.kind in _PASSING:
            continue
        about = answer(node.output) if node.kind == "signal" else came_to(node, run.id)
        yield f"{_clock(node.finished_at or now)}  {node.status:<9}  {shown(node.position)}  {shown(about)}".rstrip()
    if last is not None and (last.status, last.waiting_for) == (run.status, run.waiting_for):
        return
    error = f"{run.error_key}: {run.error}" if run.error_key else run.error
    about = run.waiting_for or error
    at = _clock(run.finished_at or now)
    yield f"{at}  {run.status.replace('_', ' '):<9}  run {shown(run.id)}  {shown(about)}".rstrip()


def _clock(at: datetime) -> str:
    return when(at).partition(" ")[2]
