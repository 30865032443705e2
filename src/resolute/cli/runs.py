"""`resolute runs`: list runs, or show what one has done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from pathlib import Path

    from resolute.engine import RunView

#: Characters of an output or error that a table shows; `--json` shows all of it.
SHOWN: Final = 100
STATUSES: Final = ("queued", "running", "waiting", "succeeded", "failed", "cancelled", "needs_attention")


@click.group()
def runs() -> None:
    """List runs, or show what one has done."""


@runs.command("list")
@click.option("--flow", metavar="FLOW", help="Only runs of this flow.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs with this status.")
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="At most this many.")
@click.pass_obj
def list_runs(common: Common, flow: str | None, status: str | None, limit: int) -> None:
    """List runs, newest first."""
    import asyncio

    from resolute.cli.project import store_file
    from resolute.cli.terminal import print_json, print_table, took, when
    from resolute.cli.views import run_json
    from resolute.engine import RunQuery
    from resolute.engines.embedded.files import FileEngine

    found = asyncio.run(FileEngine(store_file(common)).runs(RunQuery(flow, status, limit)))
    if common.json:
        print_json([run_json(run, with_nodes=False) for run in found])
        return
    if not found:
        click.echo("No runs." if flow is None and status is None else "No such runs.")
        return
    print_table(
        ("RUN", "FLOW", "STATUS", "STARTED (UTC)", "TOOK", "ABOUT"),
        [(r.id, r.flow, r.status, when(r.created_at), took(r.created_at, r.finished_at), _about(r)) for r in found],
        cut=("FLOW", "ABOUT"),
    )


@runs.command("show")
@click.argument("run_id")
@click.pass_obj
def show_run(common: Common, run_id: str) -> None:
    """Show a run with its journal: what it did, what that came to, and what it waits for."""
    import asyncio

    from resolute.cli.project import store_file
    from resolute.cli.terminal import print_json
    from resolute.cli.views import run_json
    from resolute.engines.embedded.files import FileEngine
    from resolute.errors import RunNotFound

    path = store_file(common)
    try:
        run = asyncio.run(FileEngine(path).get(run_id))
    except RunNotFound as error:
        near = asyncio.run(_near(path, run_id))
        raise RunNotFound(f"{error} Did you mean {near}?" if near else str(error)) from None
    if common.json:
        print_json(run_json(run, with_nodes=True))
    else:
        _print_run(run)


async def _near(path: Path, run_id: str) -> str:
    """Ids of newer runs that look like this one, or begin or end with it."""
    import difflib

    from resolute.engine import RunQuery
    from resolute.engines.embedded.files import FileEngine

    ids = [run.id for run in await FileEngine(path).runs(RunQuery(limit=1000))]
    wanted = run_id.casefold()
    found = [known for known in ids if known.casefold().startswith(wanted) or known.casefold().endswith(wanted)]
    found = found or difflib.get_close_matches(run_id, ids, 3)
    return " or ".join(found[:3])


def _about(run: RunView) -> str:
    return run.waiting_for or (f"{run.error_key}: {run.error}" if run.error_key else run.error)


def _print_run(run: RunView) -> None:
    from resolute.cli.terminal import pretty, print_table, shown, when
    from resolute.engine import NodeView

    def came_to(node: NodeView) -> str:
        text = node.error or ("" if node.output is None else " ".join(pretty(node.output).split()))
        return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"

    lines = {
        "run": run.id,
        "flow": run.flow,
        "status": run.status.replace("_", " "),
        "trigger": run.trigger,
        "started": f"{when(run.created_at)} UTC",
        "ended": f"{when(run.finished_at)} UTC" if run.finished_at else "",
        "waits for": run.waiting_for,
        "goes on": f"{when(run.due_at)} UTC" if run.due_at else "",
        "error": f"{run.error_key}: {run.error}" if run.error_key else run.error,
    }
    for name, text in lines.items():
        if text:
            click.echo(f"{name + ':':<10} {shown(text)}")
    if run.nodes:
        click.echo()
        heads = ("POSITION", "KIND", "STATUS", "TRIES", "READY (UTC)", "CAME TO", "ROW")
        rows = [
            (n.position, n.activity or n.kind, n.status, n.attempt or "", when(n.ready_at), came_to(n), n.log_id or "")
            for n in run.nodes
        ]
        print_table(heads, rows, cut=("KIND", "CAME TO"))
    for name, value in (("input", run.input), ("output", run.output)):
        if value is not None:
            click.echo(f"\n{name}: {pretty(value)}")
