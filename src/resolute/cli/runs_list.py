"""`resolute runs list`: the newest runs once, or as they come and change."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import click

from resolute.cli.follow import Screen, changes
from resolute.cli.options import Common
from resolute.cli.project import Runs, run_to_end, runs_of
from resolute.cli.terminal import print_json, print_table, shown, table, took, when
from resolute.cli.views import run_json
from resolute.engine import RunQuery, RunView
from resolute.errors import RunNotFound

_HEADS: Final = ("RUN", "FLOW", "STATUS", "STARTED (UTC)", "TOOK", "ABOUT")
_CUT: Final = ("FLOW", "ABOUT")


def list_runs(common: Common, query: RunQuery, *, follow: bool) -> int:
    """Print the runs, newest first; followed, until somebody has seen enough."""
    engine = runs_of(common)
    if follow:
        run_to_end(_follow(common, engine, query))
        return 0
    found = run_to_end(engine.runs(query))
    if common.json:
        print_json([run_json(run, with_nodes=False) for run in found])
    elif found:
        print_table(_HEADS, [_row(run) for run in found], cut=_CUT)
    else:
        click.echo("No runs." if query.flow is None and query.status is None else "No such runs.")
    return 0


def _row(run: RunView) -> tuple[str, ...]:
    ended = took(run.created_at, run.finished_at)
    return run.id, run.flow, run.status, when(run.created_at), ended, _about(run)


def _about(run: RunView) -> str:
    return run.waiting_for or (f"{run.error_key}: {run.error}" if run.error_key else run.error)


async def _follow(common: Common, engine: Runs, query: RunQuery) -> None:
    screen = Screen(sys.stdout)
    known: dict[str, RunView] = {}
    async for found in changes(lambda: engine.runs(query)):
        if screen.can_draw and not common.json:
            room = shutil.get_terminal_size()
            rows = [_row(run) for run in found[: max(1, room.lines - 3)]]
            screen.draw(table(_HEADS, rows, room.columns, cut=_CUT) if rows else ["No runs so far."])
            continue
        for run in [*await _gone(engine, known, found), *_news(known, found)]:
            if common.json:
                print_json(run_json(run, with_nodes=False))
            else:
                id, flow, status, started, ended, about = _row(run)
                words = (started, f"{status:<9}", id, flow, ended, about)
                click.echo("  ".join(shown(word) for word in words if word))
        known = {run.id: run for run in found}


def _news(known: dict[str, RunView], found: Sequence[RunView]) -> Iterator[RunView]:
    """Runs that are new or have changed, oldest first."""
    return (run for run in reversed(found) if known.get(run.id) != run)


async def _gone(engine: Runs, known: dict[str, RunView], found: Sequence[RunView]) -> list[RunView]:
    """What became of runs that are not among those asked for any more because their status is another one now."""
    ids = {run.id for run in found}
    now: list[RunView] = []
    for run in known.values():
        if run.id not in ids and not run.is_finished:
            try:
                seen = await engine.look(run.id)
            except RunNotFound:  # removed since
                continue
            if seen.status != run.status:
                now.append(seen)
    return now
